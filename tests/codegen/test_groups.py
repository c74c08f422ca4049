"""Groups of statuses in expressions: `in` tests for the statuses of the group."""

from __future__ import annotations

from pathlib import Path

import pytest
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.explain import explained_status
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.emit.diagram import mermaid
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import Program

from tests.support.edits import replaced

MACHINE = Path(__file__).parents[2] / "examples/download/machine/download.yaml"


def with_classifier(returns: str) -> bytes:
    declared = (
        "\nclassifiers:\n  asked:\n    summary: Whether it is so.\n"
        f"    returns: download is not None and {returns}\n"
    )
    return MACHINE.read_bytes() + declared.encode()


def meaning(returns: str) -> str:
    program = program_of(with_classifier(returns), "m.yaml")
    return notation(program.classifiers[-1].tree)


@pytest.mark.parametrize(
    ("group", "listed"),
    [
        ("download.status in busy", "download.status in [fetching, paused]"),
        ("download.status not in busy", "download.status not in [fetching, paused]"),
        ("download.status in terminal", "download.status in [saved, broken, dropped]"),
    ],
)
def test_a_group_stands_for_its_statuses(group: str, listed: str) -> None:
    assert meaning(group) == meaning(listed)


def test_only_a_status_is_in_a_group() -> None:
    with pytest.raises(InvalidMachineError) as caught:
        program_of(with_classifier("download.address in busy"), "m.yaml")
    assert [each.rule for each in caught.value.findings] == ["unknown-name"]


KETTLE = Path(__file__).with_name("kettle.yaml")
#: A kettle whose hot statuses are a composite state, within another one.
HOT = "    hot: {members: [heating, warm], initial: heating}\n"
NESTED = (
    ("    hot: [heating, warm]\n", f"{HOT}    used: {{members: [cold, hot], initial: hot}}\n"),
    ("from: [cold, warm], to: heating}", "from: [cold, warm], to: used}"),
)


def kettle(*edits: tuple[str, str]) -> Program:
    text = replaced(KETTLE.read_text(encoding="utf-8"), edits)
    return program_of(text.encode(), "kettle.yaml")


class TestComposite:
    def test_leading_to_a_group_is_leading_to_its_initial_status(self) -> None:
        plain, nested = kettle(), kettle(*NESTED)
        assert nested.actions == plain.actions
        assert nested.timers == plain.timers
        assert nested.symbols.status_groups["used"] == ("cold", "heating", "warm")

    def test_a_new_record_may_begin_in_a_group(self) -> None:
        program = kettle(NESTED[0], ("guards: [new]\n  to: cold", "guards: [new]\n  to: used"))
        assert program.create.to == "heating"

    def test_diagrams_and_explain_show_them(self) -> None:
        program = kettle(*NESTED)
        lines = mermaid(program)
        place = lines.index('    state "used" as g_used {')
        assert lines[place + 1 : place + 7] == [
            "        s_cold: cold",
            '        state "hot" as g_hot {',
            "            s_heating: heating",
            "            s_warm: warm",
            "        }",
            "    }",
        ]
        assert "    s_cold --> s_heating: heat" in lines
        assert "    in used, hot" in explained_status(program, "warm").splitlines()
        # A group without an initial status is a name, and no state.
        assert not any("g_hot" in line for line in mermaid(kettle()))

    @pytest.mark.parametrize(
        ("edits", "rule"),
        [
            ((NESTED[1],), "unknown-status"),
            ((("[cold, warm], to: heating}", "[cold, warm], to: hot}"),), "wrong-shape"),
            ((("[cold, warm], to: heating}", "[cold, warm], to: live}"),), "wrong-shape"),
            ((("hot: [heating, warm]", "hot: {members: [heating, warm], initial: cold}"),),
             "unknown-status"),
            ((("hot: [heating, warm]", "hot: {members: [heating, warm], initial: heating}\n"
               "    tepid: {members: [cold, warm], initial: cold}"),), "wrong-shape"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_reported_by_its_rule(
        self, edits: tuple[tuple[str, str], ...], rule: str
    ) -> None:
        with pytest.raises(InvalidMachineError) as found:
            kettle(*edits)
        assert rule in {finding.rule for finding in found.value.findings}

    def test_what_follows_from_a_group_without_an_initial_status_is_not_reported(self) -> None:
        with pytest.raises(InvalidMachineError) as found:
            kettle(("[cold, warm], to: heating}", "[cold, warm], to: terminal}"))
        assert [finding.rule for finding in found.value.findings] == ["wrong-shape"]

    def test_groups_lie_in_one_another_up_to_a_limit(self) -> None:
        def deep(levels: int) -> tuple[str, str]:
            found, inner = HOT, "hot"
            for level in range(levels - 1):
                found += f"    g{level}: {{members: [{inner}], initial: {inner}}}\n"
                inner = f"g{level}"
            return "    hot: [heating, warm]\n", found

        kettle(deep(8))
        with pytest.raises(InvalidMachineError) as found:
            kettle(deep(9))
        assert {finding.rule for finding in found.value.findings} == {"wrong-shape"}

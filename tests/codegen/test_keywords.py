"""Parameters that calls pass by their names only."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opslifecycle import MemoryStore
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.behaviour import behaviour_changes
from opslifecycle_codegen.modelcheck.counterexample import source_of_test
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Search

from tests.support.codegen.projects import assert_clean, imported, project

CASE = Path(__file__).parent / "cases" / "keywords" / "machine.yaml"
TEXT = CASE.read_text(encoding="utf-8")
COUNT = "count: {type: int, keyword: true}"
NOTE = "note: {type: str, default: none, keyword: true}"
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("keywords")
    source = folder / "gates_by_name.yaml"
    source.write_text(TEXT.replace("machine: turnstile", "machine: gates_by_name"), "utf-8")
    made = project(folder / "project", source)
    assert_clean(made)
    return imported(made, "gates_by_name")


def signature(kind: Any, method: str) -> str:
    found = inspect.signature(getattr(kind, method))
    names = [each.replace(annotation=inspect.Parameter.empty) for each in found.parameters.values()]
    return str(inspect.Signature(names))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("install", "(self, id, place, *, width=80, hall=None)"),
        ("move", "(self, id, place)"),
        ("coin", "(self, id, by, *, count, note='none')"),
        ("push", "(self, id, *, times)"),
        ("try_it", "(self, id, *, times)"),
        ("scrap", "(self, id, *, why='old')"),
        ("close", "(self, *, why='old')"),
        ("holds", "(self, id, *, least)"),
    ],
)
def test_they_stand_behind_a_star(gates: ModuleType, method: str, expected: str) -> None:
    for kind in (gates.GateRegistry, gates.AsyncGateRegistry):
        assert signature(kind, method) == expected


def test_calls_pass_them_by_name(gates: ModuleType) -> None:
    id = gates.GateId.new()
    with gates.GateRegistry(store=MemoryStore()) as registry:
        registry.install(id, "north", hall="b", width=90)
        with pytest.raises(TypeError, match="positional"):
            registry.coin(id, "Ada", 3)
        with pytest.raises(TypeError, match="count"):
            registry.coin(id, "Ada")
        registry.coin(id, "Ada", count=3)
        assert (registry.snapshot(id).coins, registry.snapshot(id).place) == (3, "Ada")
        assert registry.holds(id, least=3)
        registry.try_it(id, times=1)
        with registry.transaction() as transaction:
            transaction.coin(id, "Bo", count=2)
        assert registry.snapshot(id).coins == 5


class TestCompiler:
    @pytest.mark.parametrize(
        ("old", "new", "rules"),
        [
            # What was passed by place has to be passed by name now, and the other way round.
            ("by: str}", "by: {type: str, keyword: true}}", {"method-changed"}),
            ("times: {type: int, keyword: true}", "times: int", {"parameter-added"}),
            # One more that calls may leave out, or may not.
            (
                "count: {",
                "of: {type: int, default: 1, keyword: true}, count: {",
                {"parameter-added"},
            ),
            ("count: {", "of: {type: int, keyword: true}, count: {", {"method-changed"}),
            # Their order says nothing.
            (
                f"{COUNT}, {NOTE}",
                f"{NOTE}, {COUNT}",
                set(),
            ),
            ("default: none", "default: other", {"default-changed"}),
        ],
    )
    def test_diff_knows_which_calls_break(self, old: str, new: str, rules: set[str]) -> None:
        assert old in TEXT
        before, after = (
            program_of(each.encode(), "m.yaml") for each in (TEXT, TEXT.replace(old, new))
        )
        found = {each.rule for each in behaviour_changes(before, after)}
        assert found - {"update-changed"} == rules

    def test_a_supervisor_cannot_pass_them(self) -> None:
        text = (EXAMPLES / "download/machine/download.yaml").read_text(encoding="utf-8")
        for old, new, what in (
            ("params: {reason: str}", "params: {reason: {type: str, keyword: true}}", "reason"),
            ("label: str}", "label: {type: str, keyword: true}}", "label"),
        ):
            assert text.count(old) == 1
            with pytest.raises(InvalidMachineError) as caught:
                program_of(text.replace(old, new).encode(), "m.yaml")
            (finding,) = caught.value.findings
            assert finding.rule == "wrong-shape"
            assert finding.message.startswith(f"a supervisor passes {what} by its place")

    def test_the_test_of_a_counterexample_passes_them_by_name(self) -> None:
        broken = "invariants:\n  poor: {summary: P., expr: all(each.coins < 1 for each in gates)}\n"
        (scenario,) = scenarios(program_of(f"{TEXT}{broken}".encode(), "m.yaml"))
        found = Search(scenario).run()
        assert found.violation is not None
        source = source_of_test(found.violation, "gates_by_name")
        assert source is not None
        assert "registry.coin(a, 'x', count=1, note='x')" in source

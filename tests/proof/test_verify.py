"""The search of every state: what it finds in the shipped machine, and what in broken ones."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import pytest
from attrs import evolve
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.modelcheck import baseline, symmetry, verification
from opslifecycle_codegen.modelcheck.counterexample import counterexample, source_of_test
from opslifecycle_codegen.modelcheck.properties import ENDS_STAND, WATCHES_ARE_OF_THE_LIVE
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Found, Search

from tests.support.codegen.projects import ran_tests
from tests.support.proof.machines import (
    ROOT,
    SCENARIOS,
    SHIPPED,
    edited,
    scenario_of,
    search,
    states_of,
    unplaced,
)
from tests.support.scale import share
from tests.test_contract_table import CELLS, LABELS

KNOWN = baseline.load(ROOT / "machine/ops_lifecycle.baseline.json")


#: The one with the fewest states, which has every kind of property but waits.
SMALL = "resuming"


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=[pytest.mark.nightly] * (each != SMALL)) for each in SCENARIOS],
)
def test_a_scenario_has_the_states_of_the_baseline(name: str) -> None:
    found = search(name).found
    assert found.violation is None
    assert found.closed
    assert baseline.differences(KNOWN, [found]) == []


@pytest.mark.nightly
def test_every_action_status_and_guard_is_seen() -> None:
    found = [search(name).found for name in SCENARIOS]
    assert len(found) >= 4
    assert verification.never(edited(), found) == []


def broken(name: str, *edits: tuple[str, str]) -> Found:
    return Search(scenario_of(edited(*edits), name)).run()


#: Edits that the compiler takes, the scenario that is searched, and the property that they break.
DEFECTS = [
    ("alone", "  - update: {registry.active_count: registry.active_count - 1}\n",
     "  - update: {registry.active_count: registry.active_count}\n",
     "active_count_is_the_live_ones"),
    ("cursors", "    recovered_as: count(o for o in operations if not o.status.terminal)",
     "    recovered_as: count(o for o in operations)", "active_count_is_the_live_ones"),
    ("alone", "    to: failed\n    outcome: Failed(error)",
     "    to: failed\n    outcome: Aborted(error)", "outcome_agrees_with_status"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "prop"), DEFECTS)
def test_a_planted_defect_is_found(name: str, old: str, new: str, prop: str) -> None:
    violation = broken(name, (old, new)).violation
    assert violation is not None
    assert violation.property == prop
    told = counterexample(violation)
    assert f"{prop} does not hold after {len(violation.calls)} calls" in told
    assert "→" in told


@pytest.mark.parametrize(
    ("name", "effect", "prop"),
    [
        ("waiting", "fail_barriers", "barrier_members_are_live"),
        ("alone", "close_watchers", WATCHES_ARE_OF_THE_LIVE),
        ("alone", "wake_watchers", WATCHES_ARE_OF_THE_LIVE),
    ],
)
def test_an_effect_that_is_not_placed_is_found(name: str, effect: str, prop: str) -> None:
    with unplaced(effect):
        violation = broken(name).violation
    assert violation is not None
    assert violation.property == prop


def test_every_property_is_checked() -> None:
    properties = verification.properties_of(scenario_of(edited(), "alone"))
    assert {ENDS_STAND, WATCHES_ARE_OF_THE_LIVE, "every_operation_ends"} <= set(properties)
    assert len(properties) == 20


def test_a_counterexample_is_the_shortest_one() -> None:
    with unplaced("fail_barriers"):
        violation = broken("waiting").violation
    assert violation is not None
    assert [call.method for call in violation.calls] == [
        "register_operation", "wait_all", "rollback_unreturned_operation",
    ]  # fmt: skip


@pytest.mark.nightly
def test_the_test_of_a_counterexample_fails_as_long_as_the_machine_is_wrong(tmp_path: Path) -> None:
    with unplaced("fail_barriers"):
        violation = broken("waiting").violation
    assert violation is not None
    source = source_of_test(violation, "ops")
    assert source is not None
    (tmp_path / "machine").mkdir()
    machine = tmp_path / "machine/ops_lifecycle.yaml"
    shutil.copy(ROOT / "machine/ops_lifecycle.yaml", machine)
    (tmp_path / "pyproject.toml").write_text(
        "[[tool.opslifecycle-codegen.machine]]\n"
        'source = "machine/ops_lifecycle.yaml"\npackage = "ops"\n'
    )
    (tmp_path / "test_story.py").write_text(source)
    assert outcome(tmp_path) == 0
    with unplaced("fail_barriers"):
        assert outcome(tmp_path) == 1


def outcome(project: Path) -> int:
    """How the test of a counterexample ends on what is generated now."""
    assert main(["--project", str(project), "generate"]) == 0
    return ran_tests(project, "test_story.py").returncode


def test_an_end_out_of_reach_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lamp = (ROOT / "examples/lamp/machine/lamp.yaml").read_text()
    prop = "every_lamp_breaks: {summary: All of them do., from: live, reaches: terminal}"
    lamp += f"\neventually:\n  {prop}\n"
    assert prove_text(tmp_path, lamp) == 0
    guard = "  used_little:\n    when: lamp.switched < 2\n    error: {unknown: {id: id}}\n"
    lamp = lamp.replace("\nguards:\n", f"\nguards:\n{guard}")
    asking = "methods: [note_broken], guards: [known, used_little], "
    assert prove_text(tmp_path, lamp.replace("methods: [note_broken], ", asking)) == 1
    assert "every_lamp_breaks does not hold after 4 calls" in capsys.readouterr().out


def test_what_no_scenario_reaches_is_listed_with_the_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lamp = (ROOT / "examples/lamp/machine/lamp.yaml").read_text()
    lamp += (
        "\nscenarios:\n  whole: {summary: No lamp breaks., entities: 1, exclude: [note_broken]}\n"
    )
    assert prove_text(tmp_path, lamp) == 1
    printed = capsys.readouterr().out.splitlines()
    missed = [line for line in printed if ": no scenario " in line]
    assert "machine/lamp.yaml: no scenario lets note_broken happen" in missed
    assert printed[printed.index(missed[-1]) + 1].startswith(
        "machine/lamp.yaml: declare a scenario that reaches them: "
    )


GATE = (ROOT / "tests/codegen/turnstile.yaml").read_text(encoding="utf-8")


def searched(paid: str, *more: str) -> Found:
    """Search a gate at which these amounts are paid."""
    text = GATE.replace("update: {gate.coins: gate.coins + 1}", "update: {gate.coins: paid}")
    text = text.replace("methods: [coin],", "methods: [coin], params: {paid: int},")
    scenario = f"one: {{summary: S., entities: 1, params: {{paid: {paid}}}}}"
    text += f"{''.join(more)}\nscenarios:\n  {scenario}\n"
    (found,) = scenarios(program_of(text.encode(), "m.yaml"))
    return verification.searched(found)[0]


def test_a_word_that_is_no_value_of_its_parameter_is_reported() -> None:
    source = PurePosixPath("m.yaml")
    assert [*verification.wrong(searched("['2', '3']"), source, "m")] == []
    wrong = [*verification.wrong(searched("['2', many]"), source, "m")]
    assert wrong == ["m.yaml: one: paid has no value 'many'"]


def test_a_search_that_ends_with_a_counterexample_says_nothing_of_the_rest() -> None:
    small = "\ninvariants:\n  small: {summary: S., expr: all(each.coins < 2 for each in gates)}\n"
    found = searched("['2']", small)
    assert found.violation is not None
    program = found.scenario.interpreter.program
    assert verification.never(program, [found]) == []
    assert verification.never(program, [evolve(found, violation=None)]) != []


def prove_text(folder: Path, text: str) -> int:
    (folder / "machine").mkdir(exist_ok=True)
    (folder / "machine/lamp.yaml").write_text(text)
    (folder / "pyproject.toml").write_text(
        '[[tool.opslifecycle-codegen.machine]]\nsource = "machine/lamp.yaml"\npackage = "lamp"\n'
    )
    return main(["--project", str(folder), "verify"])


def test_readers_that_a_rule_names_are_told_apart() -> None:
    every = symmetry.symmetry_of(scenario_of(edited(), "cursors"))
    assert "CompletionCursorConsumer" in every.swapped
    named = "cursors[CompletionCursorConsumer.agent_applied] <= registry.watermark"
    program = edited(
        ("all(cursors[c] <= registry.watermark for c in CompletionCursorConsumer)", named)
    )
    found = symmetry.symmetry_of(scenario_of(program, "cursors"))
    assert "CompletionCursorConsumer" not in found.swapped


def test_a_symmetry_that_is_none_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    start = SHIPPED.index("eventually:\n")
    program = edited((SHIPPED[start : SHIPPED.index("# What `opslifecycle-codegen verify`")], ""))
    found = symmetry.symmetry_of(scenario_of(program, "admission"))
    assert any("goes through them in order" in reason for reason in found.not_swapped)
    monkeypatch.setattr(symmetry, "_in_order", lambda scenario: set())
    with pytest.raises(AssertionError, match="not symmetric"):
        Search(scenario_of(program, "admission")).run()


def test_what_is_too_large_is_not_called_closed() -> None:
    found = Search(scenario_of(edited(), "admission"), states_max=10).run()
    assert not found.closed
    assert "make it smaller" in verification.unfinished(found, PurePosixPath("m.yaml"))


@pytest.mark.nightly
def test_the_search_agrees_with_the_table_that_was_written_by_hand() -> None:
    """Every cell of contract section 3, in states of one operation."""
    scenario = scenario_of(edited(), "alone")
    looked_at: dict[tuple[str, str], int] = {}
    cells = {(status, action): cell for status, action, cell in CELLS}
    methods = {LABELS[action]: action for _, action in cells}
    methods["provisioning_failed"] = "fail"
    for state in states_of("alone"):
        (record,) = state.records
        if state.registry[scenario.interpreter.registry_place("owner_retired")]:
            continue
        status = "absent" if record is None else record[1]
        for call in scenario.calls:
            action = methods.get(call.method)
            if action is None:
                continue
            cell = cells[status, action]
            looked_at[status, action] = looked_at.get((status, action), 0) + 1
            answer = scenario.answer(state, call)
            if cell == "NF":
                assert answer.refusal is not None
                assert answer.refusal.error == "OperationNotFoundError"
            elif cell in ("IT", "OK"):
                assert answer.refusal is not None
                assert answer.refusal.error == "InvalidTransitionError"
                assert answer.refusal.fields == (call.id, status, LABELS[action])
            else:
                assert answer.state is not None
                after = answer.state.records[0]
                # A slot is erased at its end; whatever is kept has the status of the table.
                assert after is None or after[1] == (status if cell == "stays" else cell)
    assert set(looked_at) == set(cells)


def test_what_a_scenario_names_must_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lamp = (ROOT / "examples/lamp/machine/lamp.yaml").read_text()
    lamp += "\nscenarios:\n  small:\n    summary: One lamp.\n    entities: 9\n    exclude: [liht]\n"
    lamp += "    bounds: {lamp.switchd: 1}\n    params: {wattage: [none]}\n"
    assert prove_text(tmp_path, lamp) == 2
    told = capsys.readouterr().err
    assert "did you mean 'light'?" in told
    assert "did you mean 'lamp.switched'?" in told
    assert "1 to 5 entities" in told
    assert "there is no parameter 'wattage'" in told


@pytest.mark.parametrize("number", ["0", "few", "-1"])
def test_a_scenario_has_settings_that_the_registry_would_accept(number: str) -> None:
    scenario = "its id used again.\n    entities: 1\n    settings: {max_completed: 1}"
    with pytest.raises(InvalidMachineError, match="expected an integer from 1 to "):
        edited((scenario, scenario.replace("max_completed: 1", f"max_completed: {number}")))


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lamp = (ROOT / "examples/lamp/machine/lamp.yaml").read_text()
    assert prove_text(tmp_path, lamp) == 0
    assert "closed" in capsys.readouterr().out
    assert main(["--project", str(tmp_path), "verify", "--update-baseline"]) == 0
    recorded = tmp_path / "machine/lamp.baseline.json"
    assert main(["--project", str(tmp_path), "verify"]) == 0
    recorded.write_text(recorded.read_text().replace('"states": ', '"states": 1'))
    capsys.readouterr()
    assert main(["--project", str(tmp_path), "verify"]) == 1
    assert "verify --update-baseline" in capsys.readouterr().out
    recorded.write_text("[")
    assert main(["--project", str(tmp_path), "verify"]) == 2


@pytest.mark.parametrize("name", share(["lamp", "fulfilment", "approval"], 1))
def test_the_machines_of_the_examples_keep_their_properties(name: str) -> None:
    folder = ROOT / "examples" / name
    assert (folder / f"machine/{name}.baseline.json").exists()
    assert main(["--project", str(folder), "verify"]) == 0


@pytest.mark.nightly
def test_nothing_is_discarded_where_it_could_refuse() -> None:
    states_max = 200
    program = edited(
        ("  guards: [registered, legal_status]\n  from: live\n  update: {registry.active_count",
         "  guards: [registered, legal_status]\n  from: working\n  update: {registry.active_count")
    )  # fmt: skip
    assert program.discards() == ""
    assert edited().discards() == "rollback_unreturned_operation"
    for each, fires in ((edited(), True), (program, False)):
        found = Search(scenario_of(each, "waiting"), states_max=states_max).run()
        assert found.violation is None
        assert ("discard" in found.fired) is fires


def test_texts_that_a_derived_field_compares_are_tried_equal_and_different() -> None:
    text = (ROOT / "tests/codegen/turnstile.yaml").read_text(encoding="utf-8")
    for old, new in (
        (
            "\nstatuses:",
            "\nvalues:\n  Pair:\n    summary: Two words.\n"
            "    fields: {one: str, other: str, same: {type: bool, always: one == other}}\n"
            "\nstatuses:",
        ),
        (
            "methods: [coin], from",
            "methods: [coin], params: {pair: Pair}, guards: [known, alike], from",
        ),
        (
            "\n  known: {",
            "\n  alike: {when: pair.same, error: {no_such_gate: {id: id}}}\n  known: {",
        ),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    (scenario,) = scenarios(program_of(text.encode(), "turnstile.yaml"))
    tried = {call.arguments for call in scenario.calls if call.method == "coin"}
    pairs = [("x", "x", True), ("x", "y", False), ("y", "x", False), ("y", "y", True)]
    assert tried == {(("pair", pair),) for pair in pairs}


def test_a_text_is_tried_as_the_literals_that_rules_name() -> None:
    path = ROOT / "examples/download/machine/download.yaml"
    program = program_of(path.read_bytes(), path.name)
    calls = scenarios(program)[0].calls
    places = {dict(each.arguments)["place"] for each in calls if each.method == "save"}
    assert places == {"x", "y", ""}


@pytest.mark.parametrize(
    ("literal", "texts"),
    # What stands for any other text is another one where a rule names it.
    [("north", {"x", "north"}), ("x", {"x", "z0"}), ("y", {"x", "y"}), ("z0", {"x", "z0"})],
)
def test_a_text_is_tried_as_what_rules_name_and_as_another_one(
    literal: str, texts: set[str]
) -> None:
    # The field that holds a text stands for it where a rule reads the field.
    text = (ROOT / "tests/codegen/turnstile.yaml").read_text(encoding="utf-8")
    rule = "{when: gate.place != 'north', error: {no_such_gate: {id: id}}}".replace(
        "north", literal
    )
    for old, new in (
        ("methods: [coin], from", "methods: [coin], guards: [known, southern], from"),
        ("\n  known: {", f"\n  southern: {rule}\n  known: {{"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    (scenario,) = scenarios(program_of(text.encode(), "turnstile.yaml"))
    made = {dict(each.arguments)["place"] for each in scenario.calls if each.method == "install"}
    assert made == texts


def test_a_parameter_that_a_read_field_holds_has_every_value() -> None:
    path = ROOT / "examples/pull_request/machine/pull_request.yaml"
    calls = scenarios(program_of(path.read_bytes(), path.name))[0].calls
    reported = {dict(each.arguments)["checks"] for each in calls if each.method == "report_checks"}
    assert reported == {"pending", "passed", "failed"}
    # Texts that the scenario names, also those that no rule does.
    reviewers = {dict(each.arguments)["reviewer"] for each in calls if each.method == "approve"}
    assert reviewers == {"ada", "grace"}

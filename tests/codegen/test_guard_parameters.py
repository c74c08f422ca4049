"""Guards with parameters: each command asks them with expressions of its own."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import yaml
from opslifecycle_codegen.base.diagnostics import Diagnostics, InvalidMachineError
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.behaviour import behaviour_changes
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.source.format import format_yaml
from opslifecycle_codegen.source.meaning import digest
from opslifecycle_codegen.source.parser import parse
from opslifecycle_codegen.source.reader import read

from tests.support.codegen.projects import assert_clean, package, project
from tests.support.edits import replaced
from tests.support.random_machines.examining import Examination

GATES = Path(__file__).parent / "cases/guard-parameters/machine.yaml"
Edit = tuple[str, str]
#: What `coin` gives for the parameters.
COIN = "{worth: {least: 2, paid: paid}}"


def text(*edits: Edit) -> str:
    return replaced(GATES.read_text(encoding="utf-8"), edits)


def compiled(*edits: Edit) -> Program:
    return program_of(text(*edits).encode(), "m.yaml")


def conditions(program: Program, name: str) -> list[str]:
    """The conditions of an action, behind those of every action."""
    (action,) = (each for each in program.actions if each.name == name)
    return [check.condition for check in action.guards][2:]


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("gates")
    (folder / "turnstile.yaml").write_text(text(), encoding="utf-8")
    return package(folder, folder / "turnstile.yaml", "gates_with_parameters")


def test_each_command_is_asked_about_its_own(gates: ModuleType) -> None:
    with gates.GateRegistry() as registry:
        id = gates.GateId.new()
        registry.install(id, "hall")
        with pytest.raises(gates.TooLittleError, match="1 is less than 2") as caught:
            registry.coin(id, 1)
        assert (caught.value.guard, caught.value.paid, caught.value.least) == ("worth", 1, 2)
        registry.coin(id, 2)
        with pytest.raises(gates.TooLittleError, match="1 is less than 5"):
            registry.empty(id)
        for _ in range(4):
            registry.push(id)
            registry.coin(id, 2)
        registry.empty(id)
        assert registry.snapshot(id).coins == 0


def test_an_argument_may_be_any_expression_of_the_command() -> None:
    edit = (COIN, "{worth: {paid: 'min(paid, gate.coins + 1)', least: 3 if paid < 2 else 1}}")
    (found,) = conditions(compiled(edit), "coin")
    assert found == "min(paid, gate.coins + 1) >= (3 if paid < 2 else 1)"


def test_what_is_passed_may_be_out_of_the_range_of_the_parameter() -> None:
    """The guard decides about what it is, and no error has a field that is out of its range."""
    types = ("ids:\n", "types:\n  Few: {summary: Few., type: int, maximum: 9}\n\nids:\n")
    few = ("params: {least: int, paid: int}", "params: {least: Few, paid: int}")
    error = ("fields: {paid: int, least: int}", "fields: {paid: int, least: Few}")
    compiled(types, few, error)
    passed = (COIN, "{worth: {least: gate.coins, paid: paid}}")
    compiled(types, few, passed)
    with pytest.raises(InvalidMachineError) as caught:
        compiled(types, few, error, passed)
    (found,) = caught.value.findings
    assert found.rule == "out-of-range"
    assert found.message.startswith("a field of TooLittleError may be above 9 here")


def test_one_command_may_ask_a_guard_twice() -> None:
    edit = (COIN, f"{COIN}, {{worth: {{least: 1, paid: gate.coins}}}}")
    program = compiled(edit)
    assert conditions(program, "coin") == ["paid >= 2", "gate.coins >= 1"]
    repeated = (COIN, f"{COIN}, {COIN}")
    with pytest.raises(InvalidMachineError, match="the name 'worth' occurs twice in the list"):
        compiled(repeated)
    named = ("    when: paid >= least", "    let: {rest: paid - 1}\n    when: rest + 1 >= least")
    with pytest.raises(InvalidMachineError, match="its `let` would have two values"):
        compiled(edit, named)


def test_default_guards_have_arguments_too() -> None:
    own = "{worth: {least: 1, paid: gate.coins}}"
    edit = ("default_guards: [known]", f"default_guards: [known, {own}]")
    assert conditions(compiled(edit), "push") == ["gate.coins >= 1"]


def test_a_parameter_hides_nothing_behind_its_guard() -> None:
    """The action's own `paid` is read after a guard whose parameter has the name."""
    edits = (
        (COIN, "{worth: {least: 2, paid: gate.coins}}"),
        ("update: {gate.coins: gate.coins + 1}", "update: {gate.coins: paid}"),
    )
    program = compiled(*edits)
    (coin,) = (each for each in program.actions if each.name == "coin")
    assert conditions(program, "coin") == ["gate.coins >= 2"]
    (update,) = coin.updates
    assert "paid" in repr(update.value)
    leaked = ("update: {gate.coins: 0}", "update: {gate.coins: least}")
    with pytest.raises(InvalidMachineError, match="least"):
        compiled(leaked)


def test_what_is_optional_stays_so_inside() -> None:
    optional = ("params: {least: int, paid: int}", "params: {least: int, paid: int | None}")
    with pytest.raises(InvalidMachineError, match=r"found int \| None"):
        compiled(optional)
    tested = ("when: paid >= least", "when: paid is not None and paid >= least")
    error = ("{too_little: {paid: paid, least: least}}", "{too_little: {paid: 0, least: least}}")
    program = compiled(optional, tested, error)
    # A number that is never None is given for one that may be.
    assert conditions(program, "coin") == ["paid is not None and paid >= 2"]


def test_arguments_are_part_of_what_a_machine_means() -> None:
    def meaning(*edits: Edit) -> str:
        return digest(parse(read(text(*edits).encode(), "m.yaml"), Diagnostics()))

    assert meaning() != meaning(("least: 2", "least: 3"))
    source = text().encode()
    once = format_yaml(source, "m.yaml")
    assert format_yaml(once, "m.yaml") == once
    assert meaning() == digest(parse(read(once, "m.yaml"), Diagnostics()))


def test_diff_names_the_command_whose_argument_changed() -> None:
    guard, error = behaviour_changes(compiled(), compiled(("least: 2", "least: 3")))
    assert "the guard worth of coin" in str(guard)
    assert "the error of worth of coin" in str(error)
    assert {guard.rule, error.rule} == {"guard-changed"}


@pytest.mark.nightly
def test_generated_code_does_what_the_interpreter_does() -> None:
    examination = Examination()
    assert examination.of(yaml.safe_load(text()))
    assert examination.tally.calls > 100


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (("params: {least: int, paid: int}", "params: {least: int, paid: int, id: int}"),
         "reserved-name"),
        (("params: {least: int, paid: int}", "params: {least: int, paid: Coins}"), "unknown-type"),
        ((COIN, "{worth: {least: 2, paid: coins}}"), "unknown-name"),
        ((COIN, "{worth: {least: 2, paid: paid}, known: {}}"), "wrong-shape"),
        ((COIN, "{worth: 2}"), "wrong-shape"),
        ((COIN, "[worth]"), "wrong-shape"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_by_its_rule(edit: Edit, rule: str) -> None:
    with pytest.raises(InvalidMachineError) as caught:
        compiled(edit)
    assert rule in {each.rule for each in caught.value.findings}


def test_a_misnamed_parameter_is_reported_once() -> None:
    with pytest.raises(InvalidMachineError) as caught:
        compiled((COIN, "{worth: {lest: 2, paid: paid}}"))
    assert [each.rule for each in caught.value.findings] == ["unknown-name"]


def test_what_is_generated_is_clean(tmp_path: Path) -> None:
    machine = tmp_path / "turnstile.yaml"
    machine.write_text(text(), encoding="utf-8")
    assert_clean(project(tmp_path / "project", machine))

"""The machine as formulas: counted by SPIN where it is installed, and by walking the formulas."""

from __future__ import annotations

import operator
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.cli.verify import compared_with_spin
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck.scenarios import Scenario, scenarios
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.symbolic import spin
from opslifecycle_codegen.modelcheck.symbolic.promela import promela
from opslifecycle_codegen.modelcheck.symbolic.relation import NotCoveredError, Relation, relation
from opslifecycle_codegen.modelcheck.symbolic.terms import (
    Formula,
    Term,
    quotient,
    remainder,
    variable,
)
from opslifecycle_codegen.modelcheck.symbolic.tla import tla
from opslifecycle_codegen.modelcheck.symmetry import NOTHING_SWAPPED

from tests.support.proof.machines import ROOT, edited, scenario_of, search

PROGRAMS = spin.find()
needs_spin = pytest.mark.skipif(PROGRAMS is None, reason=spin.SKIPPED)
LAMP = ROOT / "examples/lamp/machine/lamp.yaml"
EXAMPLES = sorted((ROOT / "examples").glob("*/machine/*.yaml"))


OPERATORS: dict[str, Callable[..., int]] = {
    "and": lambda *parts: all(parts), "or": lambda *parts: any(parts), "not": operator.not_,
    "==": operator.eq, "<": operator.lt, "<=": operator.le, "+": operator.add, "-": operator.sub,
    "*": operator.mul, "/": operator.floordiv,
    "ite": lambda test, then, otherwise: then if test else otherwise,
}  # fmt: skip


def example(path: Path) -> Program:
    return program_of(path.read_bytes(), path.name)


def value(formula: Formula, state: dict[str, int], known: dict[int, int]) -> int:
    """The value of a formula in a state."""
    if not isinstance(formula, Term):
        return formula
    if formula.op == "var":
        return state[formula.name]
    if id(formula) not in known:
        parts = [value(each, state, known) for each in formula.args]
        known[id(formula)] = OPERATORS[formula.op](*parts)
    return known[id(formula)]


def walked(system: Relation) -> int:
    """How many states the formulas lead to; every property holds in each."""
    names = [term.name for term, _ in system.variables]
    first = tuple(int(value(begin, {}, {})) for _, begin in system.variables)
    seen, waiting = {first}, deque([first])
    past = 0
    while waiting:
        state = dict(zip(names, waiting.popleft(), strict=True))
        known: dict[int, int] = {}
        assert all(value(prop, state, known) for _, prop in system.properties)
        if value(system.past, state, known):
            past += 1
            continue
        for step in system.transitions:
            if not value(step.enabled, state, known):
                continue
            changed = {term.name: value(new, state, known) for term, new in step.after}
            after = tuple(int(changed.get(name, state[name])) for name in names)
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return len(seen) - past


def counted(scenario: Scenario) -> int:
    found = Search(scenario, NOTHING_SWAPPED).run()
    assert found.closed
    return found.states


def small(path: Path) -> Scenario:
    return scenarios(example(path))[0]


def test_a_machine_whose_rules_read_the_time_is_not_covered() -> None:
    with pytest.raises(NotCoveredError, match="the rules read `now`"):
        relation(small(ROOT / "examples/deadlines/machine/order.yaml"))


OTHERS = [ROOT / f"tests/codegen/{name}.yaml" for name in ("invoice", "job", "purchase")]
COVERED = [*(path for path in EXAMPLES if path.stem not in ("order", "oven", "shipment")), *OTHERS]
#: They have most states.
LARGE = ("approval", "pull_request", "purchase", "fulfilment")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(each, id=each.stem, marks=[pytest.mark.nightly] * (each.stem in LARGE))
        for each in COVERED
    ],
)
def test_the_formulas_lead_to_as_many_states_as_the_search(path: Path) -> None:
    scenario = small(path)
    assert walked(relation(scenario)) == counted(scenario) > 50


READS = (
    ("ids:\n", "ids:\n  HallId: {summary: Names a hall.}\n  AskId: {summary: Names a wait.}\n"),
    (
        "\nstatuses:",
        """
values:
  Fee:
    summary: What a gate costs.
    tag: kind
    variants:
      Free: {summary: Nothing.}
      Coins:
        summary: Some coins.
        fields: {count: int, many: {type: bool, always: count > 1}}

statuses:""",
    ),
    (
        "  coins: {type: int, initial: '0'}",
        """\
  coins: {type: int, initial: '0'}
  number: {type: int, initial: registry.installed}
  fee: {type: Fee, initial: 'Coins(registry.installed + 1, true)'}

registry:
  installed: {type: int, initial: '0', summary: How many gates were put up.}""",
    ),
    (
        "  guards: [new]\n  to: locked",
        """\
  guards: [new]
  update: {registry.installed: registry.installed + 1}
  to: locked""",
    ),
    ("methods: [push], from", "methods: [push], guards: [known, dear], from"),
    (
        "\nillegal_transition:",
        """\
  dear: {when: gate.fee is Coins and gate.fee.many, error: {no_such_gate: {id: id}}}

illegal_transition:""",
    ),
    (
        "\nwatch:",
        """
barrier:
  summary: Wait until some gates are taken away.
  method: wait_all
  key: {hall: HallId}
  active_per_key_max: 1
  request_id: AskId
  wait: Wait
  result: Gone
  token: Token
  guards:
    - repeated: {no_such_gate: {id: id}}
    - busy: {busy: {at: 1}}
    - unknown: {no_such_gate: {id: id}}

invariants:
  the_gone_are_not_waited_for:
    summary: No barrier waits for a gate that was taken away.
    expr: all(g.id not in b.unfinished or not g.status.terminal for b in barriers for g in gates)
  the_first_is_cheap:
    summary: Only the first gate costs one coin.
    expr: all(g.fee is Coins and g.fee.many == (g.number > 0) for g in gates)

watch:""",
    ),
    (
        "  no_such_gate:",
        "  busy: {class: BusyError, fields: {at: int}, message: '{at}'}\n  no_such_gate:",
    ),
)


def test_the_formulas_read_constructors_collections_and_initial_values() -> None:
    text = (ROOT / "tests/codegen/turnstile.yaml").read_text(encoding="utf-8")
    for old, new in READS:
        assert old in text
        text = text.replace(old, new, 1)
    scenario = scenarios(program_of(text.encode(), "turnstile.yaml"))[0]
    assert walked(relation(scenario)) == counted(scenario) > 50


def test_the_formulas_read_what_guards_bind_in_updates() -> None:
    text = (ROOT / "tests/codegen/turnstile.yaml").read_text(encoding="utf-8")
    rich = (
        "  rich: {let: {more: gate.coins + 1}, when: more < 5, error: {no_such_gate: {id: id}}}\n"
    )
    for old, new in (
        ("  known: {when", rich + "  known: {when"),
        ("methods: [coin], from", "methods: [coin], guards: [known, rich], from"),
        ("gate.coins: gate.coins + 1}", "gate.coins: more}"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    scenario = scenarios(program_of(text.encode(), "turnstile.yaml"))[0]
    assert walked(relation(scenario)) == counted(scenario) > 100


ARITHMETIC = (
    ("errors:", "types:\n  Change: {type: int, minimum: -3, maximum: 3}\n\nerrors:"),
    ("  push:",
     "  give: {summary: Pay., methods: [give], params: {by: Change}, from: [locked],"
     " update: {gate.coins: gate.coins * 2 + by % 3, gate.last: -by // 2}}\n"
     "  share: {summary: Share., methods: [share], params: {by: Change}, from: [unlocked],"
     " update: {gate.coins: gate.coins // by % 4, gate.last: gate.last % by}}\n  push:"),
    ("coins: {type: int, initial: '0'}",
     "coins: {type: int, initial: '0'}\n  last: {type: Change, initial: 0}"),
)  # fmt: skip


def arithmetic() -> Scenario:
    text = (ROOT / "tests/codegen/turnstile.yaml").read_text(encoding="utf-8")
    one = "scenarios: {one: {summary: One., entities: 1}}\n\nsnapshot:"
    for old, new in (*ARITHMETIC, ("snapshot:", one)):
        assert old in text
        text = text.replace(old, new, 1)
    return scenarios(program_of(text.encode(), "turnstile.yaml"))[0]


def test_the_formulas_calculate_as_python_does() -> None:
    scenario = arithmetic()
    assert walked(relation(scenario)) == counted(scenario) > 50


@pytest.mark.nightly
@needs_spin
def test_spin_calculates_as_python_does() -> None:
    scenario = arithmetic()
    found = Search(scenario).run()
    told, mistakes = compared_with_spin(scenario, found, "turnstile.yaml")
    assert mistakes == [], told


@pytest.mark.parametrize("divisor", [each for each in range(-4, 5) if each])
def test_quotients_and_remainders_are_rounded_down(divisor: int) -> None:
    x, y = (variable(name, is_bool=False) for name in "xy")
    for number in range(-9, 10):
        state = {"x": number, "y": divisor}
        assert value(quotient(x, y), state, {}) == quotient(number, divisor) == number // divisor
        assert value(remainder(x, y), state, {}) == remainder(number, divisor) == number % divisor


@needs_spin
@pytest.mark.nightly
def test_spin_counts_as_many_states_of_the_shipped_machine() -> None:
    found = search("waiting").found
    told, wrong = compared_with_spin(found.scenario, found, "machine.yaml")
    assert wrong == []
    assert re.fullmatch(r"SPIN [\d.]+ finds (\d+) states, the search \1( without symmetry)?", told)


@needs_spin
@pytest.mark.nightly
def test_spin_names_the_property_that_is_broken() -> None:
    assert PROGRAMS is not None
    program = edited((
        "  from: live\n  update: {registry.active_count: registry.active_count - 1}\n",
        "  from: live\n",
    ))  # fmt: skip
    scenario = scenario_of(program, "waiting")
    found = spin.count(promela(scenario, relation(scenario), "machine.yaml"), PROGRAMS)
    assert found.broken == "active_count_is_the_live_ones"


@pytest.mark.nightly
@needs_spin
def test_a_rule_read_differently_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def misread(scenario: Scenario) -> Relation:
        right = relation(scenario)
        forgetful = [attrs.evolve(each, after=each.after[:-1]) for each in right.transitions]
        return attrs.evolve(right, transitions=tuple(forgetful))

    monkeypatch.setattr("opslifecycle_codegen.cli.verify.relation", misread)
    scenario = small(LAMP)
    _, wrong = compared_with_spin(scenario, Search(scenario).run(), "machine.yaml")
    assert len(wrong) == 1
    assert "the search" in wrong[0]


def test_without_spin_it_says_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spin, "find", lambda: None)
    scenario = small(LAMP)
    told, wrong = compared_with_spin(scenario, Search(scenario).run(), "machine.yaml")
    assert told.startswith("SPIN SKIPPED: needs spin")
    assert wrong == []


def test_each_action_of_tla_says_what_becomes_of_every_variable() -> None:
    scenario = scenario_of(edited(), "waiting")
    system = relation(scenario)
    text = tla(scenario, system, "machine.yaml")
    names = {term.name for term, _ in system.variables}
    actions = re.split(r"\nCall\d+ ==\n", text.partition("\nNext ==")[0])[1:]
    assert len(actions) == len(scenario.calls)
    for action in actions:
        changed = set(re.findall(r"/\\ (\w+)' =", action))
        kept = re.search(r"UNCHANGED <<(.*)>>", action)
        same: set[str] = set(kept[1].split(", ")) if kept else set()
        assert changed | same == names
        assert not changed & same
    for name, _ in [*system.properties, *system.steps]:
        assert f"\n{name} == " in text


def test_export_prints_a_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    there = ["--project", str(ROOT / "examples/lamp")]
    assert main([*there, "export", "default"]) == 0
    assert "active proctype registry()" in capsys.readouterr().out
    assert main([*there, "export", "default", "--to", "tla"]) == 0
    assert capsys.readouterr().out.startswith("---- MODULE default ----")
    assert main([*there, "export", "defualt"]) == 2
    said: Any = capsys.readouterr()
    assert "there is no scenario 'defualt'" in said.err
    assert "default" in said.err

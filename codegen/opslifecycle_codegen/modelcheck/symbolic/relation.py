"""A scenario as a transition system: variables, initial values, and a transition for each call."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from opslifecycle_codegen.ir.times import reads_now
from opslifecycle_codegen.ir.types import BOOL, Type
from opslifecycle_codegen.modelcheck.properties import WATCHES_ARE_OF_THE_LIVE
from opslifecycle_codegen.modelcheck.scenarios import Bound, Scenario
from opslifecycle_codegen.modelcheck.state import Call
from opslifecycle_codegen.modelcheck.symbolic.calls import Calls
from opslifecycle_codegen.modelcheck.symbolic.rules import Rules
from opslifecycle_codegen.modelcheck.symbolic.shapes import Maybe, Shape, maybe
from opslifecycle_codegen.modelcheck.symbolic.terms import (
    Formula,
    Term,
    below,
    both,
    either,
    negated,
    variable,
)
from opslifecycle_codegen.modelcheck.symbolic.world import Effects, World


@frozen
class Transition:
    """One call: its precondition, and the new value of each variable that it may change."""

    call: Call
    enabled: Formula
    after: tuple[tuple[Term, Formula], ...]
    #: Properties of this step, by name.
    steps: tuple[tuple[str, Formula], ...]


@frozen
class Relation:
    """A transition system over integers and booleans."""

    variables: tuple[tuple[Term, Formula], ...]
    transitions: tuple[Transition, ...]
    properties: tuple[tuple[str, Formula], ...]
    #: Properties of every step, over variables before it and, primed, after it.
    steps: tuple[tuple[str, Formula], ...]
    #: True if a count exceeds its bound: such a state is checked, not expanded.
    past: Formula


class NotCoveredError(Exception):
    """What a machine declares and no transition system here has."""


def relation(scenario: Scenario) -> Relation:
    """Return the transition system of a scenario, without the variables that never change.

    Raises:
        NotCoveredError: The rules of the machine read the time, or parts of stored texts, lists or
            dicts.
    """
    if reads_now(scenario.interpreter.program):
        raise NotCoveredError("the rules read `now`, and the model has no time")
    names = _Maker(scenario, frozenset()).names()
    idle = frozenset(name for name in names if name)
    while changing := _Maker(scenario, idle).changing(names) & idle:
        idle -= changing
    return _Maker(scenario, idle).made()


def _not_covered(function: str, *arguments: Formula, is_bool: bool = False) -> Formula:
    read = "lengths or parts of stored texts, lists or dicts"
    raise NotCoveredError(f"the rules read {read}, which are numbers here")


class _Maker:
    def __init__(self, scenario: Scenario, idle: frozenset[str]) -> None:
        interpreter = scenario.interpreter
        self._scenario = scenario
        self._rules = rules = Rules(interpreter.program, interpreter.layouts, interpreter.ids)
        rules.kept = self._kept
        rules.formulas.characters.unknown = rules.shapes.sequences.unknown = _not_covered
        rules.shapes.tables.unknown = _not_covered
        self._effects = Effects(rules, scenario)
        self._idle = idle
        self._world = self._effects.fresh(lambda type, name: self._unknown(type, name, ""))
        self._leaves = [_variable(leaf) for leaf in self._effects.leaves(self._world)]
        self._calls = Calls(rules, self._effects, interpreter.ids)

    def _unknown(self, type: Type, name: str, stroke: str) -> Shape:
        """Return a value of variables; a leaf that never changes is zero, its initial value."""

        def leaf(name: str, type: Type) -> Formula:
            if name in self._idle:
                return False if type == BOOL else 0
            return variable(name + stroke, is_bool=type == BOOL)

        return self._rules.shapes.made(type, name, leaf)

    def _kept(self, type: Type, shape: Shape) -> Shape:
        """Return a value as a record of a scenario holds it: zero in parts that no rule reads."""
        if type.required.kind != "record" or shape is None:
            return shape
        if isinstance(shape, Maybe):
            return Maybe(shape.there, self._kept(type.required, shape.value))
        name = type.required.name
        looked_at = self._scenario.interpreter.evaluator.looked_at_in_records
        named = self._rules.layouts.fields(type.required).items()
        return tuple(
            value if (name, field) in looked_at
            else None if each.optional else self._rules.shapes.zero(each)
            for value, (field, each) in zip(shape, named, strict=True)
        )  # fmt: skip

    def made(self) -> Relation:
        """Return the transition system."""
        initial = self._effects.leaves(self._initial())
        begins = zip(self._leaves, initial, strict=True)
        return Relation(
            tuple((leaf, value) for leaf, value in begins if leaf is not None),
            tuple(self._transition(call) for call in self._scenario.calls),
            tuple(self._properties()),
            tuple(self._steps(self._effects.fresh(lambda t, name: self._unknown(t, name, "'")))),
            self._past(),
        )

    def names(self) -> list[str]:
        """Return the name of the variable of each leaf that begins as zero."""
        initial = self._effects.leaves(self._initial())
        return [
            leaf.name if leaf is not None and not isinstance(value, Term) and value == 0 else ""
            for leaf, value in zip(self._leaves, initial, strict=True)
        ]

    def changing(self, names: list[str]) -> set[str]:
        """Return the variables that some transition changes."""
        found = set()
        for call in self._scenario.calls:
            world = self._world.copy()
            self._calls.made(world, call)
            leaves = zip(
                names, self._effects.leaves(self._world), self._effects.leaves(world), strict=True
            )
            found |= {name for name, old, new in leaves if new is not old and new != old}
        return found

    def _initial(self) -> World:
        rules = self._rules
        world = self._effects.fresh(lambda type, name: rules.shapes.zero(type))
        initial = rules.program.registry_initial
        world.registry = tuple(
            rules.formulas.shape(initial[name], {}) if name in initial else kept
            for kept, name in zip(world.registry, rules.registry_fields, strict=True)
        )
        return world

    def _properties(self) -> Iterator[tuple[str, Formula]]:
        names = self._effects.names(self._world)
        for rule in self._rules.program.invariants:
            yield rule.name, self._rules.formulas.truth(rule.tree, names)
        yield WATCHES_ARE_OF_THE_LIVE, both(*(
            either(negated(watched), both(record.there, self._rules.is_awaited(record.value)))
            for watched, record in zip(self._world.watched, self._world.records, strict=True)
        ))  # fmt: skip

    def _past(self) -> Formula:
        found = []
        for bound in self._scenario.bounds:
            if not bound.of_record:
                found.append(_past_bound(bound, maybe(self._world.registry[bound.place])))
                continue
            for record in self._world.records:
                value = maybe(record.value[bound.place])
                found.append(both(record.there, _past_bound(bound, value)))
        return either(*found)

    # Transitions --------------------------------------------------------------------------------

    def _transition(self, call: Call) -> Transition:
        world = self._world.copy()
        enabled = self._calls.made(world, call)
        leaves = zip(
            self._leaves, self._effects.leaves(self._world), self._effects.leaves(world),
            strict=True,
        )  # fmt: skip
        changed = [(leaf, new) for leaf, old, new in leaves if leaf is not None and new is not old]
        return Transition(call, enabled, tuple(changed), tuple(self._steps(world)))

    def _steps(self, world: World) -> Iterator[tuple[str, Formula]]:
        before = self._world.registry, self._world.cursors
        return self._rules.steps(before, (world.registry, world.cursors))


def _past_bound(bound: Bound, value: Maybe) -> Formula:
    low = below(value.value, bound.least) if bound.least is not None else False
    return both(value.there, either(below(bound.most, value.value), low))


def _variable(leaf: Formula) -> Term | None:
    """Return the variable of a leaf; None if its value is known."""
    while isinstance(leaf, Term) and leaf.op != "var":
        # The leaf of an optional owner is conditional on the owner's existence.
        leaf = leaf.args[-1] if leaf.op == "and" else leaf.args[1]
    return leaf if isinstance(leaf, Term) else None

"""The integers that a search tries: the values at which the rules of a machine change their mind.

A rule that compares `amount` with 50 decides alike for all numbers below 50, and for all above. So
50 and its two neighbours stand for the rest. What is compared with or set from a number shares its
constants: numbers that meet in one comparison or update are one group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from opslifecycle_codegen.analysis.counters import every_update
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, nodes_of
from opslifecycle_codegen.ir.program import Check, Command, Program
from opslifecycle_codegen.ir.several import Joined, element_of, sized_sources
from opslifecycle_codegen.ir.sized import Length
from opslifecycle_codegen.ir.types import ENTITY, Type

#: The source of a number: the name of a parameter, or a type and the name of its field.
Source = str | tuple[str, str]
#: How far numbers go of which no rule knows a larger constant.
SMALL_MAX = 1
#: The longest text that is tried.
LENGTH_MAX = 100_000
#: How far a search counts by itself.
STEPS_MAX = 20


class Representatives:
    """The constants of each number of a machine, and the values that stand for all others."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._group: dict[Source, Source] = {}
        self._constants: dict[Source, set[int]] = {}
        #: Numbers that a test compares.
        self._met: set[Source] = set()
        #: Lengths that a rule reads.
        self._measured: set[Source] = set()
        #: What each number is set from, and those that are computed and not just copied.
        self._set_from: dict[Source, set[Source]] = {}
        self._computed: set[Source] = set()
        parameters = {name for each in _commands(program) for name in each.params}
        for tree in self._tests():
            self._meet(tree)
        for target, value in self._updates():
            self._set(target, value)
        for (record, name), tree in program.always.items():
            # The constructor computes it from its parameters, which set the other fields.
            for source in set(_sources(tree)):
                if isinstance(source, str):
                    self._join({source, (record, source)})
            self._set((record, name), tree)
        #: The fields that hold a parameter as it was passed.
        self.held_in: dict[str, set[Source]] = {}
        for target, value in self._updates():
            if isinstance(value, nodes.Name) and value.root is nodes.Root.PARAMETER:
                self.held_in.setdefault(value.name, set()).add(target)
        #: Groups with a parameter.
        self._given = {self._find(name) for name in parameters}
        self._circular = self._circles()
        self._compared = {self._find(each) for each in self._met}

    def values(self, type: Type, source: Source) -> list[int]:
        """Return the integers of a type that stand for all of them, in their order."""
        least, most = type.range
        constants = self.constants(source)
        larger = [each for each in constants if abs(each) > SMALL_MAX]
        near = {0, *(each + step for each in larger for step in (-1, 0, 1))}
        if not larger:
            near |= {SMALL_MAX, -SMALL_MAX}
        if type.limits is not None:
            near |= {least, most}
        return sorted(each for each in near if least <= each <= most)

    def furthest(self, source: Source) -> int | None:
        """Return how far a number goes from 0 in a search; None if it ends by itself.

        That is so for a number that is never computed from itself: it has as many values as what it
        is set from. Another one goes through all numbers on its way: as far as its constants, if a
        parameter may be one of them, or steps of one lead there.
        """
        if source not in self._circular:
            return None
        found = self.constants(source)
        if self._find(source) not in self._given:
            found = [each for each in found if abs(each) <= STEPS_MAX]
        return max((abs(each) + 1 for each in found), default=0)

    def is_compared(self, source: Source) -> bool:
        """Return whether a test compares a number, or what is set from it."""
        return self._find(source) in self._compared

    def lengths(self, type: Type, source: Source) -> list[int] | None:
        """Return the lengths that stand for all of a value's; None if no rule reads its length."""
        length = length_of(source)
        if self._find(length) not in {self._find(each) for each in self._measured}:
            return None
        limits = type.required.limits
        most = limits.max_length if limits is not None else None
        most = LENGTH_MAX if most is None else min(most, LENGTH_MAX)
        near = {0, 1, most} if most < LENGTH_MAX else {0, 1}
        near |= {each + step for each in self.constants(length) for step in (-1, 0, 1)}
        return sorted(each for each in near if 0 <= each <= most)

    def constants(self, source: Source) -> list[int]:
        """Return the constants that rules compare a number with, or set it to."""
        return sorted(self._constants.get(self._find(source), ()))

    # Reading the machine ------------------------------------------------------------------------

    def _tests(self) -> Iterator[Expression]:
        program = self._program
        for command in _commands(program):
            for check in command.guards:
                yield from self._test_of(check)
            yield from (target.test for target in command.targets if target.test is not None)
            yield from (way.outcome for way in command.ways if way.outcome is not None)
        for check in program.barrier.first if program.barrier is not None else ():
            yield from self._test_of(check)
        ways = [way for action in program.actions for way in action.ways]
        steps = (*program.on_terminal, *(step for way in ways for step in way.steps))
        yield from (step.test for step in (*steps, *program.create.steps) if step.test is not None)
        yield from (each.unless for each in program.bulk if each.unless is not None)
        yield from (timer.due for timer in program.timers)
        if program.recovery is not None:
            yield program.recovery.persist_if
            if program.recovery.stays is not None:
                yield program.recovery.stays
            yield from program.recovery.fields.values()
        rules = (*program.classifiers, *program.invariants, *program.transition_invariants)
        yield from (rule.tree for rule in rules)

    def _test_of(self, check: Check) -> Iterator[Expression]:
        # The guards that the compiler places test the ends of ranges, which no search counts to.
        if " " in check.guard:
            return
        for name, tree in check.lets:
            self._set(name, tree)
            yield tree
        yield check.test

    def _updates(self) -> Iterator[tuple[Source, Expression]]:
        """Yield every number that is set, and what it is set to."""
        program = self._program
        found: list[tuple[Source, Expression]] = [
            ((each.target.base.type.required.kind, each.target.name), each.value)
            for each in every_update(program)
        ]
        found += [((ENTITY.kind, name), tree) for name, tree in program.initial.items()]
        yield from found
        made = [value for _, value in found]
        ways = [way for action in program.actions for way in action.ways]
        made += [way.outcome for way in ways if way.outcome is not None]
        for node in (node for tree in made for node in nodes_of(tree)):
            if isinstance(node, nodes.Construct):
                fields = program.symbols.records[node.variant].fields
                for name, argument in zip(fields, node.arguments, strict=True):
                    yield (node.variant, name), argument

    # Groups -------------------------------------------------------------------------------------

    def _meet(self, tree: Expression) -> None:
        """Note what meets in the comparisons of a test."""
        for node in nodes_of(tree):
            if isinstance(node, Length):
                self._measured.update(_sources(node))
            if isinstance(node, nodes.Compare | nodes.Among):
                sources = set(_sources(node))
                self._join(sources, self._constants_in(node))
                self._met |= sources

    def _set(self, target: Source, value: Expression) -> None:
        """Note what a number is set from."""
        self._meet(value)
        sources = set(_sources(value))
        self._set_from.setdefault(target, set()).update(sources)
        computes = any(
            isinstance(node, nodes.Arithmetic | nodes.Negative) for node in nodes_of(value)
        )
        self._join({target, *sources}, () if computes else self._constants_in(value))
        measured = {*map(length_source, sized_sources(value))}
        self._join({length_of(target), *measured} if measured else set())
        if any(isinstance(node, Joined) for node in nodes_of(value)):
            self._set_from.setdefault(length_of(target), set()).update(measured)
            self._computed.add(length_of(target))
        if computes:
            self._computed.add(target)

    def _circles(self) -> set[Source]:
        """Return the numbers that are computed from themselves, also through others."""
        behind: dict[Source, set[Source]] = {}
        for target in self._set_from:
            found: set[Source] = set()
            waiting = [target]
            while waiting:
                for source in self._set_from.get(waiting.pop(), set()) - found:
                    found.add(source)
                    waiting.append(source)
            behind[target] = found
        return {
            target
            for target, sources in behind.items()
            if target in sources
            and any(each in self._computed and target in behind.get(each, ()) for each in sources)
        }

    def _constants_in(self, tree: Expression) -> Iterator[int]:
        for node in nodes_of(tree):
            match node:
                case nodes.Literal(value=int() as value) if not isinstance(value, bool):
                    yield value
                case nodes.Field(base=base, name=name) if base.type.required.kind == "enum":
                    members = self._program.symbols.enums[base.type.required.name].members
                    for member in members.values():
                        found = member.values.get(name)
                        if isinstance(found, int) and not isinstance(found, bool):
                            yield found

    def _find(self, source: Source) -> Source:
        while (above := self._group.get(source, source)) != source:
            source = above
        return source

    def _join(self, sources: set[Source], constants: Iterable[int] = ()) -> None:
        if not sources:
            return
        roots = {self._find(each) for each in sources}
        first = min(roots, key=str)
        found = self._constants.setdefault(first, set())
        found |= set(constants)
        for root in roots - {first}:
            self._group[root] = first
            found |= self._constants.pop(root, set())


def _commands(program: Program) -> list[Command]:
    commands = (
        program.create, *program.actions, program.rollback, program.erase, program.collect,
        program.watch, program.cursors, *(each.command for each in program.bulk),
    )  # fmt: skip
    return [each for each in commands if each is not None]


def source_of(tree: nodes.Name | nodes.Field) -> Source:
    """Return the source that a name or a field of a value is."""
    if isinstance(tree, nodes.Name):
        return tree.name
    owner = tree.base.type.required
    return (owner.name or owner.kind, tree.name)


def length_of(source: Source) -> Source:
    """Return the source of the length of a text or a collection."""
    return f"len({source})" if isinstance(source, str) else (source[0], f"len({source[1]})")


def length_source(tree: nodes.Name | nodes.Field) -> Source:
    """Return the source of the length of a name or a field."""
    return length_of(source_of(tree))


def _sources(tree: Expression) -> Iterator[Source]:
    """Yield what tells the integers that an expression reads."""
    match tree:
        case Length(value=value):
            yield from map(length_source, sized_sources(value))
            return
        case nodes.Name(name=name) if element_of(tree.type).integral:
            yield name
        case nodes.Field(base=base) if element_of(tree.type).integral:
            if base.type.required.kind != "enum":
                yield source_of(tree)
            return
        case nodes.Conditional(then=then, otherwise=otherwise):
            # What its test compares is met for itself, and is no part of the value.
            yield from _sources(then)
            yield from _sources(otherwise)
            return
    for part in nodes.parts_of(tree):
        yield from _sources(part)

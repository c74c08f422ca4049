"""A world with any number of records: a few named ones, and counts of the others.

A call changes its own record and the record of an evicted feed entry. A property reads a few
records, entries and barriers at a time. It is therefore sufficient to model arbitrary ones of
those: all others stay the same, and only counts of them are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import define, field

from opslifecycle_codegen.ir.expr import Expression, Quantified
from opslifecycle_codegen.ir.feeds import feeds_transitions
from opslifecycle_codegen.ir.types import BOOL, INT, Type
from opslifecycle_codegen.modelcheck.symbolic.formulas import Many
from opslifecycle_codegen.modelcheck.symbolic.rules import Fields, Rules
from opslifecycle_codegen.modelcheck.symbolic.shapes import Maybe, Shape, maybe, merged
from opslifecycle_codegen.modelcheck.symbolic.terms import (
    Formula,
    at_most,
    below,
    both,
    either,
    ite,
    negated,
    plus,
    same,
    variable,
)

#: The record of the call, the record of the oldest entry, and two that a property reads.
NAMED = 4

Row = tuple[Formula, Fields, Formula]
Barrier = tuple[Formula, list[Formula], Formula]
#: A count of records: the variable of the loop, and its tests.
Counted = tuple[str, tuple[Expression, ...]]


@define
class UnboundedWorld:
    """Named records, arbitrary entries and barriers, and counts of other records."""

    registry: Fields
    records: list[Maybe]
    #: Whether each entry is retained, its fields and its record; the first is the oldest.
    rows: list[Row]
    rows_count: Formula
    cursors: list[Formula]
    #: Whether each barrier is active, the named records that it waits for, and how many others.
    barriers: list[Barrier]
    watched: list[Formula]
    #: The number of other records that satisfy a condition, by the condition.
    counted: dict[Counted, Formula] = field(factory=dict)
    #: The condition of erased other records, and the counts before; None if none was erased.
    erased: Callable[[Maybe], Formula] | None = None
    before: UnboundedWorld | None = None

    def copy(self) -> UnboundedWorld:
        """Return a mutable copy."""
        return UnboundedWorld(
            self.registry, list(self.records), list(self.rows), self.rows_count,
            list(self.cursors), list(self.barriers), list(self.watched), self.counted,
        )  # fmt: skip

    def without(self, erased: Callable[[Maybe], Formula]) -> UnboundedWorld:
        """Return a mutable copy in which these other records are erased."""
        world = self.copy()
        world.counted, world.erased, world.before = {}, erased, self
        return world


class UnboundedWorlds:
    """Makes such worlds, states their constraints, and applies effects."""

    def __init__(self, rules: Rules, valid: Callable[[Formula], bool]) -> None:
        self.rules = rules
        #: Returns whether a formula is valid; asks a solver.
        self._valid = valid
        #: Constraints of all values that were made: the ranges of their types.
        self.ranges: list[Formula] = []
        self._has_feed = rules.machine.feed is not None
        self._of_transitions = feeds_transitions(rules.machine)

    # Values -------------------------------------------------------------------------------------

    def fresh(self, type: Type, name: str) -> Shape:
        """Return an arbitrary value of a type."""
        return self.rules.shapes.made(type, name, self._leaf)

    def _leaf(self, name: str, type: Type) -> Formula:
        made = variable(name, is_bool=type == BOOL)
        size = None
        if type.kind == "enum":
            size = len(self.rules.layouts.members(type.name))
        elif type.kind == "variants":
            size = len(self.rules.shapes.variants(type.name))
        if size is not None:
            self.ranges.append(both(at_most(0, made), below(made, size)))
        elif type.integral:
            least, most = type.range
            self.ranges.append(at_most(least, made))
            if type.kind != "int" or type.limits is not None:
                self.ranges.append(at_most(made, most))
        return made

    def world(self) -> UnboundedWorld:
        """Return an arbitrary world."""
        rules, symbols = self.rules, self.rules.symbols
        registry = tuple(self.fresh(t, f"registry_{n}") for n, t in symbols.registry_fields.items())
        records = [
            Maybe(self._leaf(f"{at}_there", BOOL), tuple(
                at if name == "id" else self.fresh(type, f"{at}_{name}")
                for name, type in symbols.entity_fields.items()
            ))
            for at in range(NAMED)
        ]  # fmt: skip
        rows = [self._row(name) for name in ("oldest", "row")] if self._has_feed else []
        count = self._leaf("rows_count", INT) if rows else 0
        barriers = [self.barrier("barrier")] if rules.machine.barrier is not None else []
        enum = symbols.cursor_enum
        names = rules.layouts.members(enum) if enum else ()
        cursors = [self._leaf(f"cursor_{name}", INT) for name in names]
        watched: list[Formula] = [False] * NAMED
        if rules.machine.watch is not None:
            watched = [self._leaf(f"{at}_watched", BOOL) for at in range(NAMED)]
        return UnboundedWorld(registry, records, rows, count, cursors, barriers, watched)

    def _row(self, name: str) -> Row:
        types = self.rules.symbols.row_fields
        fields = tuple(self.fresh(type, f"{name}_{field}") for field, type in types.items())
        wrote = variable(f"{name}_by", is_bool=False)
        return self._leaf(f"{name}_there", BOOL), fields, wrote

    def barrier(self, name: str) -> Barrier:
        """Return an arbitrary barrier."""
        members: list[Formula] = [self._leaf(f"{name}_{at}", BOOL) for at in range(NAMED)]
        return self._leaf(f"{name}_there", BOOL), members, self._leaf(f"{name}_rest", INT)

    def names(self, world: UnboundedWorld) -> dict[str, Shape]:
        """Return the bindings of the names in properties."""
        rules = self.rules
        barriers = tuple(
            (there, (Many(tuple((e, at) for at, e in enumerate(members)), _count(rest)),))
            for there, members, rest in world.barriers
        )
        records = tuple((each.there, Maybe(True, each.value)) for each in world.records)
        return {
            "registry": world.registry,
            f"{rules.entity}s": Many(records, self._rest(world)),
            "feed": Many(tuple((r[0], r[1]) for r in world.rows)),
            "barriers": Many(barriers),
            "cursors": tuple(world.cursors),
        }

    def _rest(self, world: UnboundedWorld) -> Callable[[Quantified], Formula]:
        """Return the number of other records that satisfy the tests of a count."""

        def count(tree: Quantified) -> Formula:
            (loop,) = tree.loops
            return self._counted(world, (loop.variable, loop.tests))

        return count

    def _counted(self, world: UnboundedWorld, counted: Counted) -> Formula:
        """Return the number of other records that satisfy tests; an erasure cannot increase it."""
        if counted in world.counted:
            return world.counted[counted]
        if world.erased is None or world.before is None:
            found = self._leaf(f"rest_{len(world.counted)}", INT)
        else:
            earlier = self._counted(world.before, counted)
            found = earlier
            any_record, (variable, tests) = self._any_record(), counted
            names = {variable: any_record}
            holds = both(*(self.rules.formulas.truth(test, names) for test in tests))
            if not self._valid(negated(both(holds, world.erased(any_record)))):
                found = self._leaf(f"rest_after_{len(world.counted)}", INT)
                self.ranges.append(at_most(found, earlier))
        world.counted[counted] = found
        return found

    def _any_record(self) -> Maybe:
        types = self.rules.symbols.entity_fields
        return Maybe(True, tuple(self.fresh(type, f"any_{name}") for name, type in types.items()))

    def known(self, world: UnboundedWorld) -> Iterator[Formula]:
        """Yield the constraints of every world, besides the machine's own properties."""
        yield from self.orders(world)
        if world.rows:
            (oldest, _, by), (other, _, _), *_ = world.rows
            yield same(oldest, below(0, world.rows_count))
            yield either(negated(other), below(1, world.rows_count))
            yield both(at_most(0, by), below(by, NAMED))

    def orders(self, world: UnboundedWorld) -> Iterator[Formula]:
        """Return the constraints: entries are in order, numbered so far, and within the limit."""
        feed = self.rules.machine.feed
        if feed is None:
            return
        place = list(self.rules.symbols.row_fields).index("seq")
        latest = world.registry[self.rules.registry_fields.index(str(feed.counter))]
        for at, (there, row, _) in enumerate(world.rows):
            yield either(negated(there), at_most(maybe(row[place]).value, latest))
            for later, after, _ in world.rows[at + 1 :]:
                yield either(
                    negated(both(there, later)),
                    below(maybe(row[place]).value, maybe(after[place]).value),
                )
        if self.rules.machine.retention is not None:
            yield at_most(world.rows_count, self.rules.rows_max(world.registry))

    # Effects ------------------------------------------------------------------------------------

    def apply_effects(
        self, world: UnboundedWorld, record: Fields, effects: tuple[tuple[Formula, str], ...]
    ) -> None:
        """Apply the effects of the call's record, which is the first named one."""
        for when, effect in effects:
            if effect == "append_to_feed":
                self._append(world, when, record)
            elif effect == "evict_oldest":
                self._evict(world, when)
            elif effect == "erase":
                self.erase(world, when, 0)
            elif effect in ("count_in_barriers", "fail_barriers"):
                whole = effect == "fail_barriers"
                world.barriers = [_without(each, when, whole=whole) for each in world.barriers]
            elif effect in ("wake_watchers", "close_watchers"):
                world.watched[0] = both(world.watched[0], negated(when))

    def _append(self, world: UnboundedWorld, when: Formula, record: Fields) -> None:
        world.rows.append((when, self.rules.row(record), 0))
        world.rows_count = plus(world.rows_count, ite(when, 1, 0))

    def _evict(self, world: UnboundedWorld, when: Formula) -> None:
        """Evict the oldest entry above the limit; that one eviction suffices is proved."""
        full = both(when, below(self.rules.rows_max(world.registry), world.rows_count))
        # The oldest entry is the former oldest, or the new one of an empty feed.
        there, fields, by = world.rows[0]
        for new_there, new_fields, new_by in world.rows[2:]:
            fields = merged(there, fields, new_fields)
            by = ite(there, by, new_by)
            there = either(there, new_there)
        sequence = maybe(fields[list(self.rules.symbols.row_fields).index("seq")]).value
        place = self.rules.registry_fields.index("dropped_through")
        dropped = ite(full, sequence, world.registry[place])
        world.registry = (*world.registry[:place], dropped, *world.registry[place + 1 :])
        before = world.rows[0][0]
        world.rows = [
            (both(row[0], negated(both(full, before if at == 0 else negated(before)))), *row[1:])
            if at != 1 else row
            for at, row in enumerate(world.rows)
        ]  # fmt: skip
        world.rows_count = plus(world.rows_count, ite(full, -1, 0))
        retention = self.rules.program.retention
        assert retention is not None
        for at, record in enumerate(world.records if retention.evicts_records else ()):
            own = maybe(record.value[self.rules.fields.index("sequence")])
            wrote = both(full, same(by, at), own.there, same(own.value, sequence))
            if self._of_transitions:
                wrote = both(wrote, self.rules.is_in("terminal", record.value))
            self.erase(world, wrote, at)

    def erase(self, world: UnboundedWorld, when: Formula, place: int) -> None:
        """Erase a named record."""
        record = world.records[place]
        world.records[place] = Maybe(both(record.there, negated(when)), record.value)


def _count(rest: Formula) -> Callable[[Quantified], Formula]:
    return lambda tree: rest


def _without(barrier: Barrier, when: Formula, *, whole: bool) -> Barrier:
    """Return a barrier without the first named record; inactive if no record remains."""
    there, members, rest = barrier
    held = both(when, there, members[0])
    left = [both(members[0], negated(when)), *members[1:]]
    empty = both(*(negated(each) for each in left), same(rest, 0))
    return both(there, negated(held if whole else both(held, empty))), left, rest

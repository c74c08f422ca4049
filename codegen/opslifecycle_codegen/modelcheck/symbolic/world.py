"""The state of a scenario as formulas, and the application of effects.

Each list of the state has a fixed number of slots, used ones first. An effect is conditional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import define, frozen

from opslifecycle_codegen.ir.feeds import feeds_transitions
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.symbolic.formulas import Many
from opslifecycle_codegen.modelcheck.symbolic.rules import Fields, Rules
from opslifecycle_codegen.modelcheck.symbolic.shapes import Maybe, Shape, maybe, merged
from opslifecycle_codegen.modelcheck.symbolic.terms import (
    Formula,
    at_most,
    both,
    either,
    ite,
    negated,
    same,
)

#: A slot of a list: the condition that it is used, and its value.
Slot = tuple[Formula, Shape]


@define
class World:
    """The whole state, in the order of `State`."""

    registry: Fields
    records: list[Maybe]
    ended: list[Slot]
    rows: list[Slot]
    cursors: list[Formula]
    #: For each key, barriers as conditions that each id is an unfinished member.
    barriers: list[list[Slot]]
    watched: list[Formula]

    def copy(self) -> World:
        """Return a mutable copy."""
        return World(
            self.registry, list(self.records), list(self.ended), list(self.rows),
            list(self.cursors), [list(each) for each in self.barriers], list(self.watched),
        )  # fmt: skip


@frozen
class Sizes:
    """The number of slots of each list."""

    ids: int
    rows: int
    keys: int
    barriers: int


class Effects:
    """Makes worlds of one scenario, and applies effects to them."""

    def __init__(self, rules: Rules, scenario: Scenario) -> None:
        self.rules = rules
        self.scenario = scenario
        self._rows_max = self._constant_rows_max()
        retention = rules.program.retention
        self._evicts_records = retention is not None and retention.evicts_records
        self._held_by_cursors = retention is not None and retention.held_by_cursors
        self._of_transitions = feeds_transitions(rules.machine)
        barrier = rules.machine.barrier
        feed = rules.machine.feed
        counter = str(feed.counter) if feed is not None else ""
        sequences = next((b.most for b in scenario.bounds if b.name == f"registry.{counter}"), 0)
        ids = len(scenario.interpreter.ids)
        self.sizes = Sizes(
            ids,
            self._rows_size(sequences + ids) if feed is not None else 0,
            scenario.interpreter.keys if barrier is not None else 0,
            barrier.active_per_key_max if barrier is not None else 0,
        )
        self._row_types = [*rules.symbols.row_fields.values(), rules.symbols.entity_fields["id"]]

    def _constant_rows_max(self) -> int:
        if self.rules.program.retention is None:
            return 0
        registry = tuple(self._settings(name) for name in self.rules.registry_fields)
        found = self.rules.rows_max(registry)
        assert isinstance(found, int)
        return found

    def _rows_size(self, ends_max: int) -> int:
        """Return the maximum number of feed entries."""
        if self.rules.machine.retention is None or self._held_by_cursors:
            return ends_max
        return min(self._rows_max + 1, ends_max)

    def _settings(self, name: str) -> Shape:
        settings = {str(each) for each in self.rules.machine.settings}
        return self.scenario.interpreter.setting(name) if name in settings else 0

    # Worlds -------------------------------------------------------------------------------------

    def fresh(self, make: Callable[[Type, str], Shape]) -> World:
        """Return a world of variables, each made by its type and name; settings are constants."""
        rules, sizes = self.rules, self.sizes
        settings = {str(each) for each in rules.machine.settings}
        registry = tuple(
            self._settings(name) if name in settings else make(type, f"registry_{name}")
            for name, type in rules.symbols.registry_fields.items()
        )
        boolean, id_type = Type("bool"), rules.symbols.entity_fields["id"]
        ids = self.scenario.interpreter.ids
        records = [
            Maybe(make(boolean, f"{id}_there"), tuple(
                at if name == "id" else make(type, f"{id}_{name}")
                for name, type in rules.symbols.entity_fields.items()
            ))
            for at, id in enumerate(ids)
        ]  # fmt: skip
        return World(
            registry,
            records,
            [
                (make(boolean, f"ended{n}_there"), make(id_type, f"ended{n}"))
                for n in range(sizes.ids)
            ],
            [(make(boolean, f"row{n}_there"), self._row(n, make)) for n in range(sizes.rows)],
            [make(Type("int"), name) for name in self._consumers()],
            [
                [(make(boolean, f"barrier{key}_{n}_there"),
                  [make(boolean, f"barrier{key}_{n}_{id}") for id in ids])
                 for n in range(sizes.barriers)]
                for key in range(sizes.keys)
            ],
            [make(boolean, f"{id}_watched") for id in ids],
        )  # fmt: skip

    def _row(self, number: int, make: Callable[[Type, str], Shape]) -> Fields:
        names = [*self.rules.symbols.row_fields, "by"]
        return tuple(
            make(type, f"row{number}_{name}")
            for name, type in zip(names, self._row_types, strict=True)
        )

    def _consumers(self) -> list[str]:
        enum = self.rules.symbols.cursor_enum
        return [f"cursor_{name}" for name in self.rules.layouts.members(enum)] if enum else []

    def leaves(self, world: World) -> Iterator[Formula]:
        """Return the formulas of a world, zero for absent parts: equal states have equal leaves."""
        rules = self.rules
        for name, shape in zip(rules.registry_fields, world.registry, strict=True):
            yield from rules.shapes.leaves(rules.symbols.registry_fields[name], shape)
        types = list(rules.symbols.entity_fields.values())
        for record in world.records:
            yield record.there
            for type, shape in list(zip(types, record.value, strict=True))[1:]:
                for leaf in rules.shapes.leaves(type, shape):
                    yield self._there(record.there, leaf)
        for there, id in world.ended:
            yield there
            yield self._there(there, id)
        for there, row in world.rows:
            yield there
            for type, shape in zip(self._row_types, row, strict=True):
                for leaf in rules.shapes.leaves(type, shape):
                    yield self._there(there, leaf)
        yield from world.cursors
        for key in world.barriers:
            for there, members in key:
                yield there
                for each in members:
                    yield both(there, each)
        yield from world.watched

    @staticmethod
    def _there(there: Formula, leaf: Formula) -> Formula:
        truth = isinstance(leaf, bool) or getattr(leaf, "is_bool", False)
        return ite(there, leaf, False if truth else 0)

    def names(self, world: World) -> dict[str, Shape]:
        """Return the bindings of the names in properties."""
        rules = self.rules
        barriers = tuple(
            (there, (Many(tuple((each, at) for at, each in enumerate(members))),))
            for key in world.barriers for there, members in key
        )  # fmt: skip
        return {
            "registry": world.registry,
            "feed": Many(tuple(world.rows)),
            "barriers": Many(barriers),
            "cursors": tuple(world.cursors),
            **rules.many(world.records),
        }

    # Effects ------------------------------------------------------------------------------------

    def apply_effects(
        self, world: World, place: int, record: Fields, effects: tuple[tuple[Formula, str], ...]
    ) -> None:
        """Apply the effects of the record at an index, each under its condition."""
        for when, effect in effects:
            if effect == "append_to_feed":
                self._append(world, when, place, record)
            elif effect == "evict_oldest":
                self._evict(world, when)
            elif effect == "erase":
                self.erase(world, when, place)
            elif effect in ("count_in_barriers", "fail_barriers"):
                world.barriers = [
                    self._without(key, when, place, whole=effect == "fail_barriers")
                    for key in world.barriers
                ]
            elif effect in ("wake_watchers", "close_watchers"):
                world.watched[place] = both(world.watched[place], negated(when))

    def note_end(self, world: World, when: Formula, place: int) -> None:
        """Append an id to the finished ones."""
        world.ended = _appended(world.ended, when, place)

    def waiting(self, slots: list[Slot], members: list[Formula]) -> list[Slot]:
        """Append a barrier if it waits for a record."""
        return _appended(slots, either(*members), members)

    def dropped(self, slots: list[Slot]) -> list[Slot]:
        """Return barriers without the last one."""
        behind = [*(there for there, _ in slots[1:]), False]
        gone = [both(slot[0], negated(after)) for slot, after in zip(slots, behind, strict=True)]
        return _removed(slots, gone, [False] * self.sizes.ids)

    def _append(self, world: World, when: Formula, place: int, record: Fields) -> None:
        world.rows = _appended(world.rows, when, (*self.rules.row(record), place))

    def evict_passed(self, world: World) -> None:
        """Evict entries that an advanced cursor has released."""
        if self._held_by_cursors:
            self._evict(world, True)

    def _evict(self, world: World, when: Formula) -> None:
        over = len(world.rows) - self._rows_max
        # Only entries that cursors have retained can exceed the limit by more than one.
        for _ in range(over if self._held_by_cursors else min(over, 1)):
            self._evict_oldest(world, when)

    def _evict_oldest(self, world: World, when: Formula) -> None:
        full = both(when, world.rows[self._rows_max][0])
        row = world.rows[0][1]
        sequence = maybe(row[list(self.rules.symbols.row_fields).index("seq")]).value
        if self._held_by_cursors:
            full = both(full, *(at_most(sequence, cursor) for cursor in world.cursors))
        registry = list(world.registry)
        dropped = self.rules.registry_fields.index("dropped_through")
        registry[dropped] = ite(full, sequence, registry[dropped])
        world.registry = tuple(registry)
        empty = (False, self._row(0, lambda type, name: self.rules.shapes.zero(type)))
        world.rows = [
            (ite(full, after[0], slot[0]), merged(full, after[1], slot[1]))
            for slot, after in zip(world.rows, [*world.rows[1:], empty], strict=True)
        ]
        for place, record in enumerate(world.records):
            own = maybe(record.value[self.rules.fields.index("sequence")])
            wrote = both(full, same(row[-1], place), own.there, same(own.value, sequence))
            if self._of_transitions:
                wrote = both(wrote, self.rules.is_in("terminal", record.value))
            if self._evicts_records:
                self.erase(world, wrote, place)

    def erase(self, world: World, when: Formula, place: int) -> None:
        """Erase a record."""
        record = world.records[place]
        world.records[place] = Maybe(both(record.there, negated(when)), record.value)
        gone = [both(when, there, same(id, place)) for there, id in world.ended]
        world.ended = _removed(world.ended, gone, 0)

    def _without(self, slots: list[Slot], when: Formula, place: int, *, whole: bool) -> list[Slot]:
        """Return barriers without a member, and without barriers that then wait for no record."""
        found, gone = [], []
        for there, members in slots:
            rest = list(members)
            rest[place] = both(members[place], negated(when))
            held = both(when, there, members[place])
            gone.append(held if whole else both(held, negated(either(*rest))))
            found.append((there, members if whole else rest))
        return _removed(found, gone, [False] * self.sizes.ids)


def _appended(slots: list[Slot], when: Formula, value: Shape) -> list[Slot]:
    """Return slots with a value in the first free one."""
    before: Formula = True
    found = []
    for there, old in slots:
        here = both(when, before, negated(there))
        found.append((either(there, here), _merged(here, value, old)))
        before = there
    return found


def _removed(slots: list[Slot], gone: list[Formula], empty: Shape) -> list[Slot]:
    """Remove some slots, and move the others up, one after another from the last."""
    for at in reversed(range(len(slots))):
        after = [*slots[at + 1 :], (False, empty)]
        slots = [
            *slots[:at],
            *(
                (ite(gone[at], new[0], old[0]), _merged(gone[at], new[1], old[1]))
                for old, new in zip(slots[at:], after, strict=True)
            ),
        ]
    return slots


def _merged(test: Formula, then: Shape, otherwise: Shape) -> Shape:
    if isinstance(then, list):
        return [ite(test, *each) for each in zip(then, otherwise, strict=True)]
    return merged(test, then, otherwise)

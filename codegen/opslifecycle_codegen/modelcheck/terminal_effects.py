"""The effects of every end, and the stored part of a state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.times import NOW
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.modelcheck.evaluate import Evaluator
from opslifecycle_codegen.modelcheck.functions import Names
from opslifecycle_codegen.modelcheck.guards import Clauses, Step, Update
from opslifecycle_codegen.modelcheck.state import Draft, Fields, State, Value


class TerminalEffects:
    """Applies the machine's steps and effects to drafts."""

    def __init__(
        self,
        program: Program,
        evaluator: Evaluator,
        clauses: Clauses,
        places: Mapping[str, int],
        *,
        dated: bool,
    ) -> None:
        self._program = program
        self._dated = dated
        self._evaluator = evaluator
        self._places = places
        self._entity = str(program.machine.entity)
        self._fields = list(program.symbols.entity_fields)
        self._registry = list(program.symbols.registry_fields)
        self._terminal = program.symbols.status_groups["terminal"]
        self._announced = program.symbols.announced
        self._types = list(program.symbols.entity_fields.values())
        self._kept: Callable[[Type, Value], Value] = lambda type, value: value
        self._steps = clauses.steps(program.on_terminal)
        self._stamped_at_end = self.stamped("terminal")
        self._read_feed()
        self._read_recovery()

    def _read_recovery(self) -> None:
        recovery, function = self._program.recovery, self._evaluator.function
        if recovery is not None:
            self._keeps = function(recovery.persist_if)
            self._stays = function(recovery.stays) if recovery.stays is not None else _never
            self._recovered_as = [
                (self._registry.index(name), function(tree))
                for name, tree in recovery.fields.items()
            ]

    def _read_feed(self) -> None:
        program, function = self._program, self._evaluator.function
        self._row = [function(tree) for _, tree in program.views.entry]
        if program.machine.feed is not None:
            self._seq = list(program.symbols.row_fields).index("seq")
        if program.retention is not None:
            self._rows_max = function(program.retention.max_entries)

    def keep_with(self, kept: Callable[[Type, Value], Value]) -> None:
        """Store values in records as `kept` returns them."""
        self._kept = kept

    def made(self, fields: Iterable[Value]) -> Fields:
        """Return a new record with these fields."""
        return tuple(map(self._kept, self._types, fields))

    def stamped(self, when: str) -> tuple[int, ...]:
        """Return the indexes of the fields that an event stamps."""
        return tuple(
            self._fields.index(str(name))
            for name, field in self._program.machine.fields.items()
            if field.stamped == when
        )

    def stamp(self, draft: Draft, fields: list[Value], places: Iterable[int]) -> None:
        """Set fields to the time of a command; in a state without times it is 0."""
        for place in places:
            of_datetime = self._types[place].required.kind == "datetime"
            time = draft.time * 1000 if of_datetime else draft.time
            fields[place] = time if self._dated else 0

    def is_ended(self, record: Sequence[Value]) -> bool:
        """Return whether a record's status is final."""
        return record[1] in self._terminal

    def is_announced(self, record: Sequence[Value]) -> bool:
        """Return whether a record's status is terminal or a milestone, so that no wait is left."""
        return record[1] in self._announced

    def update(
        self, draft: Draft, updates: tuple[Update, ...], names: Names, fields: list[Value]
    ) -> Fields:
        """Apply updates in order, each on the results of those before it; return the record."""
        for each in updates:
            names = {NOW: draft.time, **names, "registry": tuple(draft.registry)}
            if fields:
                names[self._entity] = tuple(fields)
            target = fields if each.of_record else draft.registry
            value = each.value(names)
            if each.of_record:
                value = self._kept(self._types[each.place], value)
            target[each.place] = value
        return tuple(fields)

    def end(
        self, draft: Draft, fields: list[Value], status: str, outcome: Value
    ) -> tuple[list[Value], tuple[str, ...]]:
        """End a record; return it and its effects."""
        fields[1] = status
        fields[self._fields.index("terminal_outcome")] = outcome
        self.stamp(draft, fields, self._stamped_at_end)
        draft.ended.append(fields[0])
        return self.follow(draft, self._steps, fields)

    def follow(
        self, draft: Draft, steps: Iterable[Step], fields: list[Value]
    ) -> tuple[list[Value], tuple[str, ...]]:
        """Take steps with a record; return it, and the effects that follow."""
        effects: list[str] = []
        for test, updates, named in steps:
            names = {
                NOW: draft.time, "registry": tuple(draft.registry), self._entity: tuple(fields)
            }  # fmt: skip
            if test is None or test(names):
                fields = list(self.update(draft, updates, names, fields))
                effects += named
        return fields, tuple(effects)

    # Effects ------------------------------------------------------------------------------------

    def apply_effects(self, draft: Draft, id: str, record: Fields, effects: Sequence[str]) -> None:
        """Apply the effects of one record; the user's program applies declared effects."""
        for effect in effects:
            if effect == "append_to_feed":
                names = {self._entity: record}
                draft.rows.append((*(field(names) for field in self._row), id))
            elif effect == "evict_oldest":
                self.evict(draft)
            elif effect == "erase":
                self.erase(draft, id)
            elif effect == "count_in_barriers":
                draft.barriers = [
                    tuple(rest for each in key if (rest := _without(each, id))[0])
                    for key in draft.barriers
                ]
            elif effect == "fail_barriers":
                draft.barriers = [
                    tuple(each for each in key if id not in each[0]) for key in draft.barriers
                ]
            elif effect in ("wake_watchers", "close_watchers"):
                draft.watched[self._places[id]] = False

    def evict(self, draft: Draft) -> None:
        """Evict entries above the limit, up to the first that a cursor has not passed."""
        retention = self._program.retention
        assert retention is not None
        while len(draft.rows) > self._rows_max({"registry": tuple(draft.registry)}):
            if retention.held_by_cursors and draft.rows[0][self._seq] > min(draft.cursors):
                return
            row = draft.rows.pop(0)
            draft.registry[self._registry.index("dropped_through")] = row[self._seq]
            wrote = draft.records[self._places[row[-1]]]
            if (
                retention.evicts_records
                and wrote is not None
                and self.is_ended(wrote)
                and wrote[self._fields.index("sequence")] == row[self._seq]
            ):
                self.erase(draft, row[-1])

    def erase(self, draft: Draft, id: str) -> None:
        """Erase a record."""
        draft.records[self._places[id]] = None
        if id in draft.ended:
            draft.ended.remove(id)

    # Recovery -----------------------------------------------------------------------------------

    def live(self, draft: Draft) -> list[str]:
        """Return the ids of the live records, in their order."""
        return [r[0] for r in self._live(draft)]

    def interrupted(self, draft: Draft) -> list[str]:
        """Return the ids of the live records that recovery ends, in their order."""
        return [r[0] for r in self._live(draft) if not self._stays({self._entity: r})]

    def _live(self, draft: Draft) -> list[Fields]:
        records = [r for r in draft.records if r is not None and not self.is_ended(r)]
        return sorted(records, key=lambda record: record[0])

    def recovered(self, state: State) -> Draft:
        """Return the stored state, before interrupted records are ended."""
        draft = Draft(state)
        for record in state.records:
            if record is not None and not self._keeps({self._entity: record}):
                self.erase(draft, record[0])
        records = [record for record in draft.records if record is not None]
        if self._program.collect is not None:
            draft.ended.sort(key=lambda id: self._age(draft, id))
        for place, value in self._recovered_as:
            draft.registry[place] = value({f"{self._entity}s": records})
        return draft

    def _age(self, draft: Draft, id: str) -> tuple[bool, int, str]:
        """Return the key by which finished records are sorted; one without a number is last."""
        record = draft.records[self._places[id]]
        assert record is not None
        number = record[self._fields.index("sequence")]
        return number is None, number or 0, id


def _never(names: object) -> bool:
    return False


def _without(barrier: Fields, id: str) -> Fields:
    return (tuple(each for each in barrier[0] if each != id),)

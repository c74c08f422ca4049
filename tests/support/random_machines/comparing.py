"""What two versions of a machine show of one store, compared."""

from __future__ import annotations

from typing import Any

from opslifecycle_codegen.ir.feeds import feeds_announcements, feeds_transitions
from opslifecycle_codegen.ir.notation import notation

from tests.support.random_machines.edits import Edit
from tests.support.random_machines.seeing import Reader, Seen, Word, renamed
from tests.support.random_machines.verdicts import FaultError


def same(kind: str, found: Seen, wanted: Seen) -> None:
    """Raise FaultError unless two looks have seen the same."""
    if found != wanted:
        raise FaultError(kind, f"{found}, not {wanted}")


class Comparison:
    """What the older version has shown, and what the newer one shows."""

    def __init__(self, old: Reader, new: Reader, before: Seen, now: Seen, edit: Edit) -> None:
        self._old, self._new, self._edit = old, new, edit
        self._before, self._now = before, now
        self._entity = str(old.program.machine.entity)
        self._ends = set(new.program.symbols.status_groups["terminal"])
        recovery = new.program.machine.recovery
        self._recovers = recovery is not None and bool(recovery.do)
        #: Whether the newer version may evict what the older one has retained.
        self._evicts = new.program.retention is not None and _limits(old) != _limits(new)

    def run(self) -> None:
        """Raise FaultError for what is lost, or is another value."""
        recovered = False
        for id, record in self._before.records.items():
            now = self._now.records.get(id)
            if record is not None and now is not None and self._has_ended(record, now):
                recovered = True
                continue
            if self._has_left(record, now):
                continue
            self._record(f"record {id}", record, now)
            self._past(id)
            self._timers(id)
            self._keys(id)
        retention = self._new.program.machine.retention
        if retention is not None and retention.archive is not None:
            for sequence, record in self._before.archive.items():
                self._record(f"archived {sequence}", record, self._now.archive.get(sequence))
        if not recovered:
            for name, value in self._before.fields.items():
                if name == "dropped_through" and self._evicts:
                    continue
                if name in self._now.fields:
                    self._value(f"registry.{name}", value, self._now.fields[name])
        for name, value in self._edit.added.items():
            if name in self._now.fields and not recovered:
                shown = (type(value).__name__, value)
                self._equal(f"registry.{name}", shown, self._now.fields[name])
        self._entries(recovered)
        self._messages(recovered)
        if self._now.cursors and self._before.cursors:
            for consumer, cursor in self._before.cursors.items():
                self._equal(f"cursor {consumer}", cursor, self._now.cursors.get(consumer))

    def _past(self, id: str) -> None:
        """Compare the history of a record; one that the machine has gained is empty."""
        old, new = self._old.program.machine.history, self._new.program.machine.history
        if new is None:
            return
        before, now = self._before.histories.get(id, []), self._now.histories[id]
        if old is not None and old.last > new.last:
            before, now = before[-len(now) :] if now else [], now
        self._value(f"history of {id}", before, now)
        self._equal(f"length of the history of {id}", len(before), len(now))

    def _timers(self, id: str) -> None:
        """Compare the timers that both versions declare alike."""
        old, new = (
            {Word(f"{t.action} in {', '.join(t.statuses)}: {notation(t.due)}") for t in each.timers}
            for each in (self._old.program, self._new.program)
        )
        changed = renamed(old, self._edit.renames) ^ new
        given = {*self._edit.added, *self._edit.instead}
        others = {each.partition(" ")[0] for each in changed}
        others |= {t.action for t in self._new.program.timers
                   if any(place in notation(t.due) for place in given)}  # fmt: skip
        before, now = (
            [each for each in seen.timers.get(id, []) if each[0] not in others]
            for seen in (self._before, self._now)
        )
        self._equal(f"timers of {id}", before, now)

    def _keys(self, id: str) -> None:
        for name, holders in self._before.keys.items():
            now = self._now.keys.get(name, {})
            if id in holders and id in now:
                self._record(f"{name} of {id}", holders[id], now[id])

    def _has_left(self, record: dict[str, Any] | None, now: dict[str, Any] | None) -> bool:
        """Whether a record may be gone, because the newer version evicts what has ended."""
        retention = self._new.program.retention
        if record is None or now is not None or retention is None or not self._evicts:
            return False
        return retention.evicts_records and record.get(f"{self._entity}.status") in self._ends

    def _has_ended(self, record: dict[str, Any], now: dict[str, Any]) -> bool:
        """Whether the newer version has ended what it found interrupted."""
        key = f"{self._entity}.status"
        was, is_now = record.get(key), now.get(key)
        return self._recovers and was != is_now and is_now in self._ends

    def _record(self, what: str, record: Any, now: Any) -> None:
        if record is None or now is None:
            if record is not now:
                raise FaultError("a record vanishes or appears", f"{what}: {record}, now {now}")
            return
        for key, value in record.items():
            if key not in now or self._lost_its_number(key, now):
                continue
            if key in self._edit.instead:
                begun, gift = self._edit.instead[key]
                shown = (type(begun).__name__, begun)
                if value == shown:
                    value = (type(gift).__name__, gift)
            self._value(f"{what}: {key}", value, now[key])
        for key, value in self._edit.added.items():
            if key in now and key not in record:
                self._equal(f"{what}: {key}", (type(value).__name__, value), now[key])

    def _lost_its_number(self, key: str, now: dict[str, Any]) -> bool:
        """Whether a live record has no number, because its feed has had transitions."""
        fed = [feeds_transitions(each.program.machine) for each in (self._old, self._new)]
        ended = now.get(f"{self._entity}.status") in self._ends
        return key == f"{self._entity}.sequence" and fed == [True, False] and not ended

    def _value(self, what: str, value: Any, now: Any) -> None:
        """Compare; of a value, the fields that it still has, and those that it has now are None."""
        if isinstance(value, dict) and isinstance(now, dict):
            for key in value:
                if key in now:
                    self._value(f"{what}.{key}", value[key], now[key])
            for key in now:
                if key not in value:
                    self._equal(f"{what}.{key}", ("NoneType", None), now[key])
        elif isinstance(value, list) and isinstance(now, list) and len(value) == len(now):
            for place, (each, other) in enumerate(zip(value, now, strict=True)):
                self._value(f"{what}[{place}]", each, other)
        else:
            self._equal(what, value, now)

    def _equal(self, what: str, value: Any, now: Any) -> None:
        if value != now:
            raise FaultError("another value", f"{what}: {value}, now {now}")

    def _messages(self, recovered: bool) -> None:
        before, now = self._before.messages, self._now.messages
        if len(now) != len(before) and not (recovered and len(now) > len(before)):
            raise FaultError("messages", f"{before}, now {now}")
        for place, (message, other) in enumerate(zip(before, now, strict=False)):
            for key in ("number", "attempt", "error", "effect", "action", "arguments"):
                self._value(f"message {place}: {key}", message[key], other[key])
            self._record(f"message {place}", message["record"], other["record"])

    def _entries(self, recovered: bool) -> None:
        before, now = self._before.entries, self._now.entries
        if not self._new.program.machine.feed or (recovered and not before):
            return
        if self._evicts and recovered:
            return
        if feeds_announcements(self._new.program.machine):
            # A feed of ends shows none of the transitions that an older version's feed had.
            before = [each for each, end in zip(before, self._before.ends, strict=True) if end]
        if self._evicts:
            before = before[max(0, len(before) - len(now)) :]
        if recovered:
            now = now[: len(before)]
        if len(now) != len(before):
            raise FaultError("feed entries", f"{before}, now {now}")
        for place, (entry, other) in enumerate(zip(before, now, strict=True)):
            for key, value in entry.items():
                if key in other:
                    self._value(f"entry {place}: {key}", value, other[key])


def _limits(reader: Reader) -> tuple[object, ...]:
    """What a version evicts, and when."""
    found = reader.program.retention
    if found is None:
        return ()
    limit = notation(found.max_entries)
    settings = [each for name, each in reader.settings.items() if name in limit]
    return limit, found.evicts_records, found.held_by_cursors, settings

"""What can be seen of a registry, named so that two versions of a machine can be compared."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import attrs
from attrs import field, frozen
from opslifecycle import Clock, FrozenDict, Store
from opslifecycle.values.identifiers import Identifier, IntIdentifier
from opslifecycle_codegen.ir.naming import attribute
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import UniqueKey
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.ir.times import tells_time

from tests.support.random_machines.compiling import Generated
from tests.support.random_machines.values import Values

#: How many ids there are for records.
IDS = 3


class Word(str):
    """A name that the machine declares, which a migration may rename: texts of users are others."""

    __slots__ = ()


@frozen
class Seen:
    """The contents of a registry.

    Attributes:
        records: By id, the fields of each snapshot by their expressions; None for no record.
        fields: Those of the registry.
        entries: The feed, with the fields of each entry by their expressions.
        ends: Whether each entry is of a record that has an outcome.
        cursors: By consumer.
        archive: By sequence number, the fields of each archived record.
        histories: By id.
        messages: Those of the outbox, oldest first, and then those that are delivered no more.
        timers: By id, the action of each timer that is set and when it is due.
        keys: By unique key and id, the record that has the key of the record with the id.
    """

    records: dict[str, dict[str, Any] | None] = field(factory=dict)
    fields: dict[str, Any] = field(factory=dict)
    entries: list[dict[str, Any]] = field(factory=list)
    ends: list[bool] = field(factory=list)
    cursors: dict[str, int] = field(factory=dict)
    archive: dict[int, dict[str, Any]] = field(factory=dict)
    histories: dict[str, list[Any]] = field(factory=dict)
    messages: list[dict[Any, Any]] = field(factory=list)
    timers: dict[str, list[tuple[Word, int]]] = field(factory=dict)
    keys: dict[Word, dict[str, Any]] = field(factory=dict)

    def stored_names(self) -> set[str]:
        """Return the effects and actions that messages and histories name."""
        found = {each[key] for each in self.messages for key in ("effect", "action")}
        return found | {each["action"] for steps in self.histories.values() for each in steps}

    def renamed(self, names: Mapping[str, str]) -> Seen:
        """What is seen after a migration has renamed some names."""
        return Seen(*(renamed(getattr(self, each.name), names) for each in attrs.fields(Seen)))


def named(value: Any) -> Any:
    """A value as names and texts, whichever package it is of."""
    if isinstance(value, enum.Enum):
        return Word(value.value)
    if isinstance(value, Identifier):
        return str.__str__(value)
    if isinstance(value, IntIdentifier):
        return str(value)
    if isinstance(value, FrozenDict):
        return [[named(key), named(each)] for key, each in value.items()]
    if isinstance(value, frozenset):
        return sorted(map(named, value))
    if isinstance(value, tuple):
        return list(map(named, value))
    if attrs.has(type(value)):
        fields = {Word(each.name): named(getattr(value, each.name))
                  for each in attrs.fields(type(value))}  # fmt: skip
        return {Word("class"): Word(type(value).__name__), **fields}
    # So that 1 is neither True nor 1.0.
    return (type(value).__name__, value) if not isinstance(value, Decimal) else value


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return what is seen with other names of the machine."""
    if isinstance(value, Word):
        return Word(re.sub(r"\w+", lambda word: names.get(word[0], word[0]), value))
    if isinstance(value, dict):
        return {renamed(key, names): renamed(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [renamed(each, names) for each in value]
    if isinstance(value, set):
        return {renamed(each, names) for each in value}
    if isinstance(value, tuple) and isinstance(value[0], Word):
        return (renamed(value[0], names), *value[1:])
    return value


class Reader:
    """Opens registries of one version of a machine, and looks at them."""

    def __init__(self, found: Generated, ids: int = IDS) -> None:
        self.program, self.package = found.program, found.package
        machine = self.program.machine
        self.values = Values(self.program, found.package, ids)
        self._names = public_names(machine)
        self.settings = {str(name): each.default for name, each in machine.settings.items()}
        entity = str(machine.entity)
        pattern = re.compile(rf"(?:{entity}|transition)\.\w+|sequence")
        views = self.program.views
        self._snapshot = {
            info.name: Word(text) for info, tree in views.snapshot
            if pattern.fullmatch(text := notation(tree))
        }  # fmt: skip
        self._entry = {
            info.name: Word(text) for info, tree in views.entry
            if pattern.fullmatch(text := notation(tree))
        }  # fmt: skip

    def opened(self, store: Store, clock: Clock, *, as_stored: bool = False) -> Any:
        """Open a registry with its default settings, or with those that the store has."""
        given: dict[str, Any] = {**({} if as_stored else self.settings), "store": store}
        if tells_time(self.program):
            given["clock"] = clock
        return self.registry(**given)

    @property
    def registry(self) -> Any:
        """The class of registries."""
        return getattr(self.package, self._names.registry)

    def seen(self, registry: Any) -> Seen:
        """Everything that a registry shows."""
        machine = self.program.machine
        found = Seen()
        read = getattr(registry, str(machine.snapshot.method))
        for id in self.values.ids:
            snapshot = read(id)
            found.records[named(id)] = self._shown(snapshot, self._snapshot)
            if machine.history is not None:
                past = getattr(registry, str(machine.history.method))(id)
                found.histories[named(id)] = named(tuple(past))
        kept = self.program.recovery
        for name in machine.registry:
            if kept is None or str(name) not in kept.fields:
                value = getattr(registry._authority, attribute(str(name)))
                found.fields[Word(name)] = named(value)
        if machine.feed is not None:
            batch = getattr(registry, str(machine.feed.method))().list_since(0)
            found.entries.extend(self._shown(each, self._entry) or {} for each in batch.entries)
            fed = registry._feed.records()
            found.ends.extend(each.terminal_outcome is not None for each in fed)
        if machine.cursors is not None:
            get = getattr(registry, str(machine.cursors.get))
            consumers = getattr(self.package, str(machine.cursors.consumer))
            found.cursors.update({Word(each.value): get(each) for each in consumers})
        if machine.effects:
            found.messages.extend(self._messages(registry))
        if self.program.timers:
            found.timers.update(self._timers(registry))
        for key in self.program.unique:
            found.keys[Word(key.name)] = self._holders(registry, key)
        archive = machine.retention and machine.retention.archive
        if archive:
            for each in getattr(registry, str(archive.since))():
                shown = self._shown(each.snapshot, self._snapshot)
                found.archive[each.sequence] = shown or {}
        return found

    def _messages(self, registry: Any) -> Iterator[dict[Any, Any]]:
        pending = [(each, "") for each in registry._pending_effects()]
        dead = [(each.message, each.error) for each in registry._dead_letters()]
        for message, error in (*pending, *dead):
            said = {Word(name): named(each) for name, each in message.arguments.items()}
            yield {
                "number": message.number, "attempt": message.attempt, "error": error,
                "effect": Word(message.effect.value), "action": Word(message.action.value),
                "arguments": said, "record": self._shown(message.snapshot, self._snapshot) or {},
            }  # fmt: skip

    def _timers(self, registry: Any) -> Iterator[tuple[str, list[tuple[Word, int]]]]:
        for id, planned in registry._engine.effects.alarm._plan._by_id.items():
            actions = [self.program.timers[each.place].action for each in planned]
            dues = [each.due_ms for each in planned]
            yield named(id), sorted(zip(map(Word, actions), dues, strict=True))

    def _holders(self, registry: Any, key: UniqueKey) -> dict[str, Any]:
        found = {}
        for id, record in registry._authority.records.items():
            values = [getattr(record, attribute(name)) for name in key.fields]
            if None not in values and not (key.of_live and record.status.terminal):
                held = getattr(registry, key.name)(*values)
                found[named(id)] = self._shown(held, self._snapshot)
        return found

    def _shown(self, view: Any, fields: dict[str, Word]) -> dict[str, Any] | None:
        if view is None:
            return None
        return {text: named(getattr(view, name)) for name, text in fields.items()}

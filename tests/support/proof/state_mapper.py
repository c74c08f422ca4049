"""Map a state of the interpreter to a generated authority, so that both can be compared."""

from __future__ import annotations

from typing import Any

import opslifecycle
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.state import State
from opslifecycle_codegen.modelcheck.values import OPAQUE

from opslifecycle.operations import authority as generated

UNKNOWN = "unknown"


class StateMapper:
    """Maps plain values of a scenario to real ones, and its states to authorities."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._program = scenario.interpreter.program
        self._symbols = self._program.symbols
        ids = (*scenario.interpreter.ids, UNKNOWN, OPAQUE)
        # Made one after another, so that they stand in the same order as the plain ones.
        self.ids = {id: opslifecycle.OperationId.new() for id in ids}
        self._made: dict[tuple[Type, Any], Any] = {}
        self._fields = self._symbols.entity_fields
        self._settings = tuple(self._program.machine.settings)
        #: A value as a command took it, by the value of which a record keeps only what rules see.
        self._kept_of: dict[int, Any] = {}

    def note_kept(self, type: Type, value: Any) -> None:
        """Remember what a record keeps of a value that a command takes."""
        kept = self._scenario.values.kept(type, value)
        self._kept_of[id(self.real(type, value))] = self.real(type, kept)

    def real(self, type: Type, value: Any) -> Any:
        """The real value of a plain one; the same one each time."""
        key = (type, value)
        found = self._made.get(key, self)
        if found is self:
            found = self._made[key] = self._make(type.required, value)
        return found

    def _make(self, type: Type, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if type == self._fields["id"]:
            return self.ids[value]
        if type.kind == "id":
            return getattr(opslifecycle, type.name).new()
        if type.kind == "enum":
            return getattr(opslifecycle, type.name)(value)
        if type.kind in ("record", "union", "variant"):
            name, fields = (type.name, value) if type.kind == "record" else (value[0], value[1:])
            infos = self._symbols.records[name].fields.values()
            made = (self.real(i.type, each) for i, each in zip(infos, fields, strict=True))
            return getattr(opslifecycle, name)(*made)
        return value

    def authority(self, state: State) -> generated.OperationAuthority:
        """An authority that is in a state."""
        values = dict(zip(self._symbols.registry_fields, state.registry, strict=True))
        made = generated.OperationAuthority(**{name: values[name] for name in self._settings})
        for name, value in values.items():
            setattr(made, name, value)
        for consumer, at in zip(made.cursors, state.cursors, strict=True):
            made.cursors[consumer] = at
        for plain in state.records:
            if plain is not None:
                record = self.record(plain)
                made.records[record.id] = record
        for id in state.ended:
            made.ended[self.ids[id]] = made.records[self.ids[id]]
        return made

    def record(self, plain: tuple[Any, ...]) -> generated.OperationRecord:
        """A record with the fields of a plain one."""
        record = object.__new__(generated.OperationRecord)
        record.clock_offset_ms, record.constant_text = 0, None
        for (name, type), value in zip(self._fields.items(), plain, strict=True):
            setattr(record, name, self.real(type, value))
        return record

    def difference(self, authority: generated.OperationAuthority, state: State) -> str | None:
        """Where an authority is not in a state; the shell's part of the state left aside."""
        for name, value in zip(self._symbols.registry_fields, state.registry, strict=True):
            if getattr(authority, name) != value:
                return f"{name} is {getattr(authority, name)}, not {value}"
        if tuple(authority.cursors.values()) != state.cursors:
            return f"cursors are {authority.cursors}, not {state.cursors}"
        if [self.ids[id] for id in state.ended] != list(authority.ended):
            return f"ended are {list(authority.ended)}, not {state.ended}"
        wanted = {plain[0]: plain for plain in state.records if plain is not None}
        if {self.ids[id] for id in wanted} != set(authority.records):
            return f"records are {list(authority.records)}, not {list(wanted)}"
        for plain_id, plain in wanted.items():
            record = authority.records[self.ids[plain_id]]
            for (name, type), value in zip(self._fields.items(), plain, strict=True):
                found = getattr(record, name)
                expected = self.real(type, value)
                same = found is expected or self._kept_of.get(id(found)) is expected
                if not same and found != expected:
                    return f"{plain_id}.{name} is {found}, not {expected}"
        return None

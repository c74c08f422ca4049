"""Lowering of how the shell removes records: erased by an effect, or evicted with their entries."""

from __future__ import annotations

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import AND, Code
from opslifecycle_codegen.emit.methods import Method, MethodLowering
from opslifecycle_codegen.emit.unique import KeyLowering
from opslifecycle_codegen.ir.feeds import feeds_transitions
from opslifecycle_codegen.ir.program import Retention


class RemovalLowering(MethodLowering):
    """Turns the removals of records into methods."""

    def methods(self) -> list[Method]:
        """Return the methods; a machine without retention evicts nothing."""
        retention = self._program.retention
        return [self._erase(), *([self._evict(retention)] if retention is not None else [])]

    def _erase(self) -> Method:
        body = ["del self.records[id]", "self.ended.pop(id, None)"]
        keys = KeyLowering(self._program.unique, self._entity, self._width)
        released = keys.released()
        if released:
            body = [f"{self._entity} = self.records.pop(id)", body[1], *released]
        doc = self._doc("Remove a record.")
        return self._method("erase", [f"id: {self._names.id}"], "None", doc, body)

    def _evict(self, retention: Retention) -> Method:
        entity = self._entity
        parameters = ["sequence: int", f"id: {self._names.id}"]
        body = ["self.dropped_through = sequence"]
        if not retention.evicts_records:
            doc = self._doc("Evict the oldest feed entry; its record stays.")
            return self._method("evict", parameters, "None", doc, body)
        tests = [f"{entity} is not None", f"{entity}.sequence == sequence"]
        if feeds_transitions(self._machine):
            # The oldest entry may be the latest of a live record.
            tests.append(f"{entity}.status.terminal")
        test = layout.joined("and", [Code(each) for each in tests], AND)
        body += [f"{entity} = self.records.get(id)", *self._statement("if ", test, ":")]
        body.append("    self.erase(id)")
        doc = self._doc(
            "Evict the oldest feed entry together with its record.",
            f"A later {entity} with the same id has another sequence number, and stays.",
        )
        return self._method("evict", parameters, "None", doc, body)

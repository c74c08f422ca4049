"""Lowering of unique keys: which record holds each."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import AND, Code
from opslifecycle_codegen.ir.naming import key_index, parameter
from opslifecycle_codegen.ir.program import UniqueKey


@frozen
class KeyLowering:
    """Prints what becomes of the unique keys of one record."""

    keys: tuple[UniqueKey, ...]
    record: str
    width: int
    authority: str = "self"

    def claimed(self, depth: int = 2) -> list[str]:
        """Return lines that enter the holder of each key, for a new record."""
        lines: list[str] = []
        for key in self.keys:
            tests, holder = list(self._tests(key)), self._holder(key)
            margin = " " * 4 * (depth + bool(tests))
            before = f"{holder.text} = "
            if len(f"{margin}{before}(") <= self.width:
                # Where that suffices, a formatter gives the value brackets, and breaks no target.
                lines += self._guarded(tests, before, layout.literal("id"), "", depth=depth)
            else:
                lines += self._guarded(tests, "", holder, " = id", depth=depth)
        return lines

    def released(self) -> list[str]:
        """Return lines that remove the holder of each key, for a record that is removed."""
        lines: list[str] = []
        for key in self.keys:
            live = [f"not {self.record}.status.terminal"] if key.of_live else []
            lines += self._deleted(key, *live)
        return lines

    def ended(self) -> list[str]:
        """Return lines that remove the holders of keys of live records, for one that ends."""
        return [line for key in self.keys if key.of_live for line in self._deleted(key)]

    def recovered(self) -> list[str]:
        """Return lines of a function that enter the holder of each recovered key."""
        if not self.keys:
            return []
        entity = self.record
        lines = [f"    for {entity} in {self.authority}.records.values():"]
        for key in self.keys:
            live = [f"not {entity}.status.terminal"] if key.of_live else []
            index = f"{self.authority}.{key_index(key.name)}"
            name, id = Code(layout.quoted(key.name)), Code(f"{entity}.id")
            call = layout.called("_rt.claim_key", [name, Code(index), self._of(key), id])
            tests = [*live, *self._tests(key)]
            lines += [f"        {line}" for line in self._guarded(tests, "", call, "", depth=2)]
        return lines

    def find(self, key: UniqueKey) -> str:
        """Return the expression of the holder of a key, from its parameters."""
        parameters = [Code(parameter(name)) for name in key.fields]
        one = parameters[0] if len(parameters) == 1 else layout.called("", parameters)
        return layout.called(f"{self.authority}.{key_index(key.name)}.get", [one]).text

    def _of(self, key: UniqueKey) -> Code:
        fields = [Code(f"{self.record}.{name}") for name in key.fields]
        return fields[0] if len(fields) == 1 else layout.called("", fields)

    def _holder(self, key: UniqueKey) -> Code:
        lead, of = f"{self.authority}.{key_index(key.name)}[", self._of(key)
        return Code(f"{lead}{of.text}]", lead=lead, parts=(of,))

    def _deleted(self, key: UniqueKey, *tests: str) -> list[str]:
        tests = (*tests, *self._tests(key))
        return self._guarded(list(tests), "del ", self._holder(key), "", depth=2)

    def _tests(self, key: UniqueKey) -> Iterator[str]:
        for name, type in key.fields.items():
            if type.optional:
                yield f"{self.record}.{name} is not None"

    def _guarded(
        self, tests: list[str], before: str, code: Code, after: str, *, depth: int
    ) -> list[str]:
        indent = 4 * depth
        if not tests:
            return self._lines(before, code, after, indent)
        test = layout.joined("and", [Code(each) for each in tests], AND)
        return [
            *self._lines("if ", test, ":", indent),
            *(f"    {each}" for each in self._lines(before, code, after, indent + 4)),
        ]

    def _lines(self, before: str, code: Code, after: str, indent: int) -> list[str]:
        lines = layout.statement(before, code, after, indent=indent, width=self.width)
        return [each[indent:] for each in lines]

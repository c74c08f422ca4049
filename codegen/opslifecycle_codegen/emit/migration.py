"""Lowering of migrations: straight-line code that edits the data of each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from opslifecycle_codegen.compat.lock import Reset
from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.ir.messages import (
    ACTIONS,
    ARGUMENTS,
    EFFECTS,
    message_arguments,
    message_sets,
)
from opslifecycle_codegen.ir.migrations import RECORD, REGISTRY, AddedValue, Migration
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.ir.several import DICT, element_of
from opslifecycle_codegen.ir.symbols import snake
from opslifecycle_codegen.ir.types import Type


@frozen
class EditFunction:
    """A function that edits the data of one part in place."""

    name: str
    doc: str
    body: list[str]


@frozen
class MigrationStep:
    """One step of `migrate`."""

    version: int
    lines: list[str]


class MigrationLowering:
    """Lowers the migrations of a program to functions."""

    def __init__(self, program: Program, width: int, resets: Sequence[Reset] = ()) -> None:
        self._program = program
        self._resets = resets
        self._symbols = program.symbols
        self._width = width
        self._functions: dict[str, EditFunction] = {}

    def functions(self) -> list[EditFunction]:
        """Return the functions, each after its callees."""
        return list(self._functions.values())

    def steps(self) -> list[MigrationStep]:
        """Return the steps in order."""
        steps = [self._step(step) for step in self._program.migrations.steps]
        # Migrations come after the last reset of the lock, and what is older is refused (ADR 0037).
        return [*(self._refusal(int(e["to"]), str(e["reason"])) for e in self._resets[-1:]), *steps]

    def _refusal(self, version: int, reason: str) -> MigrationStep:
        """Return the step that refuses every version before one."""
        found = f'f"{self._program.machine.machine} version {{version}}"'
        known = layout.quoted(f"version {version} or later: {reason}")
        lines = layout.call(
            "raise _rt.StoreVersionError", [found, known], "", indent=8, width=self._width
        )
        return MigrationStep(version, lines)

    def _step(self, step: Migration) -> MigrationStep:
        version = step.version
        if step.refuses:
            return self._refusal(version, step.reason)
        record = self._edit(step, RECORD, self._fields(RECORD), f"_record_{version}", "A record")
        registry = self._edit(
            step, REGISTRY, self._fields(REGISTRY), f"_registry_{version}", "The registry"
        )
        edits, message = [record or "None", registry or "None"], self._message(step)
        lines = layout.call(
            "stored = _rt.migrated", ["stored", *edits, *([message] if message else [])], "",
            indent=8, width=self._width,
        )  # fmt: skip
        return MigrationStep(version, lines)

    def _message(self, step: Migration) -> str:
        """Return the function for outbox messages; empty without a change."""
        body: list[str] = []
        has_messages = bool(message_sets(self._program))
        for part, key in ((ACTIONS, "action"), (EFFECTS, "effect")):
            if step.edits(part) and (has_messages or part in step.removes):
                body += self._respell(step, part, layout.quoted(key))
        for part, types in message_arguments(self._program).items():
            action = part.removeprefix(ARGUMENTS)
            name = f"_arguments_of_{action}_{step.version}"
            function = self._edit(step, part, types, name, f"The arguments of {action}")
            if function:
                spelled = self._program.migrations.spelled(ACTIONS, action, step.version)
                body += [
                    f'if data["action"] == {layout.quoted(spelled)}:',
                    f'    {function}(data["arguments"])',
                ]
        if not body:
            return ""
        name = f"_message_{step.version}"
        doc = f"An outbox message as version {step.version} spells it."
        self._functions[name] = EditFunction(name, doc, [f"    {line}" for line in body])
        return name

    def _fields(self, part: str) -> dict[str, Type]:
        symbols = self._symbols
        if part == RECORD:
            return {n: t for n, t in symbols.entity_fields.items() if n != "id"}
        if part == REGISTRY:
            return symbols.registry_fields
        return {info.name: info.type for info in symbols.records[part].fields.values()}

    def _edit(
        self, step: Migration, part: str, fields: Mapping[str, Type], name: str, what: str
    ) -> str:
        """Return the name of the function that edits a part; empty without a change."""
        if name in self._functions:
            return name
        body = [*self._own_edits(step, part), *self._inner_edits(step, part, fields)]
        if part == REGISTRY and self._program.cursors is not None:
            body += self._cursors(step)
        if not body:
            return ""
        doc = f"{what} as version {step.version} spells it."
        self._functions[name] = EditFunction(name, doc, [f"    {line}" for line in body])
        return name

    def _own_edits(self, step: Migration, part: str) -> list[str]:
        quoted = layout.quoted
        lines = [
            f"_rt.rename(data, {quoted(old)}, {quoted(new)})"
            for old, new in step.renames.get(part, {}).items()
        ]
        lines += [f"data.pop({quoted(name)}, None)" for name in step.removes.get(part, [])]
        for name, value in step.adds.get(part, {}).items():
            arguments = [quoted(name), _json_code(value)]
            call = layout.call("data.setdefault", arguments, "", indent=4, width=self._width)
            lines += [line[4:] for line in call]
        return lines

    def _inner_edits(self, step: Migration, part: str, fields: Mapping[str, Type]) -> list[str]:
        lines = []
        for name, type in fields.items():
            key = layout.quoted(self._program.migrations.spelled(part, name, step.version))
            inner = type.required
            element = element_of(inner)
            if element.kind == "enum" and step.edits(element.name):
                lines += self._respell(step, element.name, key, each=inner.several)
            elif inner.several and element.kind in ("record", "union"):
                function = self._type(step, element)
                if function:
                    among = f"data.get({key}) or ()"
                    if inner.kind == DICT:
                        among = f"(data.get({key}) or {{}}).values()"
                    lines += [f"for each in {among}:", f"    {function}(each)"]
            elif inner.kind in ("record", "union", "variant"):
                function = self._type(step, inner)
                if function:
                    # A part of the registry or of a variant may be absent, an optional one null.
                    lines += [
                        f"if data.get({key}) is not None:",
                        f"    {function}(data[{key}])",
                    ]
        if part == RECORD and self._program.machine.history is not None:
            transition = public_names(self._program.machine).transition
            function = self._type(step, Type("record", transition))
            if function:
                lines += ['for each in data.get("history", ()):', f"    {function}(each)"]
        return lines

    def _respell(self, step: Migration, part: str, key: str, *, each: bool = False) -> list[str]:
        renames, removes = step.renames.get(part, {}), step.removes.get(part, [])
        pairs = ", ".join(f"{layout.quoted(o)}: {layout.quoted(n)}" for o, n in renames.items())
        arguments = ["data", key, f"{{{pairs}}}"]
        if removes:
            gone = ", ".join(layout.quoted(name) for name in removes)
            arguments.append(f"({gone}{',' if len(removes) == 1 else ''})")
        function = "_rt.respell_each" if each else "_rt.respell"
        lines = layout.call(function, arguments, "", indent=4, width=self._width)
        return [line[4:] for line in lines]

    def _type(self, step: Migration, type: Type) -> str:
        """Return the function for the values of a type; empty without a change."""
        name = f"_{snake(type.name)}_{step.version}"
        if type.name in self._symbols.unions:
            return self._union(step, type.name, name)
        record = self._symbols.records[type.name]
        fields = {n: t for n, t in self._fields(type.name).items() if n != record.flatten}
        return self._edit(step, type.name, fields, name, type.name)

    def _union(self, step: Migration, union: str, name: str) -> str:
        if name in self._functions:
            return name
        info = self._symbols.unions[union]
        tag = layout.quoted(info.tag)
        body = self._respell(step, union, tag) if step.edits(union) else []
        for variant in info.variants.values():
            function = self._type(step, Type("record", variant.name))
            flat = ""
            if variant.flatten:
                # The fields of a flat record are among the variant's own fields.
                flat = self._type(step, variant.fields[variant.flatten].type.required)
            if function or flat:
                value = self._program.migrations.spelled(union, variant.tag_value, step.version)
                body.append(f"if data[{tag}] == {layout.quoted(value)}:")
                body += [f"    {each}(data)" for each in (function, flat) if each]
        if not body:
            return ""
        doc = f"{union} as version {step.version} spells it."
        self._functions[name] = EditFunction(name, doc, [f"    {line}" for line in body])
        return name

    def _cursors(self, step: Migration) -> list[str]:
        """Edit cursors, whose keys are the members of a closed set."""
        enum = self._symbols.cursor_enum
        lines = [
            f"_rt.rename(cursors, {layout.quoted(old)}, {layout.quoted(new)})"
            for old, new in step.renames.get(enum, {}).items()
        ]
        lines += [
            f"cursors.pop({layout.quoted(name)}, None)" for name in step.removes.get(enum, [])
        ]
        # The machine may have gained its cursors after that version.
        return ['cursors = data.get("cursors", {})', *lines] if lines else []


def _json_code(value: AddedValue) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_json_code, value))}]"
    if isinstance(value, dict):
        items = (f"{layout.quoted(key)}: {_json_code(each)}" for key, each in value.items())
        return f"{{{', '.join(items)}}}"
    # Without the sign of a positive exponent, as formatters leave it.
    return layout.quoted(value) if isinstance(value, str) else repr(value).replace("e+", "e")

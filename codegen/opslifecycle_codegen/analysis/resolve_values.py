"""Stage 3, analyze, first half: value types, unions, and classes of the user's program."""

from __future__ import annotations

from collections.abc import Callable

from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.ir.symbols import FieldInfo, RecordInfo, Symbols, UnionInfo, snake
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.source import model, type_model
from opslifecycle_codegen.source.words import Name, Text, TypeExpr, TypeName


def resolve_values(
    machine: model.Machine,
    symbols: Symbols,
    type_of: Callable[[TypeExpr], Type],
    diagnostics: Diagnostics,
) -> None:
    """Add the machine's values to the symbols; report errors in them."""
    _Values(machine, symbols, type_of, diagnostics).run()


class _Values:
    def __init__(
        self,
        machine: model.Machine,
        symbols: Symbols,
        type_of: Callable[[TypeExpr], Type],
        diagnostics: Diagnostics,
    ) -> None:
        self._machine = machine
        self._symbols = symbols
        self._type_of = type_of
        self._diagnostics = diagnostics

    def run(self) -> None:
        symbols = self._symbols
        for name, declared in self._machine.values.items():
            if declared.python is not None:
                self._foreign(name, declared.python, declared)
            elif declared.variants:
                symbols.unions[name] = UnionInfo(name, declared.summary, declared.tag or "", {})
                for variant, each in declared.variants.items():
                    symbols.records[variant] = RecordInfo(variant, each.summary, {}, name)
            else:
                symbols.records[name] = RecordInfo(name, declared.summary, {})
        for name, declared in self._machine.values.items():
            if declared.python is not None:
                continue
            if declared.variants:
                self._union(name, declared)
            else:
                self._record(name, declared)

    def _foreign(self, name: TypeName, path: Text, declared: type_model.Value) -> None:
        """Resolve a class of the user's program, of which the machine has only the name."""
        module, _, last = path.rpartition(".")
        parts = module.split(".")
        if last != name or not all(each.isidentifier() for each in parts):
            message = f"{path!s} names no module of the class {name}"
            hint = f"write its module and its name: shop.prices.{name}"
            self._diagnostics.add(path.mark, "wrong-shape", message, hint)
        if declared.fields or declared.variants or declared.tag is not None:
            message = f"{name} is a class of the program's own: it declares nothing here"
            self._diagnostics.add(declared.mark, "wrong-shape", message)
        self._symbols.foreign[str(name)] = module

    def _record(self, name: str, declared: type_model.Value) -> None:
        if declared.tag is not None:
            message = f"{name} has a tag but no variants"
            self._diagnostics.add(declared.tag.mark, "wrong-shape", message)
        fields = self._fields(declared.fields)
        self._symbols.records[name] = RecordInfo(name, declared.summary, fields)

    def _union(self, name: str, declared: type_model.Value) -> None:
        tag = declared.tag
        if tag is None or declared.fields:
            message = f"{name} has variants: it needs a tag and no fields of its own"
            self._diagnostics.add(declared.mark, "wrong-shape", message)
        variants = {}
        for variant, each in declared.variants.items():
            fields = self._fields(each.fields)
            info = RecordInfo(
                variant, each.summary, fields, name, snake(variant), each.flatten or ""
            )
            self._check_json_keys(each, info, tag)
            variants[str(variant)] = info
            self._symbols.records[variant] = info
        tag_enum = next(
            (str(e) for e, d in self._machine.enums.items() if d.members_from == name), ""
        )
        self._symbols.unions[name] = UnionInfo(
            name, declared.summary, str(tag or ""), variants, tag_enum
        )

    def _check_json_keys(
        self, declared: type_model.Variant, info: RecordInfo, tag: Name | None
    ) -> None:
        keys = [str(name) for name in info.fields]
        if info.flatten:
            flat = info.fields.get(info.flatten)
            if flat is None or flat.type.kind != "record":
                message = f"flatten names {info.flatten!r}, which is no field of a record type"
                self._diagnostics.add(declared.mark, "unknown-name", message)
                return
            keys.remove(info.flatten)
            keys.extend(self._machine.values[TypeName(flat.type.name, declared.mark)].fields)
        for key in sorted({str(key) for key in keys if keys.count(key) > 1 or key == tag}):
            message = f"the JSON of {info.name} would have the key {key!r} twice"
            self._diagnostics.add(declared.mark, "name-collision", message)

    def _fields(self, declared: dict[Name, type_model.ValueField]) -> dict[str, FieldInfo]:
        fields: dict[str, FieldInfo] = {}
        defaulted = ""
        for name, each in declared.items():
            type = self._type_of(each.type)
            if each.json not in (None, "omit_none"):
                message = f"json: {str(each.json)!r} is unknown; expected omit_none"
                self._diagnostics.add(each.mark, "unknown-name", message)
            has_default = type.optional or each.default is not None
            if defaulted and not has_default:
                message = f"{name} has no default but comes after {defaulted}, which has one"
                self._diagnostics.add(name.mark, "field-order", message)
            defaulted = defaulted or (str(name) if has_default else "")
            fields[str(name)] = FieldInfo(name, type, each)
        return fields

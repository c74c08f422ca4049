"""Lowering of closed sets, values and errors."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from opslifecycle_codegen.emit import layout, texts
from opslifecycle_codegen.emit.annotations import annotation
from opslifecycle_codegen.emit.code import SUM, Code
from opslifecycle_codegen.emit.python import Printer, constant
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.several import DICT, LIST, SET
from opslifecycle_codegen.ir.symbols import (
    EnumInfo,
    FieldInfo,
    MemberOf,
    PropertyValue,
    RecordInfo,
    Symbols,
    UnionInfo,
)
from opslifecycle_codegen.ir.types import Type


@frozen
class EnumView:
    """A closed set as the template prints it."""

    name: str
    doc: list[str]
    properties: list[tuple[str, str, list[str]]]
    members: list[tuple[list[str], list[str]]]


def enum_views(program: Program, width: int) -> list[EnumView]:
    """Return the closed sets, each after those that its properties are typed by."""
    return [enum_view(info, program, width) for info in _in_order(program.symbols)]


def _in_order(symbols: Symbols) -> Iterator[EnumInfo]:
    done: set[str] = set()
    waiting = list(symbols.enums.values())
    while waiting:
        for info in waiting:
            needs = {p.type.name for p in info.properties.values() if p.type.kind == "enum"}
            if info.source == "actions":
                needs.add(symbols.status_enum)
            if needs <= done:
                break
        else:
            # A cycle of property types: Python could not define either first.
            raise AssertionError([info.name for info in waiting])
        waiting.remove(info)
        done.add(info.name)
        yield info


def enum_view(info: EnumInfo, program: Program, width: int) -> EnumView:
    """Compile one closed set."""
    status = program.symbols.status_enum
    properties = [
        (
            name,
            annotation(_property_type(each.type, status), info.properties),
            comment(each.summary, width),
        )
        for name, each in info.properties.items()
    ]
    members = []
    for member in info.members.values():
        values = [member.wire, *(member.values[name] for name in info.properties)]
        given = [_property_code(value, width - 12) for value in values]
        code = layout.called("", given) if info.properties else given[0]
        lines = layout.statement(f"{member.constant} = ", code, "", indent=4, width=width)
        members.append((comment(member.summary, width), lines))
    doc = layout.docstring(info.summary, indent=4, width=width)
    return EnumView(info.name, doc, properties, members)


def _property_code(value: PropertyValue, room: int) -> Code:
    if isinstance(value, str):
        return layout.string_code(value, room)
    if isinstance(value, MemberOf):
        return Code(f"{value.enum}.{value.wire.upper()}")
    if isinstance(value, tuple):
        return layout.called("", [_property_code(each, room) for each in value])
    return Code(str(value))


def _property_type(type: Type, status: str) -> str:
    return f"tuple[{status}, ...]" if type.kind == "statuses" else type.python


def comment(text: str, width: int, indent: int = 4) -> list[str]:
    """Return a `#:` comment, wrapped."""
    margin = " " * indent + "#: "
    return [margin + line for line in layout.wrap(texts.comment(text), width - len(margin))]


# Values -------------------------------------------------------------------------------------------


@frozen
class RecordView:
    """A value type as the template prints it."""

    name: str
    doc: list[str]
    tag: str
    fields: list[str]
    checks: list[str]


@frozen
class UnionView:
    """A union of variants, as the template prints it, after its variants."""

    name: str
    doc: list[str]
    variants: list[RecordView]
    alias: list[str]
    declaration: list[str]


def value_views(program: Program, width: int) -> list[RecordView | UnionView]:
    """Return the value types in the order of the machine."""
    views: list[RecordView | UnionView] = []
    symbols = program.symbols
    for name in program.machine.values:
        if name in symbols.foreign:
            continue
        if name in symbols.unions:
            views.append(_union_view(program, symbols.unions[name], width))
        else:
            views.append(_record_view(program, symbols.records[name], "", width))
    return views


def leave_out_declarations(program: Program, width: int) -> list[str]:
    """Calls that say which fields of which value are left out of the JSON when None."""
    lines: list[str] = []
    for record in program.symbols.records.values():
        names = [
            layout.quoted(info.name)
            for info in record.fields.values()
            if info.declared.json == "omit_none"
        ]
        if names:
            lines += leave_out(record.name, names, width)
    return lines


def leave_out(name: str, fields: list[str], width: int) -> list[str]:
    """Return the call that declares fields which are left out of the JSON when None."""
    items = ", ".join(fields)
    whole = f"_rt.omit_none({name}, [{items}])"
    if len(whole) <= width:
        return [whole]
    return [
        "_rt.omit_none(",
        f"    {name},",
        "    [",
        *(f"        {field}," for field in fields),
        "    ],",
        ")",
    ]


def _union_view(program: Program, union: UnionInfo, width: int) -> UnionView:
    variants = []
    for variant in union.variants.values():
        if union.tag_enum:
            tag = f"{union.tag}: ClassVar = {union.tag_enum}.{variant.tag_value.upper()}"
        else:
            tag = f"{union.tag}: ClassVar = {layout.quoted(variant.tag_value)}"
        variants.append(_record_view(program, variant, tag, width))
    names = [Code(name) for name in union.variants]
    alias_code = layout.joined("|", names, SUM)
    alias = layout.statement(f"{union.name}: TypeAlias = ", alias_code, "", indent=0, width=width)
    flattened = [v for v in union.variants.values() if v.flatten]
    declaration = [
        "_rt.declare_union(",
        f"    {union.name},",
        f"    tag={layout.quoted(union.tag)},",
        "    variants={",
        *(f"        {layout.quoted(v.tag_value)}: {v.name}," for v in union.variants.values()),
        "    },",
    ]
    if flattened:
        flat = ", ".join(f"{v.name}: {layout.quoted(v.flatten)}" for v in flattened)
        declaration.append(f"    flatten={{{flat}}},")
    declaration.append(")")
    doc = comment(union.summary, width, indent=0)
    return UnionView(union.name, doc, variants, alias, declaration)


def _record_view(program: Program, record: RecordInfo, tag: str, width: int) -> RecordView:
    printer = Printer(program.symbols)
    fields = [
        line for info in record.fields.values() for line in _field(program, record, info, width)
    ]
    lines: list[str] = []
    for info in record.fields.values():
        always = program.always.get((record.name, info.name))
        if always is not None:
            lines += [
                "        object.__setattr__(",
                "            self,",
                f"            {layout.quoted(info.name)},",
                *layout.statement("", printer.code(always), ",", indent=12, width=width),
                "        )",
            ]
        elif info.declared.checked_by is None:
            lines += check_lines(info.name, f"self.{info.name}", info.type, indent=8)
    more = [_derived_note(program, record)]
    doc = layout.docstring(record.summary, more, indent=4, width=width)
    return RecordView(record.name, doc, tag, fields, lines)


def _derived_note(program: Program, record: RecordInfo) -> str:
    derived = [name for owner, name in program.always if owner == record.name]
    if not derived:
        return ""
    return f"Whatever the caller gives, {' and '.join(derived)} is derived from the other fields."


def _field(program: Program, record: RecordInfo, info: FieldInfo, width: int) -> list[str]:
    """Return the lines of a field in the class of a value."""
    declared = f"{info.name}: {annotation(info.type.python, record.fields)}"
    default = program.field_defaults.get((record.name, info.name))
    if default is not None:
        code = constant(default, program.symbols, width - 8)
        return layout.statement(f"{declared} = ", code, "", indent=4, width=width)
    return [f"    {declared} = None" if info.type.optional else f"    {declared}"]


def check_lines(
    name: str, code: str, type: Type, *, indent: int, hidden: bool = False
) -> list[str]:
    """Return lines that raise InvalidValueError unless the value at `code` has the type.

    `hidden` says that a parameter hides Python's `type`.
    """
    margin = " " * indent
    if type.optional:
        inner = _check(name, code, type.required)
        return [f"{margin}if {code} is not None:", f"{margin}    {inner}"]
    check = _check(name, code, type)
    if type.kind in ("id", "record", "enum") and not hidden:
        # What is right is the rule, and costs no call.
        return [f"{margin}if type({code}) is not {type.name}:", f"{margin}    {check}"]
    return [margin + check]


def _check(name: str, code: str, type: Type) -> str:
    """Return the call that raises InvalidValueError for a value of another type."""
    return _check_of(layout.quoted(name), code, type)


def _check_of(label: str, code: str, type: Type) -> str:
    if type.kind == "int" and type.limits is not None:
        least, most = type.range
        return f"_rt.check_int({label}, {code}, {least}, {most})"
    if type.kind == SET and type.inner is not None:
        return f"_rt.check_frozenset({label}, {code}, {type.inner.python})"
    if type.kind == LIST and type.inner is not None and type.limits is not None:
        one = _check_of("field", "each", type.inner)
        each = f"lambda field, each: {one}"
        return f"_rt.check_tuple({label}, {code}, {type.limits.max_length}, {each})"
    if type.kind == DICT and type.inner is not None and type.key is not None:
        assert type.limits is not None
        key = f"lambda field, key: {_check_of('field', 'key', type.key)}"
        each = f"lambda field, each: {_check_of('field', 'each', type.inner)}"
        return f"_rt.check_dict({label}, {code}, {type.limits.max_length}, {key}, {each})"
    if type.kind == "bytes":
        assert type.limits is not None
        return f"_rt.check_bytes({label}, {code}, {type.limits.max_length})"
    if type.kind == "decimal":
        least, most = type.range
        return f"_rt.check_decimal({label}, {code}, {least}, {most}, {type.places})"
    if type.kind == "str" and type.limits is not None:
        length, pattern = type.limits.max_length, layout.quoted(type.limits.pattern)
        return f"_rt.check_str({label}, {code}, {length}, {pattern})"
    scalar = {"str": "text", "name": "text", "int": "count", "bool": "flag", "float": "finite",
              "datetime": "datetime", "timedelta": "timedelta"}  # fmt: skip
    if type.kind in scalar:
        return f"_rt.check_{scalar[type.kind]}({label}, {code})"
    check = "exact" if type.kind in ("id", "record", "union", "variant") else "instance"
    return f"_rt.check_{check}({label}, {code}, {type.name})"


# Errors -------------------------------------------------------------------------------------------


@frozen
class ErrorView:
    """A rejection's error class as the template prints it."""

    name: str
    doc: list[str]
    field_names: str
    template: list[str]
    fields: list[str]
    init: list[str]
    arguments: str


def error_views(program: Program, width: int) -> list[ErrorView]:
    """Return the rejections in the order of the machine."""
    views = []
    for name, rejection in program.machine.errors.items():
        fields = program.error_fields[name]
        parameters = [
            "self",
            *(f"{name}: {annotation(type.python, fields)}" for name, type in fields.items()),
        ]
        quoted = [layout.quoted(name) for name in fields]
        template = layout.statement(
            "template = ",
            layout.string_code(rejection.message, width - 8),
            "",
            indent=4,
            width=width,
        )
        views.append(
            ErrorView(
                str(rejection.class_),
                layout.docstring(f"Rejected: {rejection.message}.", indent=4, width=width),
                f"({', '.join(quoted)}{',' if len(quoted) == 1 else ''})",
                template,
                [f"{name}: {annotation(type.python, fields)}" for name, type in fields.items()],
                layout.call("def __init__", parameters, " -> None:", indent=4, width=width),
                ", ".join(fields),
            )
        )
    return views

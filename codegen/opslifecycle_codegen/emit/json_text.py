"""Lowering of values to JSON text: straight-line code for each type, because it is hot.

An f-string is a list of fragments. If it does not fit on a line, each key is on its own line. A
field with None is omitted: a reader of the text uses None for it.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.ir.several import DICT, LIST, SET
from opslifecycle_codegen.ir.symbols import FieldInfo, RecordInfo, Symbols, UnionInfo, snake
from opslifecycle_codegen.ir.types import BOOL, Type

#: Pieces of one f-string in single quotes, with braces doubled.
Fragments = list[str]

#: The beginning of code whose value is text already; the values of other code are numbers.
_TEXT = re.compile(r'_rt\.(json_text|encoded)\(|_\w+_text\(|"true" if ')


@frozen
class TextFunction:
    """A function that returns a value as JSON text."""

    name: str
    type: str
    doc: str
    body: list[str]


def fragments(name: str, value: Fragments) -> Fragments:
    """Return a key and its value."""
    return [f'"{name}":', *value]


class JsonTexts:
    """The functions for a machine's values, created on demand."""

    def __init__(self, symbols: Symbols, width: int) -> None:
        self._symbols = symbols
        self._width = width
        self._functions: dict[str, TextFunction] = {}

    def functions(self) -> list[TextFunction]:
        """Return the functions, each after its callees."""
        return list(self._functions.values())

    def of(self, code: str, type: Type) -> Fragments:
        """Return the text of the value of `code`, which is not None."""
        if type.kind == "bool":
            return [f'{{"true" if {code} else "false"}}']
        if type.kind in ("int", "float"):
            return [f"{{{code}}}"]
        form = self._symbols.id_forms.get(type.name)
        if form is not None and form.is_number:
            return [f"{{{code}}}"]
        if type.kind in ("str", "name") or form is not None:
            return [f"{{_rt.json_text({code})}}"]
        if type.kind == "id":
            return [f'"{{{code}}}"']
        if type.kind == "datetime":
            return [f'"{{_rt.datetime_text({code})}}"']
        if type.kind == "bytes":
            return [f'"{{_rt.bytes_text({code})}}"']
        if type.kind == "decimal":
            return [f'"{{_rt.decimal_text({code}, {type.places})}}"']
        if type.kind == "timedelta":
            return [f"{{_rt.microseconds({code})}}"]
        if type.kind == "foreign":
            return [f"{{_rt.encoded({code})}}"]
        if type.kind == SET:
            return [f"{{_rt.frozenset_text({code})}}"]
        if type.kind == "enum":
            return [f'"{{{code}.wire}}"']
        return [f"{{{self.function(type)}({code})}}"]

    def function(self, type: Type) -> str:
        """Return the name of the function for a record or a union."""
        name = f"_{snake(type.name)}_text"
        if name not in self._functions:
            symbols = self._symbols
            if type.kind == LIST and type.inner is not None:
                body = self._list(type.inner)
            elif type.kind == DICT and type.inner is not None:
                body = self._dict(type.inner)
            elif type.name in symbols.unions:
                body = self._union(symbols.unions[type.name])
            else:
                body = self._record(symbols.records[type.name], "value", [], indent=4)
            doc = f"{type.name} as JSON text."
            self._functions[name] = TextFunction(name, type.python, doc, body)
        return name

    def _list(self, element: Type) -> list[str]:
        text = "".join(self.of("each", element))
        each = Code(_text_of(text[1:-1]) if text.startswith("{") else _literal(text))
        many = layout.comprehension('",".join', each, [Code("value", prefix="for each in ")])
        lines = layout.statement("inside = ", many, "", indent=4, width=self._width)
        return [*lines, '    return f"[{inside}]"']

    def _dict(self, value: Type) -> list[str]:
        text = f"{{_rt.json_text(key)}}:{''.join(self.of('each', value))}"
        # A formatter prefers double quotes outside, where those inside are code alone.
        literal = f'f"{text.replace(chr(34), chr(39))}"' if value == BOOL else _literal(text)
        item = layout.literal(literal)
        items = [Code("value.items()", prefix="for key, each in ")]
        many = layout.comprehension('",".join', item, items)
        lines = layout.statement("inside = ", many, "", indent=4, width=self._width)
        return [*lines, '    return f"{{{inside}}}"']

    def _union(self, union: UnionInfo) -> list[str]:
        lines: list[str] = []
        *others, last = union.variants.values()
        for variant in others:
            lines += [
                f"    if isinstance(value, {variant.name}):",
                *self._record(variant, "value", [_tag(union, variant)], indent=8),
            ]
        return lines + self._record(last, "value", [_tag(union, last)], indent=4)

    def _record(
        self, record: RecordInfo, code: str, keys: list[Fragments], *, indent: int
    ) -> list[str]:
        fields = self._fields(record, code)
        # What is absent has its default when it is read.
        nulls = {info.name for info, _ in fields if str(info.declared.default) != "None"}
        named = [(info.name, path, info.type) for info, path in fields]
        return self.object(keys, named, indent, nulls=nulls)

    def object(
        self,
        keys: list[Fragments],
        fields: list[tuple[str, str, Type]],
        indent: int,
        *,
        nulls: Collection[str],
    ) -> list[str]:
        """Return lines that return an object: given keys, then fields by name and path.

        Optional fields are last. Those that are None are absent, or null if they are in `nulls`.
        """
        keys = keys + [fragments(n, self.of(path, t)) for n, path, t in fields if not t.optional]
        sometimes = [each for each in fields if each[2].optional]
        if not sometimes:
            return self.assignment("", keys, "{{", indent=indent, end="}}")
        margin = " " * indent
        # Without a required field, the leading comma is cut off at the end.
        lines = (
            self.assignment("text", keys, "{{", indent=indent) if keys else [f'{margin}text = ""']
        )
        for name, path, type in sometimes:
            key = fragments(name, self.of(path, type.required))
            lines += [
                f"{margin}if {path} is not None:",
                *self.addition("text", key, indent=indent + 4),
            ]
            if name in nulls:
                null = fragments(name, ["null"])
                lines += [f"{margin}else:", *self.addition("text", null, indent=indent + 4)]
        text = "{text}" if keys else "{{{text[1:]}"
        return [*lines, f'{margin}return f"{text}}}}}"']

    def _fields(self, record: RecordInfo, code: str) -> list[tuple[FieldInfo, str]]:
        """Return the fields in JSON order, each with its path; a flat field yields its own."""
        found = []
        for info in record.fields.values():
            path = f"{code}.{info.name}"
            if info.name == record.flatten:
                found += self._fields(self._symbols.records[info.type.name], path)
            else:
                found.append((info, path))
        return found

    # Statements ---------------------------------------------------------------------------------

    def assignment(
        self, target: str, keys: list[Fragments], start: str, *, indent: int, end: str = ""
    ) -> list[str]:
        """Return `target = f'…'`, or a return statement without a target."""
        before = f"{target} = " if target else "return "
        margin = " " * indent
        texts = [
            "".join([start if place == 0 else "", "," if place else "", *key])
            for place, key in enumerate(keys)
        ] or [start]
        whole = f"{margin}{before}{_literal(''.join(texts) + end)}"
        if len(whole) <= self._width:
            return [whole]
        joined = _literal("".join(texts) + end)
        pieces = [_literal(text) for text in [*texts, *([end] if end else [])]]
        if len(pieces) == 1 or indent + 4 + len(joined) <= self._width:
            return layout.statement(
                before, layout.literal(joined), "", indent=indent, width=self._width
            )
        return [f"{margin}{before}(", *(f"{margin}    {piece}" for piece in pieces), f"{margin})"]

    def addition(self, target: str, key: Fragments, *, indent: int) -> list[str]:
        """Return `target += f',…'`, or two statements for the key and the value."""
        margin = " " * indent
        whole = f"{margin}{target} += {_literal(',' + ''.join(key))}"
        name, value = key[0], "".join(key[1:])
        if len(whole) <= self._width:
            return [whole]
        first = f"{margin}{target} += {_literal(',' + name)}"
        if value.startswith("{") and value.endswith("}"):
            # Broken with the template, where it is too long.
            return [first, f"{margin}{target} += {_text_of(value[1:-1])}"]
        code = layout.literal(_literal(value))
        before = f"{target} += "
        return [first, *layout.statement(before, code, "", indent=indent, width=self._width)]


def _tag(union: UnionInfo, variant: RecordInfo) -> Fragments:
    return [f'"{union.tag}":"{variant.tag_value}"']


def _text_of(code: str) -> str:
    """Return the code of a replacement field as an expression of type `str`."""
    return code if _TEXT.match(code) else f"str({code})"


def _literal(text: str) -> str:
    """Return a piece as a string literal, an f-string if it has replacement fields."""
    if "{" not in text.replace("{{", ""):
        return layout.quoted(text.replace("{{", "{").replace("}}", "}"))
    return f"f'{text}'" if '"' in text else f'f"{text}"'

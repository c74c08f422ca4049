"""Stage 3, analyze: the values that a migration gives to fields which older data lacks."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from opslifecycle_codegen.analysis.expressions import compile_expression
from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.migrations import AddedValue, JsonScalar
from opslifecycle_codegen.ir.moments import moment_of
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.several import DICT, SET
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import (
    BOOL,
    DATETIME,
    FLOAT,
    INT_MAX,
    TIMEDELTA,
    Type,
    decimal_notation,
)
from opslifecycle_codegen.source.reader import Mapping, Node, Scalar, Sequence
from opslifecycle_codegen.source.words import Expr

_INTEGER = re.compile("-?[0-9]{1,19}")
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NONE = ("None", "null")
#: What a value of a kind looks like, for messages.
_EXAMPLES = {
    "bool": "true or false", "int": "an integer", "float": "a number, 0.5",
    "str": "a text", "enum": "a member", "bytes": "base64, aGVsbG8=",
    "decimal": "a number, 12.50", "datetime": "datetime(2026, 1, 31)",
    "timedelta": "timedelta(minutes=30)", "id": "the text or the number of an identifier",
}  # fmt: skip


class _NoValueError(Exception):
    """A scalar is no value of a type."""


def added_value(symbols: Symbols, type: Type, node: Node, found: Diagnostics) -> AddedValue:
    """Return the JSON of a value, which is written as in `initial`; texts are as they stand."""
    inner = type.required
    if type.optional and isinstance(node, Scalar) and node.plain and node.text in _NONE:
        return None
    if inner.kind == DICT and isinstance(node, Mapping):
        return _items(symbols, inner, node, found)
    if inner.several and inner.kind != DICT and isinstance(node, Sequence):
        return _elements(symbols, inner, node, found)
    read = _READERS.get(inner.kind)
    if read is None and not inner.several:
        message = f"a migration cannot make a value of type {inner}"
        hint = f"write `{inner} | None`, or begin the lock anew: lock --reset --reason …"
        found.add(node.mark, "wrong-type", message, hint)
        return None
    try:
        if read is None or not isinstance(node, Scalar):
            raise _NoValueError
        return read(symbols, inner, node)
    except _NoValueError:
        written = repr(node.text[:60]) if isinstance(node, Scalar) else "several values"
        message = f"expected a value of type {inner.described}, found {written}"
        example = _EXAMPLES.get(inner.kind, "its elements in square brackets, [] for none")
        example = "its items in braces, {} for none" if inner.kind == DICT else example
        found.add(node.mark, "wrong-type", message, f"write {example}")
        return None


def _elements(symbols: Symbols, type: Type, node: Sequence, found: Diagnostics) -> list[JsonScalar]:
    """Return the elements of a list, or the members of a set."""
    assert type.inner is not None
    elements: list[JsonScalar] = []
    for each in node.items:
        value = added_value(symbols, type.inner, each, found)
        assert not isinstance(value, list | dict), "collections hold no collections"
        elements.append(value)
    _refuse_too_many(type, node, len(elements), found)
    if type.kind == SET and len({*elements}) < len(elements):
        found.add(node.mark, "wrong-type", "a member occurs twice", "write each member once")
    return elements


def _items(
    symbols: Symbols, type: Type, node: Mapping, found: Diagnostics
) -> dict[str, JsonScalar]:
    """Return the items of a dict."""
    assert type.inner is not None
    assert type.key is not None
    items: dict[str, JsonScalar] = {}
    for key, each in node.items:
        value = added_value(symbols, type.inner, each, found)
        assert not isinstance(value, list | dict), "collections hold no collections"
        if type.key.limits is not None and not type.key.limits.accepts(key.text):
            message = f"expected a key of type {type.key.described}, found {key.text[:60]!r}"
            found.add(key.mark, "wrong-type", message)
        items[key.text] = value
    _refuse_too_many(type, node, len(items), found)
    return items


def _refuse_too_many(type: Type, node: Node, count: int, found: Diagnostics) -> None:
    most = (type.limits and type.limits.max_length) or 0
    if count > most:
        message = f"expected at most {most} elements, found {count}"
        found.add(node.mark, "wrong-type", message, "remove some, or raise `max_length`")


def _bool(symbols: Symbols, type: Type, node: Scalar) -> JsonScalar:
    if not node.plain or node.text not in ("true", "false"):
        raise _NoValueError
    return node.text == "true"


def _int(symbols: Symbols, type: Type, node: Scalar) -> JsonScalar:
    least, most = type.range
    return _whole(node, least, most)


def _whole(node: Scalar, least: int, most: int) -> int:
    if not node.plain or not _INTEGER.fullmatch(node.text) or not least <= int(node.text) <= most:
        raise _NoValueError
    return int(node.text)


def _text(symbols: Symbols, type: Type, node: Scalar) -> JsonScalar:
    if type.limits is not None and not type.limits.accepts(node.text):
        raise _NoValueError
    return node.text


def _member(symbols: Symbols, type: Type, node: Scalar) -> JsonScalar:
    if node.text not in symbols.enums[type.name].members:
        raise _NoValueError
    return node.text


def _bytes(symbols: Symbols, type: Type, node: Scalar) -> JsonScalar:
    try:
        data = base64.b64decode(node.text, validate=True)
    except (binascii.Error, ValueError):
        raise _NoValueError from None
    if type.limits is None or len(data) > (type.limits.max_length or 0):
        raise _NoValueError
    return base64.b64encode(data).decode()


def _identifier(symbols: Symbols, type: Type, node: Scalar) -> JsonScalar:
    form = symbols.id_forms.get(type.name)
    if form is not None and form.is_number:
        return _whole(node, 0, INT_MAX)
    if not re.fullmatch(_UUID if form is None else form.pattern, node.text):
        raise _NoValueError
    return node.text


def _number(symbols: Symbols, type: Type, node: Scalar) -> JsonScalar:
    tree = compile_expression(Expr(node.text, node.mark), Scope(symbols, {}), Diagnostics(), type)
    if not isinstance(tree, nodes.Literal) or not isinstance(tree.value, int | float):
        raise _NoValueError
    value = tree.value
    if type == FLOAT:
        if float(value) != value:
            raise _NoValueError
        return float(value)
    least, most = type.range
    if not least <= value <= most:
        raise _NoValueError
    units = int(value)
    if type == DATETIME:
        return moment_of(units).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return units if type == TIMEDELTA else decimal_notation(units, type.places)


_READERS: dict[str, Callable[[Symbols, Type, Scalar], JsonScalar]] = {
    BOOL.kind: _bool, "int": _int, "str": _text, "enum": _member, "bytes": _bytes,
    "id": _identifier, "float": _number, "decimal": _number, "datetime": _number,
    "timedelta": _number,
}  # fmt: skip

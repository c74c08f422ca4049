"""The functions of the runtime that read stored values, and test what they read."""

from __future__ import annotations

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.ir.several import DICT, LIST, SET
from opslifecycle_codegen.ir.types import INT, Type


def reader(type: Type) -> tuple[str, list[Code]]:
    """Return the function that reads a stored value, and its arguments behind the data."""
    required = type.required
    optional = "optional_" * type.optional
    if required.kind == "int" and required.limits is not None:
        return f"_rt.{optional}int_from", [Code(str(each)) for each in required.range]
    if required.kind == "str" and required.limits is not None:
        limits = required.limits
        pattern = Code(layout.quoted(limits.pattern))
        return f"_rt.{optional}str_from", [Code(str(limits.max_length)), pattern]
    if required.kind == "bytes" and required.limits is not None:
        return f"_rt.{optional}bytes_from", [Code(str(required.limits.max_length))]
    if required.kind == "decimal":
        limits_and_places = (*required.range, required.places)
        return f"_rt.{optional}decimal_from", [Code(str(each)) for each in limits_and_places]
    if required.kind == SET and required.inner is not None:
        return f"_rt.{optional}frozenset_from", [Code(required.inner.python)]
    if required.kind == LIST and required.inner is not None and required.limits is not None:
        function, arguments = reader(required.inner)
        each = layout.called(function, [Code("each"), *arguments])
        limit = Code(str(required.limits.max_length))
        return f"_rt.{optional}tuple_from", [limit, layout.behind("lambda each: ", each)]
    if required.kind == DICT and required.inner is not None and required.key is not None:
        assert required.limits is not None
        parts = [("key", required.key), ("each", required.inner)]
        functions = [layout.behind(f"lambda {name}: ", read(name, part)) for name, part in parts]
        limit = Code(str(required.limits.max_length))
        return f"_rt.{optional}dict_from", [limit, *functions]
    if required.kind in ("datetime", "timedelta"):
        return f"_rt.{optional}{required.kind}_from", []
    if required == INT:
        return f"_rt.{optional}count_from", []
    return "_rt.structure", [Code(type.python)]


def read(data: str, type: Type) -> Code:
    """Return the call that reads a stored value."""
    function, arguments = reader(type)
    return layout.called(function, [Code(data), *arguments])

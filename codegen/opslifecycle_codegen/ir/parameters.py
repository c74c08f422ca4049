"""The parameters of methods that a call may leave out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.types import Type

#: The defaults of a method whose machine declares none.
NO_DEFAULTS: Mapping[str, Expression] = MappingProxyType({})


def omissible(
    types: Mapping[str, Type], defaults: Mapping[str, Expression], *, keyword_only: bool = False
) -> frozenset[str]:
    """Return the parameters that a call may leave out: their value is the default, or None.

    An optional parameter without a declared default may be left out unless one that every call
    passes stands behind it; where all are passed by name, always.

    Args:
        types: The parameters of a method in their order.
        defaults: The declared defaults.
        keyword_only: Whether the method takes them by name only.
    """
    found: set[str] = set()
    for name, type in reversed(list(types.items())):
        if name in defaults or type.optional:
            found.add(name)
        elif not keyword_only:
            break
    return frozenset(found)


def parameter_notation(name: str, type: Type, defaults: Mapping[str, Expression]) -> str:
    """Return a parameter in the notation of the machine: `percent: int = 0`."""
    default = f" = {notation(defaults[name])}" if name in defaults else ""
    return f"{name}: {type}{default}"

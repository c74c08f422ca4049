"""The parameters of methods that a call may leave out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.types import Type

#: The defaults of a method whose machine declares none.
NO_DEFAULTS: Mapping[str, Expression] = MappingProxyType({})


def omissible(
    types: Mapping[str, Type],
    defaults: Mapping[str, Expression],
    keywords: Collection[str] = (),
) -> frozenset[str]:
    """Return the parameters that a call may leave out: their value is the default, or None.

    An optional parameter without a declared default may be left out unless one that every call
    passes stands behind it; where it is passed by name, always.

    Args:
        types: The parameters of a method in their order.
        defaults: The declared defaults.
        keywords: Those that are passed by name only.
    """
    found = {name for name in keywords if name in defaults or types[name].optional}
    for name, type in reversed(list(types.items())):
        if name in keywords:
            continue
        if not (name in defaults or type.optional):
            break
        found.add(name)
    return frozenset(found)


def in_call_order(names: Iterable[str], keywords: Collection[str]) -> list[str]:
    """Return parameters as a signature has them: those that are passed by name only come last."""
    return sorted(names, key=lambda name: name in keywords)


def parameter_notation(
    name: str, type: Type, defaults: Mapping[str, Expression], keywords: Collection[str] = ()
) -> str:
    """Return a parameter in the notation of the machine: `percent: int = 0`."""
    default = f" = {notation(defaults[name])}" if name in defaults else ""
    return f"{name}: {type}{default}{' by name' if name in keywords else ''}"

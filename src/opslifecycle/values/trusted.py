"""Construction of frozen values at a fraction of the cost of their constructors.

attrs fills a frozen class through `object.__setattr__`, field by field. A trusted constructor fills
an instance of a mutable subclass, which it then turns into an instance of the frozen class. Python
allows that for two classes with one layout. Nothing is checked or converted.
"""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")

_AS_ANY_OBJECT = {
    "__slots__": (),
    "__init__": object.__init__,
    "__setattr__": object.__setattr__,
    # The two share one slot of the type, which is fast only if both are those of `object`.
    "__delattr__": object.__delattr__,
}


def mutable_subclass(kind: type[Any]) -> type[Any]:
    """Return a subclass of a frozen class whose instances allow assignment.

    Every field must be assigned, including those with a default.
    """
    return type(f"Mutable{kind.__name__}", (kind,), _AS_ANY_OBJECT)


def freeze(value: Any, kind: type[T]) -> T:
    """Return an instance of the mutable subclass as one of the frozen class."""
    value.__class__ = kind
    return value  # type: ignore[no-any-return]

"""Construction of frozen values at a fraction of the cost of their constructors.

attrs fills a frozen class through `object.__setattr__`, field by field. A trusted constructor
assigns the fields of an instance of a mutable subclass, and then changes the class of the instance
to the frozen class. Python allows that for two classes of the same layout. Nothing is checked or
converted.
"""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")

_AS_ANY_OBJECT = {
    "__slots__": (),
    "__init__": object.__init__,
    "__setattr__": object.__setattr__,
    # Assignment and deletion share one slot of the type; it is fast only if both are `object`'s.
    "__delattr__": object.__delattr__,
}


def mutable_subclass(kind: type) -> type:
    """Return a subclass of a frozen class whose instances allow assignment.

    The caller assigns every field, including those with a default, and then calls `freeze`. The
    result is untyped, because a type checker takes the fields of a subclass for frozen, too.
    """
    return type(f"Mutable{kind.__name__}", (kind,), _AS_ANY_OBJECT)


def freeze(value: Any, kind: type[T]) -> T:
    """Turn an instance of the mutable subclass of `kind` into one of `kind`, and return it."""
    value.__class__ = kind
    frozen: T = value
    return frozen

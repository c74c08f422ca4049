"""Construction of frozen values at a fraction of the cost of their constructors.

attrs fills a frozen class through `object.__setattr__`, field by field. A draft is an instance of a
subclass that allows assignment. After its fields are assigned it becomes an instance of the frozen
class, which Python allows for two classes with one layout.
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


def draft_of(kind: type[Any]) -> type[Any]:
    """Return a class of drafts of a frozen class, which checks and converts nothing.

    Every field must be assigned, including those with a default.
    """
    return type(f"{kind.__name__}Draft", (kind,), _AS_ANY_OBJECT)


def finish(draft: Any, kind: type[T]) -> T:
    """Return the frozen value for which a draft was filled."""
    draft.__class__ = kind
    return draft  # type: ignore[no-any-return]

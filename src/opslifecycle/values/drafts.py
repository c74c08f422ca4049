"""Filling frozen values in a fraction of the time that their constructors take.

attrs fills a frozen class through `object.__setattr__`, field by field. A draft is an instance of a
subclass that adds nothing but leave to be filled: its fields are assigned like any others, and then
it becomes an instance of the class itself, which only two classes of one layout can.
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
    """A class of drafts of a frozen class, which checks and converts nothing.

    Every field has to be assigned, those with a default too.
    """
    return type(f"{kind.__name__}Draft", (kind,), _AS_ANY_OBJECT)


def finish(draft: Any, kind: type[T]) -> T:
    """The frozen value that a draft was filled for."""
    draft.__class__ = kind
    return draft  # type: ignore[no-any-return]

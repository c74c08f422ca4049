"""Docstrings of methods that cannot inherit them."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TypeVar

KindT = TypeVar("KindT", bound=type)


def documented_by(interface: type) -> Callable[[KindT], KindT]:
    """Return a class decorator that copies the docstrings of an interface.

    It is for a class whose methods are coroutines, and which is therefore no subclass of the
    interface. Methods with a docstring of their own keep it.
    """

    def document(kind: KindT) -> KindT:
        for name, method in vars(kind).items():
            if isinstance(method, FunctionType) and method.__doc__ is None:
                method.__doc__ = getattr(getattr(interface, name, None), "__doc__", None)
        return kind

    return document

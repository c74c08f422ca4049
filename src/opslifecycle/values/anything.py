"""A stand-in for any value, for generated tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self


class Anything:
    """A value for which every comparison, truth test and membership test returns `answer`.

    Attributes, calls and arithmetic return the value itself. Generated tests run each guard with
    both answers, to find the fields on which its result depends.

    Args:
        answer: What every comparison, truth test and membership test returns.
    """

    __slots__ = ("_answer",)

    def __init__(self, answer: bool) -> None:
        self._answer = answer

    def __bool__(self) -> bool:
        return self._answer

    def __getattr__(self, name: str) -> Self:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __iter__(self) -> Iterator[Self]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return hash(self._answer)

    def __contains__(self, item: object) -> bool:
        return self._answer

    def _same(self, *_: object) -> Self:
        return self

    def _answered(self, _: object) -> bool:
        return self._answer

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _answered
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __neg__ = _same
    __call__ = __getitem__ = _same

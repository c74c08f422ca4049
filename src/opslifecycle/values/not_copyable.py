"""The base class of handles that stand for one thing."""

from __future__ import annotations

from typing import Any, NoReturn


class NotCopyable:
    """Base of handles that stand for one thing: copying and pickling raise TypeError."""

    __slots__ = ()

    def _refuse(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be copied or pickled")

    def __copy__(self) -> NoReturn:
        self._refuse()

    def __deepcopy__(self, memo: Any) -> NoReturn:
        self._refuse()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        self._refuse()

"""The base class of handles that refer to something a registry owns."""

from __future__ import annotations

from typing import NoReturn


class NotCopyable:
    """Base of handles whose copy would be meaningless: copying and pickling raise TypeError."""

    __slots__ = ()

    def _refuse(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be copied or pickled")

    def __copy__(self) -> NoReturn:
        self._refuse()

    def __deepcopy__(self, memo: object) -> NoReturn:
        self._refuse()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self._refuse()

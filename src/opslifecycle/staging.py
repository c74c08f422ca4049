"""Records on top of records: what a batch changes before it is kept, in time proportional to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Overlay(dict[K, V]):
    """A dict on top of another one, which stays as it is until `merge`.

    A value that is read is copied first if there is a `copy`, because whoever reads it may change
    it.
    """

    def __init__(self, base: dict[K, V], copy: Callable[[V], V] | None = None) -> None:
        super().__init__()
        self._base = base
        self._copy = copy
        self._changed: dict[K, V | None] = {}

    def get(self, key: K, default: Any = None) -> Any:
        if key in self._changed:
            value = self._changed[key]
            return default if value is None else value
        found = self._base.get(key)
        if found is None:
            return default
        if self._copy is not None:
            found = self._changed[key] = self._copy(found)
        return found

    def __contains__(self, key: object) -> bool:
        if key in self._changed:
            return self._changed[key] is not None
        return key in self._base

    def __getitem__(self, key: K) -> V:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value  # type: ignore[no-any-return]

    def __setitem__(self, key: K, value: V) -> None:
        # Taken out and put in again, so that it stands last.
        self._changed.pop(key, None)
        self._changed[key] = value

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        self._changed[key] = None

    def pop(self, key: K, default: Any = None) -> Any:
        value = self.get(key, default)
        if key in self:
            self._changed[key] = None
        return value

    def __iter__(self) -> Iterator[K]:
        yield from [key for key in self._base if key not in self._changed]
        yield from [key for key, value in self._changed.items() if value is not None]

    def values(self) -> Any:
        return [self[key] for key in list(self)]

    def items(self) -> Any:
        return [(key, self[key]) for key in list(self)]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def merge(self) -> None:
        """Write what has changed into the dict below."""
        for key, value in self._changed.items():
            # Taken out first, so that what was put in again stands last there too.
            self._base.pop(key, None)
            if value is not None:
                self._base[key] = value


def merge(staged: dict[K, V]) -> None:
    """Merge an overlay into what it stands on."""
    assert isinstance(staged, Overlay)
    staged.merge()

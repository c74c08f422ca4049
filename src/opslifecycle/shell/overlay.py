"""Records on top of records: what a batch changes before it is kept, in time proportional to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# The methods of the dict itself, which are asked for at every command.
_own: Callable[[Any, Any], Any] = dict.get
_put: Callable[[Any, Any, Any], None] = dict.__setitem__


class Overlay(dict[K, V]):
    """A dict on top of another one, which stays as it is until `merge`.

    Itself it holds what was asked for or put in. With a `copy`, a value that is asked for by its
    key is copied first, because whoever asks may change it; values that are looked through
    (`values`) are for reading only.
    """

    __slots__ = ("_base", "_copy", "_gone")

    def __init__(self, base: dict[K, V], copy: Callable[[V], V] | None = None) -> None:
        super().__init__()
        self._base = base
        self._copy = copy
        self._gone: set[K] = set()

    def __missing__(self, key: K) -> V:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found  # type: ignore[no-any-return]

    def get(self, key: K, default: Any = None) -> Any:
        """Return what a key has, copied from the base when it is first read."""
        found = _own(self, key)
        if found is not None:
            return found
        found = self._base.get(key)
        if found is None or (self._gone and key in self._gone):
            return default
        if self._copy is not None:
            found = self._copy(found)
            _put(self, key, found)
        return found

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or (key in self._base and key not in self._gone)

    def __setitem__(self, key: K, value: V) -> None:
        # What stands below goes, so that what is put in again stands last there too.
        if key in self._base:
            self._gone.add(key)
        _put(self, key, value)

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        self.pop(key)

    def pop(self, key: K, default: Any = None) -> Any:
        """Remove a key, and return what it had."""
        found = super().pop(key, None)
        if key in self._base and key not in self._gone:
            found = self._base[key] if found is None else found
            self._gone.add(key)
        return default if found is None else found

    def __iter__(self) -> Iterator[K]:
        yield from self._untouched()
        yield from super().__iter__()

    def _untouched(self) -> list[K]:
        own = set(super().__iter__())
        return [key for key in self._base if key not in self._gone and key not in own]

    def values(self) -> Any:
        """Return the values: first those of the base, then what was put in."""
        return [*(self._base[key] for key in self._untouched()), *super().values()]

    def items(self) -> Any:
        """Return the pairs of keys and values, copied from the base as `get` does."""
        return [(key, self[key]) for key in self]

    def __len__(self) -> int:
        return len(self._untouched()) + super().__len__()

    def merge(self) -> None:
        """Write what has changed into the dict below."""
        for key in self._gone:
            self._base.pop(key, None)
        self._base.update(super().items())


def merge(staged: dict[K, V]) -> None:
    """Merge an overlay into what it stands on."""
    assert isinstance(staged, Overlay)
    staged.merge()

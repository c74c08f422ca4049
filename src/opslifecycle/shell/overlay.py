"""A dict on top of another: the records of a batch, at a cost that depends on the batch only."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar, overload

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
D = TypeVar("D")

# The methods of the dict itself, looked up once, because every command calls them.
_own = dict.get
_put = dict.__setitem__


class Overlay(dict[K, V]):
    """A dict on top of another one, which `merge` changes and nothing else.

    The overlay itself holds the values that were read by their key or assigned.

    Args:
        base: The other dict.
        copy: Returns a copy of a value. The overlay copies a value when it is first read by its
            key, because the reader may change it. Values from `values` must not be changed.
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
        return found

    @overload
    def get(self, key: K, default: None = None, /) -> V | None: ...
    @overload
    def get(self, key: K, default: V, /) -> V: ...
    @overload
    def get(self, key: K, default: D, /) -> V | D: ...
    def get(self, key: K, default: D | None = None, /) -> V | D | None:
        """Return the value of a key, copied from the base when it is first read."""
        found: V | None = _own(self, key)
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
        # `merge` removes the key from the base, so that a value which is assigned again comes last
        # there, as it does here.
        if key in self._base:
            self._gone.add(key)
        _put(self, key, value)

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        self.pop(key)

    @overload
    def pop(self, key: K, /) -> V: ...
    @overload
    def pop(self, key: K, default: V, /) -> V: ...
    @overload
    def pop(self, key: K, default: D, /) -> V | D: ...
    def pop(self, key: K, default: D | None = None, /) -> V | D | None:
        """Remove a key and return its value; the default, or None, if there is none."""
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
        """Return a list of the values: first those of the base, then those of the overlay."""
        return [*(self._base[key] for key in self._untouched()), *super().values()]

    def items(self) -> Any:
        """Return a list of the keys with their values, copied from the base as `get` does."""
        return [(key, self[key]) for key in self]

    def __len__(self) -> int:
        return len(self._untouched()) + super().__len__()

    def merge(self) -> None:
        """Write the changes into the base."""
        for key in self._gone:
            self._base.pop(key, None)
        self._base.update(super().items())


def merge(staged: dict[K, V]) -> None:
    """Write the changes of an overlay into its base.

    Args:
        staged: An overlay: the records of a staged authority, which are declared as a dict.
    """
    assert isinstance(staged, Overlay)
    staged.merge()

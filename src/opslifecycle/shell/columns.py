"""A sorted index of keys, at a cost per change that hardly depends on their number."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Hashable, Iterable, Iterator
from itertools import chain, islice
from typing import Generic, Protocol, Self, TypeAlias, TypeVar

IdT = TypeVar("IdT", bound=Hashable)

#: So many keys are in one chunk when it is created; twice as many divide it.
_CHUNK_KEYS = 512


class SortKey(Protocol):
    """A value that is ordered among those of its type."""

    def __lt__(self, other: Self, /) -> bool: ...


#: The values of an order, then the id of the record as plain data, then the id itself. No two keys
#: are equal before the last value, so ids are never compared.
Key: TypeAlias = tuple[SortKey, ...]


class Column(Generic[IdT]):
    """The keys of records in one order: sorted chunks, each a list.

    Args:
        keys: A key of each record, by its id, in any order.
    """

    __slots__ = ("_chunks", "_firsts", "_keys")

    def __init__(self, keys: Iterable[tuple[IdT, Key]]) -> None:
        self._keys: dict[IdT, Key] = dict(keys)
        ordered = sorted(self._keys.values())
        starts = range(0, len(ordered), _CHUNK_KEYS)
        self._chunks = [ordered[start : start + _CHUNK_KEYS] for start in starts]
        self._firsts = [chunk[0] for chunk in self._chunks]

    def replace(self, id: IdT, key: Key | None) -> None:
        """Set the key of a record; None for a record that is gone."""
        before = self._keys.get(id)
        if before == key:
            return
        if before is not None:
            self._remove(before)
            del self._keys[id]
        if key is not None:
            self._add(key)
            self._keys[id] = key

    def _remove(self, key: Key) -> None:
        place = self._chunk_of(key)
        chunk = self._chunks[place]
        del chunk[bisect_left(chunk, key)]
        if chunk:
            self._firsts[place] = chunk[0]
        else:
            del self._chunks[place], self._firsts[place]

    def _add(self, key: Key) -> None:
        if not self._chunks:
            self._chunks.append([key])
            self._firsts.append(key)
            return
        place = self._chunk_of(key)
        chunk = self._chunks[place]
        insort(chunk, key)
        self._firsts[place] = chunk[0]
        if len(chunk) > 2 * _CHUNK_KEYS:
            self._chunks.insert(place + 1, chunk[_CHUNK_KEYS:])
            self._firsts.insert(place + 1, chunk[_CHUNK_KEYS])
            del chunk[_CHUNK_KEYS:]

    def _chunk_of(self, key: Key) -> int:
        return max(0, bisect_right(self._firsts, key) - 1)

    # The walks are no generators: one that is dropped runs bytecode of its own, and the interpreter
    # swallows an interrupt that comes there.

    def ascending(self, after: Key | None) -> Iterator[Key]:
        """Return the keys after one in their order; all of them for None."""
        if after is None or not self._chunks:
            return chain.from_iterable(self._chunks)
        place = self._chunk_of(after)
        chunk = self._chunks[place]
        rest = islice(self._chunks, place + 1, None)
        return chain(chunk[bisect_right(chunk, after) :], chain.from_iterable(rest))

    def descending(self, before: Key | None) -> Iterator[Key]:
        """Return the keys before one, the greatest first; all of them for None."""
        if before is None or not self._chunks:
            return chain.from_iterable(map(reversed, reversed(self._chunks)))
        place = self._chunk_of(before)
        chunk = self._chunks[place]
        rest = chain.from_iterable(map(reversed, reversed(self._chunks[:place])))
        return chain(reversed(chunk[: bisect_left(chunk, before)]), rest)

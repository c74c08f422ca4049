"""Dicts of a record: a mapping that nothing changes, its checks, and the JSON objects of stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Self, TypeVar

from opslifecycle.errors import InvalidValueError
from opslifecycle.values.checks import expected

V = TypeVar("V")
D = TypeVar("D")


class FrozenDict(Mapping[str, V]):
    """A dict with text keys that cannot be changed, in the order of its keys.

    `FrozenDict({"bolt": 4})` copies a dict. Two are equal if they have equal items; one is equal to
    any other mapping with equal items, too.

    Args:
        items: A mapping, or pairs of a key and a value; without it, the dict is empty.
    """

    __slots__ = ("_hash", "_items")
    _hash: int | None
    _items: dict[str, V]

    # Not `__init__`, which could be called again.
    def __new__(cls, items: Mapping[str, V] | Iterable[tuple[str, V]] = ()) -> Self:
        """Make a dict of items."""
        found = dict(items)
        for key in found:
            if type(key) is not str:
                expected("key", "a text", key)
        self = super().__new__(cls)
        self._items = dict(sorted(found.items(), key=lambda item: item[0]))
        self._hash = None
        return self

    def __getitem__(self, key: str) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __or__(self, other: Mapping[str, V]) -> FrozenDict[V]:
        """Return the items of both; of a key that both have, the value of the other."""
        return FrozenDict({**self._items, **other})

    def without(self, key: str) -> FrozenDict[V]:
        """Return the items without those of a key, which may be absent."""
        return FrozenDict((each, value) for each, value in self._items.items() if each != key)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FrozenDict):
            return self._items == other._items
        return self._items == other

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(tuple(self._items.items()))
        return self._hash

    def __repr__(self) -> str:
        return f"FrozenDict({self._items!r})"

    def __reduce__(self) -> tuple[type[FrozenDict[V]], tuple[dict[str, V]]]:
        return FrozenDict, (self._items,)


def check_dict(
    field: str,
    value: object,
    max_length: int,
    check_key: Callable[[str, object], object],
    check: Callable[[str, object], object],
) -> None:
    """Check for a FrozenDict of at most `max_length` items, and call the checks with each item."""
    if type(value) is not FrozenDict:
        expected(field, "a FrozenDict", value)
    if len(value) > max_length:
        raise InvalidValueError(field, f"expected at most {max_length} items, got {len(value)}")
    for key, each in value.items():
        check_key(f"{field}: the key {key!r:.80}", key)
        check(f"{field}[{key!r:.80}]", each)


def dict_from(
    data: object, max_length: int, read_key: Callable[[object], str], read: Callable[[object], V]
) -> FrozenDict[V]:
    """Return a stored dict; `read_key` and `read` return a key and a value of their data.

    Raises:
        InvalidValueError: The data is no object, or has too many items or a wrong one.
    """
    if type(data) is not dict or len(data) > max_length:
        reason = f"expected an object with at most {max_length} items, got {data!r:.80}"
        raise InvalidValueError("", reason)
    return FrozenDict((read_key(key), read(each)) for key, each in data.items())


def optional_dict_from(
    data: object, max_length: int, read_key: Callable[[object], str], read: Callable[[object], V]
) -> FrozenDict[V] | None:
    """Return a stored dict or None; raises InvalidValueError for anything else."""
    return None if data is None else dict_from(data, max_length, read_key, read)

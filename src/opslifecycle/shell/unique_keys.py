"""Unique keys: which record holds each. The authority keeps that, and recovery rebuilds it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

from opslifecycle.errors import InvalidValueError

KeyT = TypeVar("KeyT", bound=Hashable)
IdT = TypeVar("IdT", bound=Hashable)


def claim(name: str, holders: dict[KeyT, IdT], key: KeyT, id: IdT) -> None:
    """Enter the holder of a key that was recovered.

    Args:
        name: The name of the unique key.
        holders: The id of the record that holds each key.
        key: The key.
        id: The id of a record that has it.

    Raises:
        InvalidValueError: Another record has the same key.
    """
    other = holders.setdefault(key, id)
    if other != id:
        raise InvalidValueError(name, f"the records {other} and {id} have the same key, {key!r}")

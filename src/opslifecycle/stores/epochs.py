"""New epochs, for feeds whose store was restored from a backup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from opslifecycle.errors import InvalidValueError, StoreDamagedError
from opslifecycle.stores.base import StoreContents
from opslifecycle.values.conversion import structure
from opslifecycle.values.identifiers import new_uuid
from opslifecycle.values.plain import MISSING, Json, json_of, text_of

T = TypeVar("T")


def in_new_epoch(stored: StoreContents, where: str, head: int) -> StoreContents:
    """Return the contents of a store with a new epoch.

    Args:
        stored: The contents.
        where: The store, for the error.
        head: The last row that was read, for the error.

    Raises:
        StoreDamagedError: The state is no JSON.
    """
    try:
        return StoreContents(stored.records, stored.rows, with_new_epoch(stored.state))
    except ValueError as error:
        rule = f"the registry's state is no JSON: {error}"
        raise StoreDamagedError(where, head, rule) from None


def with_new_epoch(state: str | None) -> str | None:
    """Return the state of a registry with a new epoch, if it has a feed.

    Raises:
        ValueError: The state is no JSON, or nested too deeply.
    """
    data = None if state is None else json_of(state)
    if not isinstance(data, dict) or "epoch_id" not in data:
        return state
    return text_of({**data, "epoch_id": new_uuid()})


def lacks_feed(state: Mapping[str, Json]) -> bool:
    """Return whether a machine without a feed has written the state of a registry."""
    return state.keys().isdisjoint(("watermark", "dropped_through"))


def epoch_of(state: Mapping[str, Json], kind: type[T]) -> T:
    """Return the epoch in the state of a registry with a feed.

    Args:
        state: The stored fields of the registry.
        kind: The class of the epoch.

    Raises:
        InvalidValueError: There is none.
    """
    try:
        return structure(state["epoch_id"], kind)
    except (KeyError, InvalidValueError) as error:
        reason = MISSING if isinstance(error, KeyError) else error.reason
        raise InvalidValueError("the registry's state: epoch_id", reason) from None

"""New epochs, for feeds whose store was restored from a backup."""

from __future__ import annotations

import json

from opslifecycle.values.identifiers import new_uuid
from opslifecycle.values.plain import text_of


def with_new_epoch(state: str | None) -> str | None:
    """Return the state of a registry with a new epoch, if it has a feed.

    Raises:
        ValueError: The state is no JSON.
        RecursionError: The state is nested too deeply.
    """
    data = None if state is None else json.loads(state)
    if not isinstance(data, dict) or "epoch_id" not in data:
        return state
    return text_of({**data, "epoch_id": new_uuid()})

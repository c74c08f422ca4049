"""What lists show: a record in each row, and the registries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from opslifecycle.inspection.machines import OPERATIONS, Machine, Seen
from opslifecycle.inspection.records import Stored
from opslifecycle.stores.reading import StoredRegistry
from opslifecycle.values.plain import Data, Json

Row: TypeAlias = Data

#: The fields of a snapshot that name its record, the first that it has.
_NAMES = ("display_name", "name", "title")
#: How much of the other fields a row has.
_TEXT_LENGTH_MAX = 300


def row_function(machine: Machine) -> Callable[[Stored], Row]:
    """Return the function that makes the row of a record."""
    return _row_of_operation if machine is OPERATIONS else partial(_row_of, machine)


def _row_of_operation(stored: Stored) -> Row:
    found = stored.found()
    snapshot = found.snapshot
    latest = snapshot.latest_progress
    return {
        "id": found.id,
        "registry": found.registry,
        "name": found.name,
        "kind": snapshot.kind.value,
        "status": found.status,
        "class": snapshot.public_result_class.value,
        "ended": found.ended,
        "created_at_ms": snapshot.created_at_ms,
        "started_at_ms": snapshot.started_at_ms,
        "completed_at_ms": snapshot.completed_at_ms,
        "percent": None if latest is None else latest.percent,
        "message": None if latest is None else latest.message,
        "reason": found.reason,
    }


def _row_of(machine: Machine, stored: Stored) -> Row:
    registry = stored.registry
    seen = registry.decode(machine.see, stored.id, stored.body)
    name = next((key for key in _NAMES if isinstance(seen.snapshot.get(key), str)), None)
    return {
        "id": stored.id,
        "registry": registry.name,
        "name": stored.id if name is None else seen.snapshot[name],
        "status": machine.shown_status(seen, registry),
        "ended": seen.ended,
        "created_at_ms": seen.created_at_ms,
        "started_at_ms": seen.created_at_ms,
        "completed_at_ms": seen.ended_at_ms,
        "percent": None,
        "message": _summary(seen, stored.id, name),
        "reason": "",
    }


def _summary(seen: Seen, id: str, name: str | None) -> str:
    """Return the fields of a snapshot in one line, without those that the row shows elsewhere."""
    shown = (None, id, seen.status)
    fields = (
        f"{key}: {_text(value)}"
        for key, value in seen.snapshot.items()
        if key != name and not any(value == each for each in shown)
    )
    return " · ".join(fields)[:_TEXT_LENGTH_MAX]


def _text(value: Json) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def registry_data(registry: StoredRegistry, machine: Machine) -> Data:
    """Return what is shown of a registry."""
    edges = machine.feed_state(registry)
    return {
        "name": registry.name,
        "holder": registry.holder,
        "responds": registry.responds,
        machine.inspection.entities: len(machine.records(registry)),
        "epoch": edges.epoch,
        "watermark": edges.watermark,
        "dropped_through": edges.dropped_through,
    }

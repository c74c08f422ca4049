"""The history of a record: its last transitions, oldest first."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def appended(history: tuple[T, ...], entry: T, last: int) -> tuple[T, ...]:
    """Return a history with one more entry, and at most `last` in all."""
    return (*history[-last + 1 :], entry) if last > 1 else (entry,)

"""The loggers of the project, one for each component."""

from __future__ import annotations

import logging

COMPONENTS = (
    "cluster", "commits", "mcp", "outbox", "postgres", "reader", "sqlite", "timers",
)  # fmt: skip


def loggers() -> list[logging.Logger]:
    """Return the loggers."""
    return [logging.getLogger(f"opslifecycle.{each}") for each in COMPONENTS]

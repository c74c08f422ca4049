"""Moments in arguments: a date and time, or how long ago it was."""

from __future__ import annotations

from datetime import datetime

import click
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.inspection.records import milliseconds

_EXPECTED = "expected a duration such as 30s, 10m, 2h or 1d, or a time such as 2026-01-31T09:30"


class MomentType(click.ParamType[int]):
    """A moment in milliseconds since 1970. A time without a zone is in that of this computer."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """See `click.ParamType.convert`."""
        if isinstance(value, int):
            return value
        ago = milliseconds(str(value))
        if ago is not None:
            return SYSTEM_CLOCK.wall_ms() - ago
        try:
            return round(datetime.fromisoformat(str(value)).timestamp() * 1000)
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r}: {_EXPECTED}", param, ctx)


def shown(milliseconds: int | None) -> str:
    """Return a moment as text in the zone of this computer; empty for None."""
    if milliseconds is None:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().isoformat(" ", "seconds")

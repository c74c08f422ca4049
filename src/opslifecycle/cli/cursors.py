"""Cursors in arguments."""

from __future__ import annotations

import click
from opslifecycle import InvalidValueError, PageCursor


class CursorType(click.ParamType[PageCursor]):
    """The cursor that an earlier page has printed."""

    name = "cursor"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> PageCursor:
        """See `click.ParamType.convert`."""
        try:
            return value if isinstance(value, PageCursor) else PageCursor.parse(str(value))
        except InvalidValueError:
            self.fail(f"{value!r}: expected what `ls` printed after `--after`", param, ctx)

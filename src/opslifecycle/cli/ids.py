"""Shortened ids in arguments, which a shell can complete."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem
from opslifecycle import OpsLifecycleError
from opslifecycle.cli.text import one_line
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.records import operations, reader, shortened


class IdType(click.ParamType[str]):
    """The beginning or the end of an operation's id."""

    name = "id"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """See `click.ParamType.convert`."""
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the ids that a shell offers, the latest first, with what they stand for."""
        store = ctx.params.get("store")
        try:
            found = operations(reader(store).all()) if isinstance(store, Location) else []
        except OpsLifecycleError:
            # A shell that completes has no place for an error; the command itself reports it.
            return []
        short = shortened(each.id for each in found)
        return [
            CompletionItem(short[each.id], help=f"{each.status} {one_line(each.name)}")
            for each in reversed(found)
            if short[each.id].startswith(incomplete.lower())
        ]

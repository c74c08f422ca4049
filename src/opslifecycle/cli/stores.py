"""The store option of the commands."""

from __future__ import annotations

import click
from opslifecycle.inspection.locations import DEFAULT_STORE, Location, location_of


class LocationType(click.ParamType[Location]):
    """A path, or a connection string whose fragment may name a schema."""

    name = "store"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Location:
        """Return the location that a text names."""
        return value if isinstance(value, Location) else location_of(str(value))


store_option = click.option(
    "--store",
    type=LocationType(),
    default=str(DEFAULT_STORE),
    envvar="OPSLIFECYCLE_STORE",
    show_default=True,
    show_envvar=True,
    help="The store of the operations: a file, or postgresql://… for a server.",
)


def print_line(line: str) -> None:
    """Print a line and flush it."""
    print(line, flush=True)

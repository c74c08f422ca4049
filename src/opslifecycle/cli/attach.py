"""`opslifecycle attach`: follow one run to its end."""

from __future__ import annotations

import click
from opslifecycle.cli.stores import store_option
from opslifecycle.cli.watch import follow
from opslifecycle.inspection.locations import Location
from rich.console import Console


@click.command()
@store_option
@click.argument("run", required=False)
@click.pass_context
def attach(ctx: click.Context, store: Location, run: str | None) -> None:
    """Show the commands of a run until it has ended. By default, that is the latest run.

    The name of RUN may be shortened. Ctrl-C ends the table and nothing else. The exit status is 0
    if every command completed, and 1 if one did not.
    """
    ctx.exit(follow(Console(highlight=False), store, run, latest=True))

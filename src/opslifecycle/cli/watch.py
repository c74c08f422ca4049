"""`opslifecycle watch`: a live table of what is in a store."""

from __future__ import annotations

import time
from collections import Counter

import click
from opslifecycle import OperationStatus
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.operation_table import shown_status, table
from opslifecycle.cli.runs import run_named
from opslifecycle.cli.stores import store_option
from opslifecycle.cli.tables import print_uncut
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.machines import INTERRUPTED, NOT_RECORDED
from opslifecycle.inspection.records import Found, operations, reader
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

_LOOK_SECONDS = 0.5
_ROWS_BESIDE = 3


@click.command()
@store_option
@click.option("--run", "name", help="Only this run, until it has ended; it may be shortened.")
@click.pass_context
def watch(ctx: click.Context, store: Location, name: str | None) -> None:
    """Show the operations of all runs as they change: live ones first, then the latest ends.

    With --run, the exit status is 0 if all of them completed, and 1 if one did not.
    """
    console = Console(highlight=False)
    if name is None and not console.is_terminal:
        raise click.UsageError("the table needs a terminal: use `ls`, or --run to wait for a run")
    ctx.exit(follow(console, store, name))


def follow(console: Console, store: Location, name: str | None, *, latest: bool = False) -> int:
    """Show the operations of all runs, or those of one until it has ended; return the exit status.

    Args:
        console: Where the table is.
        store: The store.
        name: A part of the name of the run; None for all runs.
        latest: Whether None is the latest run instead.
    """
    with told_errors():
        source = reader(store)
        chosen = run_named(source.names(), name) if latest or name is not None else None
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                runs = source.all() if chosen is None else [source.registry(chosen)]
                found = operations(runs)
                if console.is_terminal:
                    live.update(drawn(console, found), refresh=True)
                if chosen is not None and runs[0].holder is None:
                    break
                time.sleep(_LOOK_SECONDS)
        print_uncut(console, _table(found, console.width if console.is_terminal else None))
        completed = OperationStatus.COMPLETED.value
        return 0 if all(each.status == completed for each in found) else 1


def drawn(console: Console, found: list[Found]) -> Group:
    """Return a table that fits the height of a terminal, and how many there are of each status."""
    rows = max(1, console.height - _ROWS_BESIDE)
    live = [each for each in found if not each.ended and each.status != INTERRUPTED]
    over = [each for each in found if each.ended or each.status == INTERRUPTED]
    over.sort(key=lambda each: (each.snapshot.completed_at_ms or 0, each.id), reverse=True)
    # What runs is above what waits to run.
    live.sort(key=lambda each: each.snapshot.started_at_ms is None)
    counts = Counter(each.status for each in found)
    counted = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    shown = [*live, *over][:rows]
    return Group(_table(shown, console.width), Text(counted or "no operations", style="dim"))


def _table(found: list[Found], columns: int | None) -> Table:
    gone = {each.snapshot.id: each.status for each in found if each.status in NOT_RECORDED}
    snapshots = [each.snapshot for each in found]
    return table(snapshots, columns, lambda one: gone.get(one.id) or shown_status(one))

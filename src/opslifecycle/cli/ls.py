"""`opslifecycle ls`: list operations."""

from __future__ import annotations

import sys

import click
from opslifecycle import OperationKind, OperationOrder, OperationStatus, PageCursor
from opslifecycle.cli.cursors import CursorType
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.line_format import FIELDS, LineFormat, formatted
from opslifecycle.cli.moments import MomentType
from opslifecycle.cli.stores import print_line, store_option
from opslifecycle.cli.tables import print_uncut
from opslifecycle.cli.text import json_line, one_line
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.machines import INTERRUPTED, UNRESPONSIVE
from opslifecycle.inspection.paging import Choice, OtherPageError, PageOptions
from opslifecycle.inspection.records import Found, age, reader, shortened, stored_operations
from rich.console import Console
from rich.table import Table
from rich.text import Text

_STATUSES = [status.value for status in OperationStatus if status is not OperationStatus.ABSENT]
#: A narrower terminal shows no reasons.
_COLUMNS_FOR_REASON = 60


@click.command()
@store_option
@click.option(
    "--status",
    type=click.Choice([*_STATUSES, INTERRUPTED, UNRESPONSIVE]),
    multiple=True,
    help="Only this status.",
)
@click.option(
    "--kind", type=click.Choice([kind.value for kind in OperationKind]), help="Only this kind."
)
@click.option("--name", help="Only names like this; `*` stands for any text, `?` for a character.")
@click.option("--since", type=MomentType(), help="Registered since: 10m ago, or 2026-01-31T09:30.")
@click.option("--until", type=MomentType(), help="Registered until then.")
@click.option(
    "--order",
    type=click.Choice([order.value for order in OperationOrder]),
    default=OperationOrder.ID.value,
    show_default=True,
    help="What to sort by; ids are in the order of their creation.",
)
@click.option("-r", "--reverse", is_flag=True, help="Last first.")
@click.option("-n", "--limit", type=click.IntRange(1), help="The maximum number of operations.")
@click.option(
    "--after", type=CursorType(), help="Those after a page, which printed this with its last line."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option(
    "--format",
    "line",
    type=LineFormat(),
    help=f"Print lines like this; fields: {', '.join(FIELDS)}.",
)
def ls(
    store: Location,
    status: tuple[str, ...],
    kind: str | None,
    name: str | None,
    since: int | None,
    until: int | None,
    order: str,
    reverse: bool,
    limit: int | None,
    after: PageCursor | None,
    as_json: bool,
    line: str | None,
) -> None:
    """List the operations in a store, oldest first.

    A format is as in Python: --format '{id} {status:>10} {name}'.

    With --limit, the option for the next page is printed to standard error, if more follow.
    """
    if as_json and line is not None:
        raise click.UsageError("--json and --format: give one of them")

    with told_errors():
        stored = stored_operations(reader(store).all())
        options = PageOptions(OperationOrder(order), reverse, limit, after)
        choice = Choice(status, kind, name, since, until)
        try:
            chosen, cursor = options.page(stored, choice.includes)
        except OtherPageError:
            message = "--after: pass the options of the page that printed the cursor"
            raise click.UsageError(message) from None
        if as_json or line is not None:
            for each in chosen:
                print_line(json_line(each.shown()) if line is None else formatted(line, each))
        else:
            _print_table(chosen, shortened(each.id for each in stored))
        if cursor is not None:
            print(f"more follow: --after {cursor}", file=sys.stderr)


def _print_table(found: list[Found], short: dict[str, str]) -> None:
    rows = [
        (
            short[each.id], each.status, age(each.age_ms()), one_line(each.name),
            one_line((each.reason.splitlines() or [""])[0]),
        )
        for each in found
    ]  # fmt: skip
    console = Console(highlight=False)
    cut = console.is_terminal
    grid = Table(box=None, padding=(0, 2, 0, 0), expand=cut)
    for place, column in enumerate(("id", "status", "age")):
        # These columns are never cut, however narrow the terminal is.
        width = max([len(column), *(len(row[place]) for row in rows)])
        grid.add_column(column, no_wrap=True, width=width)
    grid.add_column("command", no_wrap=True, ratio=3 if cut else None, overflow="ellipsis")
    with_reason = not cut or console.width >= _COLUMNS_FOR_REASON
    if with_reason:
        grid.add_column("reason", no_wrap=True, ratio=2 if cut else None, overflow="ellipsis")
    for row in rows:
        grid.add_row(*(Text(value) for value in (row if with_reason else row[:-1])))
    print_uncut(console, grid)

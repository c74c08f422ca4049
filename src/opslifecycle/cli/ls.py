"""`opslifecycle ls`: list operations."""

from __future__ import annotations

import sys

import click
from opslifecycle import OperationKind, OperationOrder, OperationStatus, PageCursor
from opslifecycle.cli.locations import Location
from opslifecycle.cli.paging import CursorType, PageOptions
from opslifecycle.cli.records import (
    INTERRUPTED,
    UNRESPONSIVE,
    Found,
    age,
    milliseconds,
    reader,
    shortened,
    stored_operations,
)
from opslifecycle.cli.stores import print_line, store_option, told_errors
from opslifecycle.cli.tables import print_uncut
from opslifecycle.cli.text import json_line, one_line
from rich.console import Console
from rich.table import Table
from rich.text import Text

_STATUSES = [status.value for status in OperationStatus if status is not OperationStatus.ABSENT]
#: A narrower terminal shows no reasons.
_COLUMNS_FOR_REASON = 60


class _Age(click.ParamType[int]):
    name = "age"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        found = value if isinstance(value, int) else milliseconds(str(value))
        if found is None:
            self.fail(f"{value!r}: expected a duration such as 30s, 10m, 2h or 1d", param, ctx)
        return found


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
@click.option("--younger-than", type=_Age(), help="Registered within: 30s, 10m, 2h, 1d.")
@click.option("--older-than", type=_Age(), help="Registered before: 30s, 10m, 2h, 1d.")
@click.option(
    "--order",
    type=click.Choice([order.value for order in OperationOrder]),
    default=OperationOrder.ID.value,
    show_default=True,
    help="What to sort by; ids are in the order of their creation.",
)
@click.option("-r", "--reverse", is_flag=True, help="Last first.")
@click.option("-n", "--limit", type=click.IntRange(1), help="At most so many operations.")
@click.option(
    "--after", type=CursorType(), help="Those after a page, which printed this with its last line."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def ls(
    store: Location,
    status: tuple[str, ...],
    kind: str | None,
    younger_than: int | None,
    older_than: int | None,
    order: str,
    reverse: bool,
    limit: int | None,
    after: PageCursor | None,
    as_json: bool,
) -> None:
    """List the operations in a store, oldest first.

    With --limit, the option for the next page is printed to standard error, if more follow.
    """

    def is_chosen(each: Found) -> bool:
        return (
            (not status or each.status in status)
            and (kind is None or each.snapshot.kind.value == kind)
            and (younger_than is None or each.age_ms() <= younger_than)
            and (older_than is None or each.age_ms() >= older_than)
        )

    with told_errors():
        stored = stored_operations(reader(store).all())
        options = PageOptions(OperationOrder(order), reverse, limit, after)
        chosen, cursor = options.page(stored, is_chosen)
        if as_json:
            for each in chosen:
                print_line(json_line(each.shown()))
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

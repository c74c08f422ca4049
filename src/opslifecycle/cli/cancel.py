"""`opslifecycle cancel`: ask owners to cancel operations."""

from __future__ import annotations

import sys

import click
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.ids import IdType
from opslifecycle.cli.stores import print_line, store_option
from opslifecycle.cli.text import one_line
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.machines import INTERRUPTED
from opslifecycle.inspection.records import operations, reader, resolve


@click.command()
@store_option
@click.argument("ids", type=IdType(), nargs=-1, required=True)
@click.pass_context
def cancel(ctx: click.Context, store: Location, ids: tuple[str, ...]) -> None:
    """Ask the owners of operations to cancel them. Repeating the request is harmless."""
    with told_errors():
        found = operations(reader(store).all())
        chosen = [resolve(found, id) for id in ids]
        gone = [each for each in chosen if each.status == INTERRUPTED]
        for each in chosen:
            name = one_line(each.name)
            if each.ended:
                print_line(f"{name}: {each.status} already")
            elif each not in gone:
                store.ask(each.registry, each.id, "cancelled on request")
                silent = "" if each.responds else ", which does not respond"
                print_line(f"{name}: asked {one_line(str(each.holder))}{silent}")
        for each in gone:
            message = f"{one_line(each.name)}: its process is gone, nothing runs"
            print(f"error: {message}", file=sys.stderr)
        ctx.exit(1 if gone else 0)

"""`opslifecycle restored`: declare that a store was restored from a backup."""

from __future__ import annotations

import click
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.stores import print_line, store_option
from opslifecycle.inspection.locations import Location


@click.command()
@store_option
def restored(store: Location) -> None:
    """Have every feed of a store begin a new epoch when its registry is opened next.

    A copied file does so by itself. A volume that was put back whole looks as it did, and
    consumers that had read further would miss what comes now.
    """
    with told_errors():
        store.mark_restored()
        print_line(f"{store}: each feed begins a new epoch when its registry is opened next")

"""`opslifecycle restored`: say that a store was put back from a backup."""

from __future__ import annotations

from pathlib import Path

import click
from opslifecycle.cli.stores import print_line, store_option, told_errors
from opslifecycle.stores.sqlite.admin import mark_restored


@click.command()
@store_option
def restored(store: Path) -> None:
    """Have every feed of a store begin a new epoch when its registry is opened next.

    A copied file does so by itself. A volume that was put back whole looks as it did, and
    consumers that had read further would miss what comes now.
    """
    with told_errors():
        mark_restored(store)
        print_line(f"{store}: each feed begins a new epoch when its registry is opened next")

"""`opslifecycle tail`: a run's completion feed."""

from __future__ import annotations

import sys
import time

import click
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.runs import run_named
from opslifecycle.cli.stores import print_line, store_option
from opslifecycle.cli.text import json_line
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.machines import OPERATIONS
from opslifecycle.inspection.records import LOOK_SECONDS, reader


@click.command()
@store_option
@click.option("--run", "name", help="The run; its name may be shortened. [default: the latest]")
@click.option(
    "--after", type=click.IntRange(0), default=0, help="Only entries after this sequence number."
)
@click.option("-f", "--follow", is_flag=True, help="Follow until the run has ended.")
def tail(store: Location, name: str | None, after: int, follow: bool) -> None:
    """Print the completion feed of a run, one JSON object a line."""
    with told_errors():
        source = reader(store)
        chosen = run_named(source.names(), name)
        while True:
            registry = source.registry(chosen)
            dropped_through = OPERATIONS.feed_state(registry).dropped_through
            if after < dropped_through:
                print(f"gap: entries {after + 1} to {dropped_through} are gone", file=sys.stderr)
                after = dropped_through
            for sequence, (id, body) in registry.stored.rows.items():
                if sequence > after:
                    after = sequence
                    print_line(json_line(registry.decode(OPERATIONS.feed_entry, id, body).data))
            if not follow or registry.holder is None:
                return
            time.sleep(LOOK_SECONDS)

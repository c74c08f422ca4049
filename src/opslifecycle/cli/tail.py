"""`opslifecycle tail`: a run's completion feed."""

from __future__ import annotations

import sys
import time

import click
from opslifecycle import unstructure as to_json
from opslifecycle.cli.locations import Location
from opslifecycle.cli.records import LOOK_SECONDS, reader, run_named
from opslifecycle.cli.stores import print_line, store_option, told_errors
from opslifecycle.cli.text import json_line
from opslifecycle.stores.reading import StoredRegistry
from opslifecycle.values.plain import Json, data_of

from opslifecycle.operations.storage import deserialize
from opslifecycle.operations.views import entry_of


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
            dropped_through = _dropped_through(registry)
            if after < dropped_through:
                print(f"gap: entries {after + 1} to {dropped_through} are gone", file=sys.stderr)
                after = dropped_through
            for sequence, (id, body) in registry.stored.rows.items():
                if sequence > after:
                    after = sequence
                    print_line(json_line(registry.decode(_entry_of, id, body)))
            if not follow or registry.holder is None:
                return
            time.sleep(LOOK_SECONDS)


def _entry_of(id: str, body: str) -> Json:
    return to_json(entry_of(deserialize(id, body)))


def _dropped_through(registry: StoredRegistry) -> int:
    """Return the sequence number of the last evicted feed entry of a registry."""
    state = registry.stored.state
    return int(data_of(state).get("dropped_through", 0)) if state is not None else 0

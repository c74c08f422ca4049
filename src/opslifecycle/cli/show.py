"""`opslifecycle show`: everything about one operation."""

from __future__ import annotations

import json

import click
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.ids import IdType
from opslifecycle.cli.stores import print_line, store_option
from opslifecycle.cli.text import json_line, lines_of
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.logs import STREAMS, segments
from opslifecycle.inspection.records import operations, reader, resolve


@click.command()
@store_option
@click.argument("id", type=IdType())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(store: Location, id: str, as_json: bool) -> None:
    """Print everything about one operation. ID may be shortened."""
    with told_errors():
        found = resolve(operations(reader(store).all()), id)
        logs = {
            stream: [str(each.path) for each in segments(store.beside, found.id, stream)]
            for stream in STREAMS
        }
        shown = {**found.shown(), "logs": logs}
        if as_json:
            print_line(json_line(shown))
            return
        shown["holder"] = found.holder or "none: its process is gone or has ended"
        if not found.responds:
            shown["holder"] += ", which does not respond"
        for key, value in shown.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            first, *rest = lines_of(text)
            print_line(f"{key}: {first}")
            for line in rest:
                print_line(f"  {line}")

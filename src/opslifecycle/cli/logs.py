"""`opslifecycle logs`: the output of a command."""

from __future__ import annotations

import sys
import time
from typing import BinaryIO

import click
from opslifecycle import PersistenceError
from opslifecycle.cli.failing import complain, told_errors
from opslifecycle.cli.ids import IdType
from opslifecycle.cli.stores import store_option
from opslifecycle.cli.text import for_terminal
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.logs import STREAMS, LogReader, segments
from opslifecycle.inspection.machines import INTERRUPTED
from opslifecycle.inspection.records import LOOK_SECONDS, Found, operations, reader, resolve
from opslifecycle.stores.reading import Reader


@click.command()
@store_option
@click.argument("id", type=IdType())
@click.option("-f", "--follow", is_flag=True, help="Follow until the operation has ended.")
@click.option(
    "--stream",
    type=click.Choice(["both", "stdout", "stderr"]),
    default="both",
    show_default=True,
    help="Only this output.",
)
def logs(store: Location, id: str, follow: bool, stream: str) -> None:
    """Print the output of an operation's command. ID may be shortened.

    Its standard output goes to standard output, its standard error to standard error. On a
    terminal, control characters are shown instead of obeyed; a pipe receives the bytes unchanged.
    """
    with told_errors():
        source = reader(store)
        found = resolve(operations(source.all()), id)
        pairs = [
            (LogReader(store.beside, found.id, name), file)
            for name, file in (("stdout", sys.stdout.buffer), ("stderr", sys.stderr.buffer))
            if stream in (name, "both")
        ]
        while True:
            # Read first, so that output from before the end of the command is printed below.
            live = follow and _is_live(source, found)
            for log, file in pairs:
                for data in log.read():
                    _write(file, data)
            if not live:
                break
            time.sleep(LOOK_SECONDS)
        has_printed = found.snapshot.latest_progress is not None
        if has_printed and not any(segments(store.beside, found.id, each) for each in STREAMS):
            complain("error: the log is missing; `opslifecycle show` prints what the record has")
            sys.exit(1)


def _is_live(source: Reader, found: Found) -> bool:
    try:
        current = operations([source.registry(found.registry)])
    except PersistenceError:
        if found.registry in source.names():
            raise
        return False
    return any(
        each.id == found.id and not each.ended and each.status != INTERRUPTED for each in current
    )


def _write(file: BinaryIO, data: bytes) -> None:
    if file.isatty():
        data = for_terminal(data)
    file.write(data)
    file.flush()

"""`opslifecycle wait`: wait until operations have ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import click
from opslifecycle import OperationStatus, PersistenceError
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.ids import IdType
from opslifecycle.cli.stores import print_line, store_option
from opslifecycle.cli.text import one_line
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.machines import INTERRUPTED
from opslifecycle.inspection.records import LOOK_SECONDS, Found, operations, reader, resolve
from opslifecycle.stores.reading import Reader

EXIT_FAILED, EXIT_UNKNOWN, EXIT_TIMED_OUT = 1, 3, 124


@click.command()
@store_option
@click.argument("ids", type=IdType(), nargs=-1, required=True)
@click.option(
    "--timeout", type=click.FloatRange(0), help="Seconds to wait; the exit status is then 124."
)
@click.pass_context
def wait(ctx: click.Context, store: Location, ids: tuple[str, ...], timeout: float | None) -> None:
    """Wait until operations have ended.

    \b
    Exit status:
      0    all completed
      1    one did not
      3    the end of one is unknown: it was erased, collected or evicted
      124  --timeout seconds have passed
    """
    with told_errors():
        source = reader(store)
        found = operations(source.all())
        wanted = {each.id: each for each in (resolve(found, id) for id in ids)}
        deadline = None if timeout is None else SYSTEM_CLOCK.monotonic_ms() + timeout * 1000
        ended: dict[str, Found] = {}
        unknown: set[str] = set()
        while True:
            live = wanted.keys() - ended.keys() - unknown
            current = _current(source, {wanted[id].registry for id in live})
            for id in live:
                each = current.get(id)
                if each is None:
                    unknown.add(id)
                elif each.ended or each.status == INTERRUPTED:
                    ended[id] = each
            if len(ended) + len(unknown) == len(wanted):
                break
            if deadline is not None and SYSTEM_CLOCK.monotonic_ms() >= deadline:
                ctx.exit(EXIT_TIMED_OUT)
            time.sleep(LOOK_SECONDS)
        ctx.exit(_report(wanted, ended))


def _current(source: Reader, registries: set[str]) -> dict[str, Found]:
    """Return the operations of some registries, and the collected ones in their feeds, by id."""
    found: dict[str, Found] = {}
    for name in registries:
        try:
            registry = source.registry(name)
        except PersistenceError:
            if name in source.names():
                raise
            continue
        found |= {each.id: each for each in operations([registry], with_feed=True)}
    return found


def _report(wanted: Mapping[str, Found], ended: Mapping[str, Found]) -> int:
    """Print how each operation ended, and return the exit status."""
    for id, asked in wanted.items():
        if id in ended:
            print_line(f"{ended[id].status:<12}{one_line(asked.name)}")
        else:
            reason = "its record was erased, collected or evicted meanwhile"
            print(f"error: {one_line(asked.name)}: {reason}", file=sys.stderr)
    if len(ended) < len(wanted):
        return EXIT_UNKNOWN
    completed = OperationStatus.COMPLETED.value
    return 0 if all(each.status == completed for each in ended.values()) else EXIT_FAILED

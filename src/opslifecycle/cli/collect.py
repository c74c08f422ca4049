"""`opslifecycle collect`: hand over what has ended, then erase it."""

from __future__ import annotations

import errno
import io
import os
import sys

import click
from opslifecycle import Registry
from opslifecycle import unstructure as to_json
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.running import logs
from opslifecycle.cli.stores import print_line, store_option
from opslifecycle.cli.text import json_line
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.records import reader

#: What a pipe, a terminal or a file system that cannot be synchronised says.
_NOT_SYNCHRONISED = (errno.EINVAL, errno.ENOTSUP, errno.EROFS, errno.ENOSYS)


@click.command()
@store_option
@click.option("--forget", "forgets", is_flag=True, help="Erase the runs, too, with their feeds.")
def collect(store: Location, forgets: bool) -> None:
    """Print the finished operations of runs without an owner, then erase them.

    A run is erased only after everything of it was written: a closed pipe or a full disk loses
    nothing, and the next `collect` prints it again.
    """
    with told_errors():
        for name in reader(store).names():
            if reader(store).registry(name).holder is not None:
                continue
            # Requests to a run that has ended are deleted, because no owner reads them any more.
            store.take(name)
            with Registry(store=store.store(name)) as registry:
                ended = registry.list_operations(terminal=True)
                ended.sort(key=lambda each: (each.completed_at_ms or 0, each.id))
                for each in ended:
                    line = {"id": str(each.id), **to_json(each.terminal_outcome)}
                    print_line(json_line(line))
                _written()
                # This process owns the registry, which has no live record, so exactly the printed
                # operations are erased.
                registry.collect_completed()
            if forgets:
                store.forget(name)
            logs.remove(store.beside, name, [str(each.id) for each in ended])


def _written() -> None:
    """Flush the printed output to the disk, if it is a file."""
    sys.stdout.flush()
    try:
        os.fsync(sys.stdout.fileno())
    except io.UnsupportedOperation:
        # A stream of the calling program.
        return
    except OSError as error:
        if error.errno not in _NOT_SYNCHRONISED:
            raise

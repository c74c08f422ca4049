"""The store option of the commands, and the report of errors."""

from __future__ import annotations

import contextlib
import errno
import signal
import sys
from collections.abc import Iterator

import click
from opslifecycle import OpsLifecycleError
from opslifecycle.cli.failing import complain, described, is_of_output, limit_behind
from opslifecycle.cli.output import discard
from opslifecycle.cli.text import lines_of
from opslifecycle.inspection.locations import DEFAULT_STORE, Location, location_of


class LocationType(click.ParamType[Location]):
    """A path, or a connection string whose fragment may name a schema."""

    name = "store"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Location:
        """Return the location that a text names."""
        return value if isinstance(value, Location) else location_of(str(value))


#: What Python raises, as a RuntimeError, where the system refuses a thread.
_NO_THREAD = "can't start new thread"

store_option = click.option(
    "--store",
    type=LocationType(),
    default=str(DEFAULT_STORE),
    envvar="OPSLIFECYCLE_STORE",
    show_default=True,
    show_envvar=True,
    help="The store of the operations: a file, or postgresql://… for a server.",
)


def print_line(line: str) -> None:
    """Print a line and flush it."""
    print(line, flush=True)


@contextlib.contextmanager
def told_errors() -> Iterator[None]:
    """Report an error in one line, and exit with status 2; exit with 130 on an interrupt."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        discard(sys.stdout)
        sys.exit(1)
    except OpsLifecycleError as error:
        fix = f"; {error.fix}" if error.fix else ""
        complain(f"error: {' '.join(lines_of(f'{error}{fix}'))}")
    except OSError as error:
        if is_of_output(error):
            # Buffered output would fail again when the interpreter ends.
            discard(sys.stdout)
        complain(f"error: {described(error)}")
    except MemoryError:
        complain("error: out of memory (the limit on it is `ulimit -v`)")
    except RuntimeError as error:
        if str(error) != _NO_THREAD:
            raise
        complain(f"error: {error}{limit_behind(errno.EAGAIN)}")
    else:
        return
    sys.exit(2)

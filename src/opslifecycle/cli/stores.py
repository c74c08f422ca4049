"""Where the command line keeps operations."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from opslifecycle import OpsLifecycleError
from opslifecycle.cli.output import discard_stdout
from opslifecycle.cli.text import lines_of

DEFAULT_STORE = Path(".opslifecycle/operations.db")


store_option = click.option(
    "--store",
    type=click.Path(path_type=Path, readable=False),
    default=DEFAULT_STORE,
    envvar="OPSLIFECYCLE_STORE",
    show_default=True,
    show_envvar=True,
    help="The store of the operations.",
)


def print_line(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def prepared(store: Path) -> Path:
    """The path of a store, whose folder is there; our own folder is kept out of version control."""
    folder = store.parent
    if not folder.exists():
        # Command lines and outputs may hold secrets.
        folder.mkdir(mode=0o700, parents=True)
        if folder.name == DEFAULT_STORE.parent.name:
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    return store


@contextlib.contextmanager
def told_errors() -> Iterator[None]:
    """Tell what went wrong in one line, and exit with 2."""
    try:
        yield
    except BrokenPipeError:
        discard_stdout()
        sys.exit(1)
    except OpsLifecycleError as error:
        print(f"error: {' '.join(lines_of(str(error)))}", file=sys.stderr)
    except OSError as error:
        if error.filename is None:
            # What is still buffered would fail again when the interpreter ends.
            discard_stdout()
        where = error.filename or "standard output"
        print(f"error: {where}: {error.strerror}", file=sys.stderr)
    else:
        return
    sys.exit(2)

"""The entry point of `opslifecycle`."""

from __future__ import annotations

import io
import sys

from opslifecycle.cli.interrupting import end_by_interrupts


def main() -> None:
    """Run the command line, or print what to install if a library is missing."""
    end_by_interrupts()
    for stream in (sys.stdout, sys.stderr):
        # Characters that the encoding of a terminal or a pipe lacks are shown as `?`.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        from opslifecycle.cli.group import cli

        # A command is imported when it is used.
        cli(prog_name="opslifecycle")
    except ModuleNotFoundError as error:
        if error.name not in ("click", "dotenv", "rich", "yaml"):
            raise
        sys.exit(
            f"opslifecycle: the command line needs {error.name}; pip install 'opslifecycle[cli]'"
        )


if __name__ == "__main__":
    main()

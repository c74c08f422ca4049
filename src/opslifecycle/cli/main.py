"""The entry point of `opslifecycle`."""

from __future__ import annotations

import sys

from opslifecycle.cli.interrupting import end_by_interrupts, receive_signals
from opslifecycle.cli.streams import open_streams


def main() -> None:
    """Run the command line, or print what to install if a library is missing."""
    receive_signals()
    end_by_interrupts()
    open_streams()
    try:
        from opslifecycle.cli.failing import told_errors
        from opslifecycle.cli.group import cli

        # A command is imported when it is used. Help and usage are printed before it is called.
        with told_errors():
            cli(prog_name="opslifecycle")
    except ModuleNotFoundError as error:
        if error.name not in ("click", "dotenv", "rich", "yaml"):
            raise
        sys.exit(
            f"opslifecycle: the command line needs {error.name}; pip install 'opslifecycle[cli]'"
        )


if __name__ == "__main__":
    main()

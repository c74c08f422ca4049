"""The command line `opslifecycle-codegen`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from opslifecycle_codegen.cli.table import COMMANDS, FORMATS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: success. 1: a file is out of date, or a property is violated. 2: invalid input. 3: a breaking
    change. 4: a search ended at its limit. 141: the reader of the output went away (`| head -1`),
    as for other programs on SIGPIPE.
    """
    options = parser().parse_args(arguments)
    # Here, because the help and a mistaken option need no compiler.
    from opslifecycle_codegen.cli.commands import run

    return run(options)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with every command."""
    top = argparse.ArgumentParser(
        prog="opslifecycle-codegen",
        description="Compile the lifecycles that pyproject.toml lists.",
    )
    top.add_argument(
        "--project", type=Path, default=Path(), help="the folder of pyproject.toml (default: here)"
    )
    top.add_argument(
        "--format", choices=FORMATS, default="text", help="how errors are printed (default: text)"
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for each in COMMANDS:
        command = commands.add_parser(each.name, help=each.help, description=each.help)
        for names, settings in each.options:
            command.add_argument(*names, **settings)
    return top


if __name__ == "__main__":
    sys.exit(main())

"""The command line `opslifecycle-codegen`. Each command is a function of its options."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from opslifecycle_codegen.base.config import InvalidConfigError
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.commands import COMMANDS, MISTAKE
from opslifecycle_codegen.cli.report import FORMATS, report_findings
from opslifecycle_codegen.compat.lock import InvalidLockError

#: The exit status of a shell's programs that SIGPIPE ended.
READER_GONE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: success. 1: a file is out of date, or a property is violated. 2: invalid input. 3: a breaking
    change. 4: a search ended at its limit. 141: the reader of the output went away (`| head -1`),
    as for other programs on SIGPIPE.
    """
    options = parser().parse_args(arguments)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would report the rest of the output as lost when it ends.
        with Path(os.devnull).open("w", encoding="utf-8") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        return READER_GONE
    except InvalidMachineError as error:
        report_findings(error.findings, options.project, options.format)
        if options.format == "text":
            count = len(error.findings)
            print(
                f"{count} mistake{'s' if count > 1 else ''}; nothing was written", file=sys.stderr
            )
    except (InvalidConfigError, InvalidLockError) as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename or options.project}: {error.strerror}", file=sys.stderr)
    else:
        return status
    return MISTAKE


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
        command.set_defaults(run=each.run)
    return top


if __name__ == "__main__":
    sys.exit(main())

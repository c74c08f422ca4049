"""The entry point of `opslifecycle`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; says what to install if its libraries are missing."""
    try:
        from opslifecycle.cli.commands import cli
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich", "yaml"):
            raise
        sys.exit(
            f"opslifecycle: the command line needs {error.name}; pip install 'opslifecycle[cli]'"
        )
    cli()


if __name__ == "__main__":
    main()

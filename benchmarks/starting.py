"""What it costs to begin: importing a registry, and the first word of each command line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring import Contest, Named, Ratio

_BIN = Path(sys.executable).parent
#: Installing a package compiles it; so does our first round, where that is not forbidden.
_ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}


def _seconds(command: list[str]) -> Callable[[], float]:
    def run() -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_ENVIRONMENT)
        return time.perf_counter() - start

    return run


def _importing(statement: str) -> Callable[[], float]:
    """Seconds of an import alone, told by the process that makes it."""
    program = (
        f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    )

    def run() -> float:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=_ENVIRONMENT)
        return float(done.stdout)

    return run


def _import() -> Contest:
    contestants = {
        "attrs and cattrs": _importing("import attrs, cattrs"),
        # The package imports its names when they are first used.
        "opslifecycle": _importing("from opslifecycle import Registry"),
    }
    return Contest("import", "import", contestants)


def _command_line() -> Contest:
    contestants = {
        "python -c pass": _seconds([sys.executable, "-c", "pass"]),
        "opslifecycle --help": _seconds([str(_BIN / "opslifecycle"), "--help"]),
        "opslifecycle-codegen --help": _seconds([str(_BIN / "opslifecycle-codegen"), "--help"]),
    }
    return Contest("command line", "start", contestants)


contests: list[Named] = [("import", _import), ("command line", _command_line)]

RATIOS = [
    Ratio("`from opslifecycle import Registry` against importing attrs and cattrs", "import",
          ("opslifecycle",), ("attrs and cattrs",), 1.3, at_least=False),
]  # fmt: skip

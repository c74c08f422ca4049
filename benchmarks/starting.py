"""What it costs to begin: importing a registry, and the first word of each command line."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
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


def _until_first_command(count: int) -> Callable[[], float]:
    """Seconds from the start of a run until the first of its commands runs."""

    def run() -> float:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            began = Path(folder) / "began"
            others = "".join(
                f"  - {{name: c{n}, command: [sleep, '9']}}\n" for n in range(1, count)
            )
            first = f"  - {{name: c0, command: [touch, {began}]}}\n"
            (Path(folder) / "batch.yaml").write_text(f"commands:\n{first}{others}")
            start = time.time()
            command = [str(_BIN / "opslifecycle"), "run", "--max-concurrent", "1", "batch.yaml"]
            process = subprocess.Popen(
                command, cwd=folder, env=_ENVIRONMENT, stdout=subprocess.DEVNULL
            )
            while not began.exists():
                if process.poll() is not None:
                    raise RuntimeError(f"{command} ended with {process.returncode}")
                time.sleep(0.001)
            seconds = began.stat().st_mtime - start
            # Its keeper ends the command. An interrupt would record the ends of all others first.
            process.kill()
            process.wait()
        return seconds

    return run


def _first_command() -> Contest:
    contestants = {f"a batch of {count:,}": _until_first_command(count) for count in (1, 5_000)}
    return Contest("first command", "run", contestants)


contests: list[Named] = [
    ("import", _import), ("command line", _command_line), ("first command", _first_command),
]  # fmt: skip

RATIOS = [
    Ratio("`from opslifecycle import Registry` against importing attrs and cattrs", "import",
          ("opslifecycle",), ("attrs and cattrs",), 1.3, at_least=False),
]  # fmt: skip

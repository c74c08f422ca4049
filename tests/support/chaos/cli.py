"""The command line on a store, with a deadline."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.chaos.places import ROOT
from tests.support.chaos.verdict import ViolationError, require
from tests.support.warm import python

CLI = (sys.executable, "-m", "opslifecycle.cli.main")


def cli(*words: str, store: Path, deadline: float) -> subprocess.CompletedProcess[str]:
    """Return what a command has printed; it ends within so many seconds, without a traceback."""
    command = (*CLI[1:], *words, "--store", str(store))
    try:
        done = python(*command, cwd=ROOT, errors_apart=True, deadline=deadline)
    except TimeoutError as error:
        raise ViolationError("hang", f"{words} has not ended") from error
    require("Traceback" not in done.stderr, "traceback", done.stderr)
    return done


def read(store: Path, *words: str, deadline: float) -> list[dict[str, Any]]:
    """Return the lines of JSON that a command prints of a store."""
    done = cli(*words, "--json", store=store, deadline=deadline)
    require(done.returncode == 0, "wrong", f"{words} has failed: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]

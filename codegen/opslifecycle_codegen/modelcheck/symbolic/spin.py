"""SPIN, where it is installed: another program counts the states of our model, and we compare."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from attrs import frozen

#: Told where there is nothing to run; never taken for a success.
SKIPPED = "SKIPPED: needs spin and a C compiler (Debian: apt-get install spin gcc)"
_DEPTH_MAX = 5_000_000
_SECONDS_MAX = 600


class SpinError(Exception):
    """SPIN, or the compiler of what it has made, did not come to an end."""


@frozen
class Counted:
    """What SPIN has found: how many different states, and the first property that was broken."""

    states: int
    broken: str | None
    version: str


def find() -> tuple[str, str] | None:
    """Return the programs that are needed; None if one is missing."""
    spin = shutil.which("spin")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    return (spin, compiler) if spin and compiler else None


def count(model: str, programs: tuple[str, str]) -> Counted:
    """Have SPIN look at every state of a model; raises SpinError if it cannot."""
    spin, compiler = programs
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.pml").write_text(model, encoding="utf-8")
        version = re.search(r"\d+(\.\d+)+", _run([spin, "-V"], folder))
        _run([spin, "-a", "model.pml"], folder)
        _run([compiler, "-O1", "-w", "-DSAFETY", "-DNOREDUCE", "-o", "pan", "pan.c"], folder)
        # States in which nothing is possible any more are no mistake of a registry.
        told = _run(["./pan", "-E", f"-m{_DEPTH_MAX}"], folder)
    states = re.search(r"(\d+) states, stored", told)
    if states is None or "too small" in told or "out of memory" in told:
        raise SpinError(told.strip())
    broken = re.search(r"assertion violated (\w+)", told)
    return Counted(int(states[1]), broken[1] if broken else None, version[0] if version else "?")


def _run(command: list[str], folder: str) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SpinError(f"{command[0]}: {error}") from error
    told = done.stdout + done.stderr
    if done.returncode != 0 and command[0] != "./pan":
        raise SpinError(f"{' '.join(command)}: {told.strip()}")
    return told

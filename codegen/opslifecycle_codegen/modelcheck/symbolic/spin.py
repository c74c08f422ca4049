"""Run SPIN on a model: an independent count of its states."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from attrs import frozen

#: Printed if SPIN is not installed; it does not count as success.
SKIPPED = "SKIPPED: needs spin and a C compiler (Debian: apt-get install spin gcc)"
_DEPTH_MAX = 5_000_000
_SECONDS_MAX = 600


class SpinError(Exception):
    """A failure of SPIN or of the C compiler."""


@frozen
class Counted:
    """The result of SPIN: the number of states, and the first violated property."""

    states: int
    broken: str | None
    version: str


def find() -> tuple[str, str] | None:
    """Return the paths of SPIN and a C compiler; None if one is missing."""
    spin = shutil.which("spin")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    return (spin, compiler) if spin and compiler else None


def count(model: str, programs: tuple[str, str]) -> Counted:
    """Search every state of a model with SPIN; raises SpinError if it fails."""
    spin, compiler = programs
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.pml").write_text(model, encoding="utf-8")
        version = re.search(r"\d+(\.\d+)+", _run([spin, "-V"], folder))
        _run([spin, "-a", "model.pml"], folder)
        _run([compiler, "-O1", "-w", "-DSAFETY", "-DNOREDUCE", "-o", "pan", "pan.c"], folder)
        # A state without a possible call is not an error of a registry.
        output = _run(["./pan", "-E", f"-m{_DEPTH_MAX}"], folder)
    states = re.search(r"(\d+) states, stored", output)
    if states is None or "too small" in output or "out of memory" in output:
        raise SpinError(output.strip())
    broken = re.search(r"assertion violated (\w+)", output)
    return Counted(int(states[1]), broken[1] if broken else None, version[0] if version else "?")


def _run(command: list[str], folder: str) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SpinError(f"{command[0]}: {error}") from error
    output = done.stdout + done.stderr
    if done.returncode != 0 and command[0] != "./pan":
        raise SpinError(f"{' '.join(command)}: {output.strip()}")
    return output

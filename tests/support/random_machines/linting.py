"""Generated files as a formatter and a linter would leave them."""

from __future__ import annotations

import subprocess
import sys

from tests.support.random_machines.compiling import Generated
from tests.support.random_machines.verdicts import FaultError

_RULES = ["--select", "E,F,I,B,RET,RUF,SIM,UP", "--ignore", "E501"]


def lint(found: Generated) -> None:
    """Raise FaultError for files that a formatter would change, or a linter refuses."""
    for kind, command in (
        ("generated code is linted", ["check", *_RULES]),
        ("generated code is formatted", ["format", "--diff"]),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "src", "tests"],
            cwd=found.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise FaultError(kind, done.stdout + done.stderr)

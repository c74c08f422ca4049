"""Generated files as a formatter and a linter would leave them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.random_machines.building import Tree
from tests.support.random_machines.compiling import Generated, Refused, compiled
from tests.support.random_machines.verdicts import FaultError

_RULES = ["--select", "E,F,I,B,RET,RUF,SIM,UP", "--ignore", "E501"]

#: What is imported from there is sorted as the project's own.
_SOURCES = ["--config", 'src = ["src", "*/src"]']


class Linted:
    """Generated files of many machines, which are linted together: starting a linter takes time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def add(self, tree: Tree) -> None:
        """Compile a machine, and keep what is generated; it must be accepted."""
        with compiled(tree) as found:
            assert not isinstance(found, Refused)
            self._count += 1
            for name in ("src", "tests"):
                shutil.copytree(found.folder / name, self._folder / str(self._count) / name)

    def lint(self) -> None:
        """Lint all of them, which must be some."""
        assert self._count
        _lint(self._folder)


def lint(found: Generated) -> None:
    """Raise FaultError for files that a formatter would change, or a linter refuses."""
    _lint(found.folder)


def _lint(folder: Path) -> None:
    for kind, command in (
        ("generated code is linted", ["check", *_RULES]),
        ("generated code is formatted", ["format", "--diff"]),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", *_SOURCES, "."],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise FaultError(kind, done.stdout + done.stderr)

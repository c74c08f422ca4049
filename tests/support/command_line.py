"""The command line in the process of the tests.

For tests of what it prints and how it exits. Tests whose subject is a process (signals, pipes, the
end of an interpreter) start one.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
from pathlib import Path

from opslifecycle.cli.group import cli


class _Stream(io.TextIOWrapper):
    """A standard stream in memory, which takes texts and bytes."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, "utf-8", write_through=True)

    def text(self) -> str:
        """Return what was written."""
        return self._bytes.getvalue().decode("utf-8")


def command_line(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line with some arguments; an exception that is no exit is raised."""
    output, errors = _Stream(), _Stream()
    with (
        contextlib.chdir(cwd or Path.cwd()),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        status = 0
        try:
            cli(args=list(words), prog_name="opslifecycle")
        except SystemExit as end:
            # Commands exit with numbers; a text would be one for standard error.
            status = int(end.code or 0)
    return subprocess.CompletedProcess(words, status, output.text(), errors.text())

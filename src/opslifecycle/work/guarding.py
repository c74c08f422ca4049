"""The supervisor's side of the guardian, which ends processes if this process is killed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys

from opslifecycle.work import guardian
from opslifecycle.work.job import Process

#: A shell command that reads a line and then becomes the program. This process sends the line once
#: the guardian knows the group. If it ends before, the program never runs.
_GATE = 'read -r go && exec "$@" </dev/null'
#: The line.
GO = b"go\n"


class Guardian:
    """The guardian of one supervisor, started with its first process."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, group: int) -> None:
        """Add a process group, which the guardian kills if this process is killed."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def discard(self, group: int) -> None:
        """Remove a group that has ended."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the guardian, after every group has ended."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.kill()
            process.stdin.close()
            process.wait()

    def _tell(self, line: str) -> None:
        if self._process is None or not self._write(self._process, line):
            # The guardian was not started, or was killed.
            self.close()
            self._process = _start()
            self._write(self._process, "".join(f"+{group}\n" for group in self._groups))

    def _write(self, process: subprocess.Popen[bytes], text: str) -> bool:
        assert process.stdin is not None
        try:
            os.write(process.stdin.fileno(), text.encode())
        except BrokenPipeError:
            return False
        return True


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-E", "-S", guardian.__file__, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # In a session of its own, so that Ctrl-C in the terminal reaches only the supervisor.
        start_new_session=True,
    )


def gated(process: Process) -> list[str]:
    """Return the command that becomes a program once it has read `GO`.

    Raises:
        OSError: The program does not exist or cannot be executed.
    """
    program = process.argv[0]
    if os.sep in program:
        path = os.path.join(process.cwd or "", program)
        if not os.path.exists(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
        if not os.access(path, os.X_OK) or os.path.isdir(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), program)
    elif shutil.which(program, path=(process.env or os.environ).get("PATH")) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    return ["/bin/sh", "-c", _GATE, "sh", *process.argv]

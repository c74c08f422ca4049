"""A program under faults, as the faults see it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

from attrs import define

from tests.support.chaos.pipe import Line
from tests.support.chaos.verdict import require


@define
class Limits:
    """How long things may take, in seconds: far more than they need on a busy machine."""

    #: Until something is heard again, once no fault is in its way.
    deadline: float = 90.0
    lock_max: float = 15.0
    stop_max: float = 14.0
    full_max: float = 5.0
    calm_max: float = 1.0


class Target(ABC):
    """A program with stores in a folder: it can be heard, ended, started again and compared."""

    process: subprocess.Popen[bytes]
    #: The stores in its folder.
    names: tuple[str, ...]

    def __init__(self, folder: Path, seed: int, limits: Limits) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.limits = limits
        self._errors = folder.with_name(f"{folder.name}-stderr")

    @abstractmethod
    def start(self) -> None:
        """Start a process on its stores."""

    @abstractmethod
    def hear(self, seconds: float) -> None:
        """Take in what is said within so many seconds."""

    @abstractmethod
    def verify(self, *, owner_lives: bool) -> None:
        """Compare what a reader in another process shows with what was said."""

    @abstractmethod
    def journal(self) -> list[Line]:
        """Return what was said last."""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def stop(self) -> bool:
        """Suspend the program, and take in all that it has said; False if it has ended."""
        self.signal(signal.SIGSTOP)
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        self.hear(0)
        if os.WIFSTOPPED(status):
            return True
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return False

    def kill(self) -> None:
        """End the program with a signal that nothing can catch, and take in what it has said."""
        self.process.kill()
        self.process.wait()
        self.hear(0)
        self.verify_errors()

    def verify_errors(self) -> None:
        """Require that the program has printed no traceback."""
        text = self._errors.read_text(errors="replace") if self._errors.exists() else ""
        require("Traceback" not in text, "traceback", text[-2000:])

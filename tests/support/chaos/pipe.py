"""What a program under faults says, and how the harness hears it: lines of JSON through a pipe.

A line is written before a command is called and another one right after it returned, so whatever
kills the program leaves at most the commands that were under way in doubt.
"""

from __future__ import annotations

import json
import os
import select
import threading
import time
from typing import Any

Line = dict[str, Any]


class Reporter:
    """The writing end, in the program; several threads may use it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._number = 0

    def attempt(self, part: str, command: str, **facts: Any) -> int:
        """Say that a command is about to be called; returns its number."""
        with self._lock:
            self._number += 1
            self._write({"say": "try", "n": self._number, "part": part, "op": command, **facts})
            return self._number

    def say(self, what: str, **facts: Any) -> None:
        """Say that something has happened."""
        with self._lock:
            self._write({"say": what, **facts})

    def _write(self, line: Line) -> None:
        data = json.dumps(line).encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]


class Listener:
    """The reading end: never waits longer than it was told to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self.ended = False

    def lines(self, seconds: float) -> list[Line]:
        """Return what is said within so many seconds; with 0, what was said before."""
        until = time.monotonic() + seconds
        found: list[Line] = []
        while not self.ended:
            left = max(0.0, until - time.monotonic())
            if not select.select([self._descriptor], [], [], left)[0]:
                break
            data = os.read(self._descriptor, 1 << 16)
            self.ended = not data
            *whole, self._rest = (self._rest + data).split(b"\n")
            found += [json.loads(line) for line in whole]
            if seconds and time.monotonic() >= until:
                break
        # A line that a kill has cut says nothing.
        return found

    def close(self) -> None:
        os.close(self._descriptor)

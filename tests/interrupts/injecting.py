"""Raising an exception before one bytecode of the project's own code, and before no other.

An interrupt is what no code expects: a signal handler that raises, a stack or memory that has run
out. Here one comes before the bytecode with a number, counted over every frame of the project that
a call enters, in the calling thread or in the threads that it starts.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import opslifecycle
from attrs import define, field

_OURS = str(Path(opslifecycle.__file__).parent)


class Interrupt(KeyboardInterrupt):
    """What comes before a bytecode."""


@define(eq=False)
class Injection:
    """Raises before the bytecode `at`, once; 0 counts alone."""

    at: int = 0
    ours: tuple[str, ...] = (_OURS,)
    seen: int = 0
    #: Where it was raised, for messages.
    place: str | None = None
    _lock: threading.Lock = field(factory=threading.Lock)

    def during(self, call: Callable[[], Any]) -> Any:
        """Return what a call returns, unless it is interrupted."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            return call()
        finally:
            sys.settrace(before)

    def in_threads(self, call: Callable[[], Any]) -> Any:
        """As `during`, but in the threads that are started meanwhile."""
        before = threading.gettrace()
        threading.settrace(self._enter)
        try:
            return call()
        finally:
            threading.settrace(before)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        if self.place is not None or not frame.f_code.co_filename.startswith(self.ours):
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self._step

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode" and self.place is None:
            with self._lock:
                self.seen += 1
                hit = self.seen == self.at
            if hit:
                code = frame.f_code
                where = Path(code.co_filename).name
                self.place = f"{where}:{frame.f_lineno} {code.co_qualname}+{frame.f_lasti}"
                raise Interrupt(self.place)
        return self._step


def bytecodes(call: Callable[[], Any]) -> int:
    """Count the bytecodes of a call."""
    injection = Injection()
    injection.during(call)
    return injection.seen

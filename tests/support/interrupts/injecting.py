"""Raising an exception before one bytecode of the project's own code, and before no other.

An interrupt is what no code expects: a signal handler that raises, a stack or memory that has run
out. Here one comes before one bytecode of those that a call executes in frames of the project, in
the calling thread or in one that works for it. A `Listing` finds out which there are.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import opslifecycle
from attrs import define, field, frozen

#: Where the code is that is interrupted.
OURS = [
    str(Path(opslifecycle.__file__).parent),
    str(Path(__file__).parents[3] / "examples" / "approval" / "src"),
]

#: Functions of the clock of a program. What is raised in one is taken for a failure of the clock.
_OF_CLOCKS = ("_checking.<locals>.checked", "ManualClock.__init__.<locals>.<lambda>")

# Python 3.12 sends events of opcodes only to a trace function that is installed after a frame of
# the process has asked for them.
sys._getframe().f_trace_opcodes = True


class Interrupt(KeyboardInterrupt):
    """What comes before a bytecode: Ctrl-C."""


class Alarm(Exception):
    """What a handler of a signal raises."""


class Deep(RecursionError):
    """A stack that has run out."""


class Full(MemoryError):
    """Memory that has run out."""


#: Where a thread is: the code of each frame of the project and the bytecode in it, innermost first.
Stack = tuple[tuple[CodeType, int], ...]


@frozen
class Target:
    """One execution of a bytecode: with which callers, and how often they were there before."""

    stack: Stack
    occurrence: int = 1


#: Every kind of exception that comes before a bytecode. Code that catches one may pass another on.
INTERRUPTS: tuple[type[BaseException], ...] = (Interrupt, Alarm, Deep, Full)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Prevent a collection: it would finalize registries of earlier calls, and count that."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@define(eq=False)
class Injection:
    """Raises before the bytecode `at`, once; 0 counts alone."""

    at: int = 0
    #: What is raised; by default each kind in turn, so that neighbours differ.
    kind: type[BaseException] = field()
    seen: int = 0
    #: Where it was raised, for messages.
    place: str | None = None
    #: The thread that is interrupted; None while none is.
    _thread: int | None = None

    @kind.default
    def _kind_of_number(self) -> type[BaseException]:
        return INTERRUPTS[self.at % len(INTERRUPTS)]

    def during(self, call: Callable[[], Any]) -> Any:
        """Return what a call returns, unless it is interrupted in this thread."""
        with self.here():
            return call()

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """Count the bytecodes of this thread meanwhile, and interrupt it."""
        before = sys.gettrace()
        with _no_collection():
            self._thread = threading.get_ident()
            sys.settrace(self._enter)
            try:
                yield
            finally:
                sys.settrace(before)
                self._thread = None

    @contextlib.contextmanager
    def possible(self, name: str) -> Iterator[None]:
        """Have the threads of a name that are started meanwhile ready to be interrupted later."""
        before = threading.gettrace()

        def begin(frame: FrameType, event: str, argument: Any) -> None:
            # Python 3.12.1 crashes after the tracing of one of two traced threads has ended.
            own = threading.current_thread().name == name
            sys.settrace(self._enter if own else None)

        threading.settrace(begin)
        try:
            yield
        finally:
            threading.settrace(before)

    @contextlib.contextmanager
    def in_thread(self, thread: threading.Thread) -> Iterator[None]:
        """Count the bytecodes of such a thread meanwhile, and interrupt it."""
        assert thread.ident is not None
        frame: FrameType | None = sys._current_frames()[thread.ident]
        self._thread = thread.ident
        while frame is not None:
            if self._is_of_interest(frame):
                self._trace(frame)
            frame = frame.f_back
        with _no_collection():
            try:
                yield
            finally:
                self._thread = None

    def _is_due(self) -> bool:
        return self.place is None and self._thread == threading.get_ident()

    def _is_of_interest(self, frame: FrameType) -> bool:
        """Return whether the bytecodes of a frame are to be counted."""
        return _is_ours(frame)

    def _trace(self, frame: FrameType) -> None:
        frame.f_trace = self._step
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not (self._is_due() and self._is_of_interest(frame)):
            return None
        self._trace(frame)
        return self._step

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode" and self._is_due() and _has_line(frame) and self._is_next(frame):
            code = frame.f_code
            where = Path(code.co_filename).name
            self.place = f"{where}:{frame.f_lineno} {code.co_qualname}+{frame.f_lasti}"
            raise self.kind(self.place)
        return self._step

    def _is_next(self, frame: FrameType) -> bool:
        """Count a bytecode; return whether it is the one that is interrupted."""
        self.seen += 1
        return self.seen == self.at


@define(eq=False)
class Listing(Injection):
    """Raises nothing, and notes which bytecodes there are, in their order."""

    stacks: list[Stack] = field(factory=list)

    def _is_next(self, frame: FrameType) -> bool:
        self.stacks.append(_stack_of(frame))
        return False


@define(eq=False)
class Aimed(Injection):
    """Raises before one target."""

    target: Target = field(kw_only=True)
    #: Whether every frame of the project is traced, as for a listing. That is as slow, so that
    #: timers and clocks that have passed then have passed here.
    is_slow: bool = field(default=False, kw_only=True)

    def _is_of_interest(self, frame: FrameType) -> bool:
        if self.is_slow:
            return _is_ours(frame)
        return frame.f_code is self.target.stack[0][0]

    def _is_next(self, frame: FrameType) -> bool:
        stack = self.target.stack
        is_there = frame.f_lasti == stack[0][1]
        if not (is_there or self.is_slow) or _stack_of(frame) != stack:
            return False
        self.seen += 1
        return self.seen == self.target.occurrence


def _is_ours(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_filename.startswith(tuple(OURS)) and code.co_qualname not in _OF_CLOCKS


def _stack_of(frame: FrameType) -> Stack:
    found = []
    each: FrameType | None = frame
    while each is not None:
        if _is_ours(each):
            found.append((each.f_code, each.f_lasti))
        each = each.f_back
    return tuple(found)


def _has_line(frame: FrameType) -> bool:
    """Return whether an instruction stands for something in the source.

    From 3.12 on the others are the handler around each generator, which a generator that is dropped
    runs in its finalizer. The interpreter looks for signals at none of them.
    """
    lineno: int | None = frame.f_lineno
    return lineno is not None

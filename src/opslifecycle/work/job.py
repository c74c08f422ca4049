"""One piece of work in a supervisor: what is to run, and how far it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from enum import Enum
from typing import Any, TypeAlias

import attrs
from opslifecycle import (
    InvalidValueError,
    OperationCompletionWatch,
    OperationId,
    OperationProgressUpdate,
    SessionId,
)
from opslifecycle.work.lifecycle import Label
from opslifecycle.work.retry import ONCE, Retry


class Phase(Enum):
    """How far a job is. The record is live up to and including RECORDING."""

    QUEUED = "queued"
    STARTING = "starting"
    WORKING = "working"
    PAUSING = "pausing"
    RECORDING = "recording"
    ENDED = "ended"


def _argv_of(argv: Any) -> tuple[str, ...]:
    if isinstance(argv, str) or not argv or not all(isinstance(each, str) for each in argv):
        reason = f"expected a list of texts, the program first, got {argv!r:.80}"
        raise InvalidValueError("argv", reason)
    return tuple(argv)


@attrs.frozen
class Process:
    """A program to run as work, in a process group of its own.

    Attributes:
        argv: The program and its arguments. No shell interprets them.
        cwd: The folder to run in; None for the current one.
        env: The whole environment; None for this process's.
        grace_seconds: How long the group may take to end after SIGTERM, before SIGKILL.
    """

    argv: tuple[str, ...] = attrs.field(converter=_argv_of)
    cwd: str | None = None
    env: dict[str, str] | None = None
    grace_seconds: float = 5.0


#: How a job's work is called: a coroutine function, a function for a thread, or a process.
Function: TypeAlias = Callable[..., Any]


#: Held while a job gets its event, so that all threads of its work wait for the same one.
_events = threading.Lock()


@attrs.define(eq=False)
class Job:
    """One piece of work, from its registration to the record of its end.

    All of it belongs to the event loop, except `stop_requested`, `latest` and `dirty`.
    """

    id: OperationId
    label: Label
    work: Function | Process
    arguments: tuple[Any, ...] = ()
    timeout_seconds: float | None = None
    retry: Retry = ONCE
    priority: int = 0
    #: The context of the caller of `start`, in which the work runs.
    context: Context = attrs.field(factory=copy_context)

    phase: Phase = Phase.QUEUED
    attempt: int = 0
    watch: OperationCompletionWatch = attrs.field(init=False)
    task: asyncio.Task[None] | None = None
    #: Interrupts what runs; None where the phase needs no interrupt.
    interrupt: Callable[[], object] | None = None
    #: Why the work was asked to stop; the first of them counts.
    cancel_requested: bool = False
    cancel_reason: str | None = None
    timed_out: bool = False
    #: Whether another caller has ended or erased the record.
    record_is_over: bool = False

    stop_requested: bool = False
    #: Set with `stop_requested`, once a thread waits for it.
    stop_event: threading.Event | None = None
    latest: OperationProgressUpdate | None = None
    dirty: bool = False
    #: Woken by progress and by the end.
    listeners: tuple[asyncio.Event, ...] = ()

    @property
    def owner(self) -> SessionId:
        """Whose work it is."""
        return self.label.owner

    @property
    def is_stopping(self) -> bool:
        """Whether the work was asked to stop for good."""
        return self.cancel_requested or self.record_is_over

    @property
    def has_timed_out(self) -> bool:
        """Whether the timeout decides how the work has ended; a request to cancel goes first."""
        return self.timed_out and not self.cancel_requested

    def stop(self) -> None:
        """Interrupt the work, if it runs; cooperative work finds out by its flag."""
        # In this order: a thread that begins to wait meanwhile reads them the other way round.
        self.stop_requested = True
        if self.stop_event is not None:
            self.stop_event.set()
        if self.phase in (Phase.WORKING, Phase.PAUSING) and self.interrupt is not None:
            self.interrupt()

    def cancel(self, reason: str | None, *, insist: bool = False) -> None:
        """Ask the work to stop; the first reason counts.

        Work that is asked already is cleaning up, which is not interrupted, unless the caller
        insists.
        """
        was_asked = self.stop_requested
        if not self.cancel_requested:
            self.cancel_requested, self.cancel_reason = True, reason
        if insist or not was_asked or self.phase is Phase.PAUSING:
            self.stop()

    def wait_for_stop(self, timeout: float | None) -> bool:
        """Block a thread until the work is asked to stop; return whether it is."""
        with _events:
            event = self.stop_event = self.stop_event or threading.Event()
        return self.stop_requested or event.wait(timeout)

    def allow_again(self) -> None:
        """Take back what the last attempt was asked to do, for the next one."""
        self.timed_out = self.stop_requested = False
        self.stop_event = None

    def wake_listeners(self) -> None:
        """Wake the readers of progress."""
        for each in self.listeners:
            each.set()

    def time_out(self) -> None:
        """Interrupt an attempt that has taken too long."""
        if self.phase is Phase.WORKING and not self.is_stopping:
            self.timed_out = True
            self.stop()

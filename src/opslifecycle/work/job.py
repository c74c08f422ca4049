"""A job: one piece of work in a supervisor, with its options and its phase."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextvars import Context
from enum import Enum
from typing import TypeAlias

import attrs
from opslifecycle import (
    InvalidValueError,
    OperationProgressUpdate,
    SessionId,
)
from opslifecycle.sync.waits import Wait
from opslifecycle.values.identifiers import AnyIdentifier
from opslifecycle.work.ends import End
from opslifecycle.work.lifecycle import Label
from opslifecycle.work.retry import ONCE, Retry


class Phase(Enum):
    """The phase of a job. The record is live up to and including RECORDING."""

    QUEUED = "queued"
    STARTING = "starting"
    WORKING = "working"
    PAUSING = "pausing"
    RECORDING = "recording"
    ENDED = "ended"


def _argv_of(argv: object) -> tuple[str, ...]:
    words = tuple(argv) if isinstance(argv, Iterable) and not isinstance(argv, str) else ()
    if not words or not all(isinstance(each, str) for each in words):
        reason = f"expected a list of texts, the program first, got {argv!r:.80}"
        raise InvalidValueError("argv", reason)
    return words


@attrs.frozen
class Process:
    """A program to run as work, in a process group of its own.

    Attributes:
        argv: The program and its arguments. No shell interprets them.
        cwd: The folder to run in; None for the current one.
        env: The whole environment; None for this process's.
        grace_seconds: The seconds between SIGTERM and SIGKILL for the group.
    """

    argv: tuple[str, ...] = attrs.field(converter=_argv_of)
    cwd: str | None = None
    env: dict[str, str] | None = None
    grace_seconds: float = 5.0


#: Work in Python: a coroutine function, or a function for a thread. Its result has any type.
Function: TypeAlias = Callable[..., object]


#: Held while a job gets its event, so that all threads of its work wait for the same event.
_events = threading.Lock()


@attrs.define(eq=False)
class Job:
    """One piece of work, from its registration to the record of its end.

    Only the event loop changes a job, except `stop_requested`, `latest` and `dirty`, which the
    threads of the work change as well.
    """

    id: AnyIdentifier
    label: Label
    work: Function | Process
    arguments: tuple[object, ...] = ()
    timeout_seconds: float | None = None
    retry: Retry = ONCE
    priority: int = 0
    #: Whether calling the work returns a coroutine, which runs in the event loop.
    runs_in_loop: bool = False
    #: The context of the caller of `start`, in which the work runs. None unless the job has waited:
    #: otherwise the caller's task creates the task of the job, which inherits its context.
    context: Context | None = None

    phase: Phase = Phase.QUEUED
    attempt: int = 0
    watch: Wait[object] = attrs.field(init=False)
    task: asyncio.Task[None] | None = None
    #: Interrupts work that was asked to stop; None while no grace time passes.
    grace_timer: asyncio.TimerHandle | None = None
    #: Interrupts the running work; None in a phase without any.
    interrupt: Callable[[], object] | None = None
    #: The first request to stop, with its reason.
    cancel_requested: bool = False
    cancel_reason: str | None = None
    timed_out: bool = False
    #: The end that is being recorded.
    end: End | None = None
    #: Whether recording the end was interrupted, and begun again.
    is_recorded_again: bool = False
    #: Ends the attempt when its timeout has passed; None while none runs.
    timer: asyncio.TimerHandle | None = None
    #: Whether the record says that the work runs, as that of an earlier process may.
    is_recorded_as_running: bool = False
    #: Whether another caller has ended or erased the record.
    record_is_over: bool = False

    #: Whether the running work was interrupted, and not only asked to stop.
    is_interrupted: bool = False

    stop_requested: bool = False
    #: Set with `stop_requested`, once a thread waits for it.
    stop_event: threading.Event | None = None
    latest: OperationProgressUpdate | None = None
    dirty: bool = False
    #: Set at each report of progress and at the end.
    listeners: tuple[asyncio.Event, ...] = ()

    @property
    def owner(self) -> SessionId:
        """The session that owns the work."""
        return self.label.owner

    @property
    def is_stopping(self) -> bool:
        """Whether the work was asked to stop for good."""
        return self.cancel_requested or self.record_is_over

    @property
    def has_timed_out(self) -> bool:
        """Whether the timeout decides the outcome. A request to cancel takes precedence."""
        return self.timed_out and not self.cancel_requested

    def stop(self) -> None:
        """Interrupt the work, if it runs. Cooperative work checks the flag."""
        self._raise_flag()
        if self.phase in (Phase.WORKING, Phase.PAUSING) and self.interrupt is not None:
            self.interrupt()
        # Last: one that is interrupted itself is made again.
        self.is_interrupted = True

    def _raise_flag(self) -> None:
        # In this order: a thread in `wait_for_stop` creates the event and then reads the flag.
        self.stop_requested = True
        if self.stop_event is not None:
            self.stop_event.set()

    def ask_to_stop(self, reason: str | None) -> None:
        """Request the work to stop, and interrupt only a pause between two attempts."""
        if not self.cancel_requested:
            self.cancel_requested, self.cancel_reason = True, reason
        if self.phase is Phase.PAUSING:
            self.stop()
        self._raise_flag()

    def insist_after(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        """Interrupt work that has not ended after a grace time; the shortest of several counts."""
        due = loop.time() + seconds
        if self.grace_timer is not None:
            if self.grace_timer.when() <= due:
                return
            self.grace_timer.cancel()
        self.grace_timer = loop.call_at(due, self.insist)

    def release(self) -> None:
        """Drop what an ended job needs no more; a handle and the loop's timers may keep the job."""
        self.task = self.interrupt = self.context = None
        if self.grace_timer is not None:
            self.grace_timer.cancel()
            self.grace_timer = None

    def insist(self) -> None:
        """Interrupt work that was asked to stop and has not ended."""
        if not self.is_interrupted:
            self.stop()

    def cancel(self, reason: str | None, *, insist: bool = False) -> None:
        """Request the work to stop.

        Work that was interrupted before is cleaning up, and is not interrupted again.

        Args:
            reason: The reason. Only that of the first request is recorded.
            insist: Whether to interrupt the work again.
        """
        was_interrupted = self.is_interrupted
        if not self.cancel_requested:
            self.cancel_requested, self.cancel_reason = True, reason
        if insist or not was_interrupted or self.phase is Phase.PAUSING:
            self.stop()

    def wait_for_stop(self, timeout: float | None) -> bool:
        """Block a thread until the work is requested to stop.

        Args:
            timeout: The number of seconds to block at most; None for no limit.

        Returns:
            Whether the work is requested to stop.
        """
        with _events:
            event = self.stop_event = self.stop_event or threading.Event()
        return self.stop_requested or event.wait(timeout)

    def allow_again(self) -> None:
        """Withdraw the requests to the last attempt, before the next one."""
        self.timed_out = self.stop_requested = self.is_interrupted = False
        self.stop_event = None

    def wake_listeners(self) -> None:
        """Wake the readers of progress."""
        for each in self.listeners:
            each.set()

    def tend(self, now: float) -> None:
        """Do what the callbacks of this job were prevented from doing, at a time of the loop."""
        if self.timer is not None and self.timer.when() <= now:
            self.time_out()
        if self.grace_timer is not None and self.grace_timer.when() <= now:
            self.insist()
        is_asked = self.is_stopping and self.grace_timer is None
        if (is_asked or self.timed_out) and not self.is_interrupted:
            self.stop()
        self.wake_listeners()

    def time_out(self) -> None:
        """Interrupt an attempt whose timeout has passed."""
        if self.phase is Phase.WORKING and not self.is_stopping:
            self.timed_out = True
            self.stop()

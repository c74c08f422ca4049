"""One command of a batch and its operation."""

from __future__ import annotations

import asyncio
import re
import signal
from enum import Enum

from attrs import define
from opslifecycle import (
    OperationId,
    OperationKind,
    OperationProgressUpdate,
    OperationSpec,
    SessionId,
)
from opslifecycle.cli.batches.model import Command
from opslifecycle.cli.running.capture import ERROR_BYTES_MAX, Capture
from opslifecycle.cli.running.processes import Process
from opslifecycle.cli.text import lines_of, one_line

_PERCENT = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d+)?)\s?%")


class Phase(Enum):
    """The phase of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


@define(eq=False)
class Job:
    """A command with its operation and its process."""

    spec: OperationSpec
    command: Command
    #: The number of the attempt, from 1.
    attempt: int = 1
    phase: Phase = Phase.WAITING
    #: Whether the command must end early; `reason` is the reason.
    stopped: bool = False
    reason: str = ""
    #: Whether the command's own limit is the only reason, so that it may be tried again.
    timed_out: bool = False
    #: The outcome, if it could not be recorded.
    unrecorded: str = ""
    #: Why its log lacks a part of its output.
    unlogged: str = ""
    _reported_bytes: int = 0
    _percent: float | None = None
    # Not an event, of which thousands of jobs would have one each.
    _stop: asyncio.Future[None] | None = None

    @property
    def id(self) -> OperationId:
        """The id of the operation."""
        return self.spec.id

    def request_stop(self, reason: str) -> bool:
        """Request the end of the command; return False if it was requested before or has ended."""
        self.timed_out = False
        if self.phase is Phase.ENDED or self.stopped:
            return False
        self.stopped, self.reason = True, reason
        if self._stop is not None and not self._stop.done():
            self._stop.set_result(None)
        return True

    def until_stopped(self) -> asyncio.Future[None]:
        """Return a future that is done when the end of the command was requested."""
        self._stop = asyncio.get_running_loop().create_future()
        if self.stopped:
            self._stop.set_result(None)
        return self._stop

    def time_out(self) -> None:
        """End the command, because it has exceeded its limit, unless its end was requested."""
        self.timed_out = self.request_stop(
            f"timed out after {self.command.timeout_seconds or 0:g} s"
        )

    def progress(self, process: Process) -> OperationProgressUpdate | None:
        """Return the output of its process since the last call; None if there is none."""
        total = process.output.total_bytes + process.errors.total_bytes
        line = one_line(process.output.latest or process.errors.latest)
        if total == self._reported_bytes or not line:
            return None
        self._reported_bytes = total
        found = _PERCENT.findall(line)
        self._percent = min(100.0, float(found[-1])) if found else self._percent
        return OperationProgressUpdate(line, self._percent)


def job_of(command: Command, owner: SessionId, attempt: int = 1) -> Job:
    """Return an attempt at a command as an operation that is not registered yet."""
    kind = OperationKind.BACKGROUND_TOOL_OP
    name = one_line(command.name)
    if attempt > 1:
        name += f" (attempt {attempt})"
    spec = OperationSpec(OperationId.new(), kind, owner, name, "opslifecycle run")
    return Job(spec, command, attempt)


def failure_of(status: int, output: Capture, errors: Capture) -> str:
    """Return the error of a failed command: its exit status and the end of its output."""
    how = f"exit status {status}" if status > 0 else f"ended by {_signal_name(-status)}"
    printed = errors.text(ERROR_BYTES_MAX) or output.text(ERROR_BYTES_MAX)
    return "\n".join([how, *lines_of(printed)]) if printed else how


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

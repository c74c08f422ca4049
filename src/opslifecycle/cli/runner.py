"""Runs commands as operations of a registry: the registry alone says how they stand."""

from __future__ import annotations

import asyncio
import re
import signal
from collections import deque
from collections.abc import Sequence

from opslifecycle import (
    AsyncRegistry,
    OperationId,
    OperationKind,
    OperationLifecycleSnapshot,
    OperationProgressUpdate,
    OperationResult,
    OperationSpec,
    SessionId,
)
from opslifecycle.cli.batch import Command
from opslifecycle.cli.process import Guard, Process

_PERCENT = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d+)?)\s?%")
_ERROR_LINES = 8
_LINES_AT_ONCE = 500
_LINES_AHEAD_MAX = 10_000
_LOOK_SECONDS = 0.05
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Runner:
    """Some commands, each an operation; those that wait for their turn are provisioning."""

    def __init__(
        self, registry: AsyncRegistry, commands: Sequence[Command], grace_seconds: float
    ) -> None:
        self.registry = registry
        self.interrupted: signal.Signals | None = None
        self._grace_seconds = grace_seconds
        self._processes: dict[OperationId, Process] = {}
        self._stops: dict[OperationId, asyncio.Event] = {}
        self._reasons: dict[OperationId, str] = {}
        owner = SessionId.new()
        self._commands = {
            spec.id: (spec, command) for command in commands for spec in [_spec_of(command, owner)]
        }
        self._waiting: deque[OperationId] = deque()
        self._guard: Guard

    async def run(self, max_concurrent: int) -> None:
        """Run every command to its end, so many at once."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.interrupt, number)
        self._guard = Guard()
        try:
            for id, (spec, _) in self._commands.items():
                await self.registry.register_operation(spec)
                self._waiting.append(id)
                self._stops[id] = asyncio.Event()
                if self.interrupted is not None:
                    self._stops[id].set()
            turns = (self._take_turns() for _ in range(max_concurrent))
            await asyncio.gather(*turns, self._cancel_waiting())
        finally:
            for process in self._processes.values():
                process.kill()
            self._guard.close()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def interrupt(self, number: signal.Signals) -> None:
        """Cancel everything: politely the first time, by force the second."""
        if self.interrupted is not None:
            for process in self._processes.values():
                process.kill()
            return
        self.interrupted = number
        for id in self._stops:
            self.cancel(id, "interrupted")

    def cancel(self, id: OperationId, reason: str) -> None:
        """Cancel one command; nothing happens if it is not among these, or has ended."""
        stop = self._stops.get(id)
        if stop is not None and not stop.is_set():
            self._reasons[id] = reason
            stop.set()

    def snapshots(self) -> list[OperationLifecycleSnapshot]:
        """How the commands stand, in the order of the batch."""
        found = (self.registry.snapshot(id) for id in self._commands)
        return [snapshot for snapshot in found if snapshot is not None]

    # Turns --------------------------------------------------------------------------------------

    async def _take_turns(self) -> None:
        while self._waiting:
            id = self._waiting.popleft()
            if not self._stops[id].is_set():
                await self._start(id, self._commands[id][1])
            else:
                await self._cancel_in_line(id)

    async def _cancel_waiting(self) -> None:
        """Cancel what is stopped before its turn, so that it does not wait for it in vain."""
        while self._waiting:
            # Taken out of the line all together: while one is cancelled, others may get their turn.
            stopped = [each for each in self._waiting if self._stops[each].is_set()]
            for id in stopped:
                self._waiting.remove(id)
            for id in stopped:
                await self._cancel_in_line(id)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _cancel_in_line(self, id: OperationId) -> None:
        reason = self._reasons.get(id, "interrupted")
        await self.registry.cancel_operation(id, f"{reason} before its turn")

    async def _start(self, id: OperationId, command: Command) -> None:
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        try:
            process = await Process.start(command, lines.put_nowait, self._grace_seconds)
        except (OSError, ValueError) as error:
            await self.registry.provisioning_failed(id, _why_not_started(command, error))
            return
        self._processes[id] = process
        self._guard.add(process.group)
        try:
            await self.registry.provisioning_succeeded(id)
            reporting = asyncio.ensure_future(self._report(id, lines, process))
            await self._follow(id, command, process, lines, reporting)
        finally:
            del self._processes[id]
            self._guard.remove(process.group)

    async def _follow(
        self,
        id: OperationId,
        command: Command,
        process: Process,
        lines: asyncio.Queue[str | None],
        reporting: asyncio.Future[None],
    ) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        ending = asyncio.ensure_future(process.wait())
        stop = asyncio.ensure_future(self._stops[id].wait())
        try:
            await asyncio.wait(
                [ending, stop],
                timeout=command.timeout_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            reason = None
            if not ending.done():
                reason = f"timed out after {command.timeout_seconds or 0:g} s"
                reason = self._reasons.get(id, reason)
                await self.registry.request_retire(id)
                await process.end()
            status = await ending
            duration_ms = round((loop.time() - started) * 1000)
            lines.put_nowait(None)
            await reporting
            if reason is not None:
                await self.registry.cancel_operation(id, reason)
            else:
                await self._end(id, process, status, duration_ms)
        finally:
            stop.cancel()
            reporting.cancel()

    async def _end(self, id: OperationId, process: Process, status: int, duration_ms: int) -> None:
        if status == 0:
            result = OperationResult(id, process.output.text(), False, duration_ms, 0)
            await self.registry.complete_operation(id, result)
            return
        how = f"exit status {status}" if status > 0 else f"ended by {_signal_name(-status)}"
        errors = "\n".join(process.errors.text().splitlines()[-_ERROR_LINES:])
        await self.registry.fail_operation(id, f"{how}\n{errors}" if errors else how)

    async def _report(
        self, id: OperationId, lines: asyncio.Queue[str | None], process: Process
    ) -> None:
        """Report every line as progress; a process that is ahead of the reports has to wait."""
        percent: float | None = None
        ended = False
        while not ended:
            batch = [await lines.get()]
            while not lines.empty() and len(batch) < _LINES_AT_ONCE:
                batch.append(lines.get_nowait())
            process.pause(lines.qsize() > _LINES_AHEAD_MAX)
            reports = []
            for line in batch:
                if line is None:
                    ended = True
                    break
                found = _PERCENT.findall(line)
                percent = min(100.0, float(found[-1])) if found else percent
                update = OperationProgressUpdate(line, percent)
                reports.append(self.registry.report_progress(id, update))
            await asyncio.gather(*reports)


def _spec_of(command: Command, owner: SessionId) -> OperationSpec:
    kind = OperationKind.BACKGROUND_TOOL_OP
    return OperationSpec(OperationId.new(), kind, owner, command.name, "opslifecycle run")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _why_not_started(command: Command, error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"cannot be started: {error.strerror}{where}"
    return f"cannot be started: {error}"

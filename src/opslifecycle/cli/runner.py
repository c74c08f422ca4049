"""Runs commands as operations of a registry: the registry alone says how they stand."""

from __future__ import annotations

import asyncio
import re
import signal
from collections import deque
from collections.abc import Sequence
from functools import partial

from opslifecycle import (
    OperationId,
    OperationKind,
    OperationLifecycleSnapshot,
    OperationProgressUpdate,
    OperationResult,
    OperationSpec,
    Registry,
    SessionId,
)
from opslifecycle.cli.batch import Command
from opslifecycle.cli.process import Process

_PERCENT = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d+)?)\s?%")
_ERROR_LINES = 8
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Runner:
    """Some commands, each an operation; those that wait for their turn are provisioning."""

    def __init__(
        self, registry: Registry, commands: Sequence[Command], grace_seconds: float
    ) -> None:
        self.registry = registry
        self._grace_seconds = grace_seconds
        self.ids: list[OperationId] = []
        self.interrupted: signal.Signals | None = None
        self._stop = asyncio.Event()
        self._processes: set[Process] = set()
        self._percents: dict[OperationId, float] = {}
        self._waiting: deque[tuple[OperationId, Command]] = deque()
        owner = SessionId.new()
        for command in commands:
            spec = OperationSpec(
                OperationId.new(),
                OperationKind.BACKGROUND_TOOL_OP,
                owner,
                command.name,
                "opslifecycle run",
            )
            registry.register_operation(spec)
            self.ids.append(spec.id)
            self._waiting.append((spec.id, command))

    async def run(self, max_concurrent: int) -> None:
        """Run every command to its end, so many at once."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.interrupt, number)
        try:
            await asyncio.gather(*(self._take_turns() for _ in range(max_concurrent)))
        finally:
            for process in self._processes:
                process.kill()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def interrupt(self, number: signal.Signals) -> None:
        """Cancel everything: politely the first time, by force the second."""
        if self.interrupted is not None:
            for process in self._processes:
                process.kill()
            return
        self.interrupted = number
        while self._waiting:
            id, _ = self._waiting.popleft()
            self.registry.cancel_operation(id, "interrupted before its turn")
        self._stop.set()

    def snapshots(self) -> list[OperationLifecycleSnapshot]:
        """How the commands stand, in the order of the batch."""
        found = (self.registry.snapshot(id) for id in self.ids)
        return [snapshot for snapshot in found if snapshot is not None]

    async def _take_turns(self) -> None:
        while self._waiting:
            await self._start(*self._waiting.popleft())

    async def _start(self, id: OperationId, command: Command) -> None:
        try:
            process = await Process.start(
                command,
                partial(self.registry.provisioning_succeeded, id),
                partial(self._report, id),
                self._grace_seconds,
            )
        except (OSError, ValueError) as error:
            self.registry.provisioning_failed(id, _why_not_started(command, error))
            return
        self._processes.add(process)
        try:
            await self._follow(id, command, process)
        finally:
            self._processes.discard(process)

    async def _follow(self, id: OperationId, command: Command, process: Process) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        ending = asyncio.ensure_future(process.wait())
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait(
                [ending, stop],
                timeout=command.timeout_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not ending.done():
                reason = "interrupted"
                if not self._stop.is_set():
                    reason = f"timed out after {command.timeout_seconds:g} s"
                self.registry.request_retire(id)
                await process.end()
                await ending
                self.registry.cancel_operation(id, reason)
                return
            duration_ms = round((loop.time() - started) * 1000)
            self._end(id, process, ending.result(), duration_ms)
        finally:
            stop.cancel()

    def _end(self, id: OperationId, process: Process, status: int, duration_ms: int) -> None:
        if status == 0:
            result = OperationResult(id, process.output.text(), False, duration_ms, 0)
            self.registry.complete_operation(id, result)
            return
        how = f"exit status {status}" if status > 0 else f"ended by {_signal_name(-status)}"
        errors = "\n".join(process.errors.text().splitlines()[-_ERROR_LINES:])
        self.registry.fail_operation(id, f"{how}\n{errors}" if errors else how)

    def _report(self, id: OperationId, line: str) -> None:
        found = _PERCENT.findall(line)
        if found:
            self._percents[id] = min(100.0, float(found[-1]))
        self.registry.report_progress(id, OperationProgressUpdate(line, self._percents.get(id)))


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

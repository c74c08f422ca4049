"""Programs as work: a process group of its own, which ends with the operation."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

from opslifecycle.work.cancelling import finished
from opslifecycle.work.ends import AttemptEnd, Raised, Reported, Returned
from opslifecycle.work.guarding import GO, Guardian, gated
from opslifecycle.work.job import Job, Process

#: How many seconds output is read after the group has ended. A process that has left the group may
#: keep the pipe open forever.
_READING_SECONDS = 1.0
#: How often the exit of a process is looked for, because an interrupt may keep its callback away.
_LOOKING_SECONDS = 1.0
_ERROR_BYTES_MAX = 4_000
_OUT, _ERR = 1, 2


class _Outputs(asyncio.SubprocessProtocol):
    """The outputs of a process and its exit."""

    def __init__(self, bytes_max: int) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.closed = {_OUT: loop.create_future(), _ERR: loop.create_future()}
        self.output = bytearray()
        self.errors = bytearray()
        self.overflows = False
        #: Whether an interrupt has lost output.
        self.is_torn = False
        self._bytes_max = bytes_max

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Store output up to the limit, and the last of the errors."""
        try:
            if fd == _ERR:
                self.errors += data
                del self.errors[:-_ERROR_BYTES_MAX]
            elif len(self.output) + len(data) > self._bytes_max:
                self.overflows = True
            else:
                self.output += data
        except BaseException:
            self.is_torn = True
            raise

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Note that a pipe is read to its end."""
        if fd in self.closed and not self.closed[fd].done():
            self.closed[fd].set_result(None)

    def process_exited(self) -> None:
        """Note the exit, which may happen before the ends of the pipes."""
        if not self.exited.done():
            self.exited.set_result(None)


async def as_process(job: Job, output_max: int, guardian: Guardian) -> AttemptEnd:
    """Run a process; stopping it ends its whole group."""
    process = job.work
    assert isinstance(process, Process)
    stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def stop() -> None:
        if not stopping.done():
            stopping.set_result(None)

    def cancel() -> None:
        job.cancel(None)

    job.interrupt = stop
    outputs = _Outputs(output_max)
    running: asyncio.Task[int] | None = None
    try:
        # In a task of its own, because an interrupted start would leave a process without an owner.
        running = asyncio.create_task(_run(process, outputs, guardian, stopping))
        await finished(running, cancel)
        code = running.result()
    except GeneratorExit:
        # The loop is closed, and nothing can be awaited.
        raise
    except BaseException as error:
        # Before the first wait the task has not begun, and now it starts nothing.
        stop()
        if running is not None:
            await finished(running, cancel)
        return Raised(error)
    if stopping.done():
        return Raised(asyncio.CancelledError())
    return _conclude(code, outputs, output_max)


async def _run(
    process: Process, outputs: _Outputs, guardian: Guardian, stopping: asyncio.Future[None]
) -> int:
    """Run a process, kill the rest of its group, and return its exit code."""
    transport: asyncio.SubprocessTransport | None = None
    if stopping.done():
        raise asyncio.CancelledError
    try:
        transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: outputs,
            *gated(process),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=process.cwd,
            env=process.env,
        )
        guardian.add(transport.get_pid())
        _open_gate(transport)
        await _exit_of(transport, outputs, stopping, process.grace_seconds)
        await _end(transport, outputs, guardian)
    except GeneratorExit:
        # The loop is closed, and nothing can be awaited. A program whose gate is closed never runs.
        raise
    except BaseException:
        if transport is not None:
            await _end(transport, outputs, guardian)
        raise
    code = transport.get_returncode()
    assert code is not None
    return code


def _open_gate(transport: asyncio.SubprocessTransport) -> None:
    gate = transport.get_pipe_transport(0)
    assert isinstance(gate, asyncio.WriteTransport)
    gate.write(GO)
    gate.close()


async def _exit_of(
    transport: asyncio.SubprocessTransport,
    outputs: _Outputs,
    stopping: asyncio.Future[None],
    grace_seconds: float,
) -> None:
    """Wait for the exit of the process; ask it to exit once it is to stop."""
    either = [outputs.exited, stopping]
    while transport.get_returncode() is None and not stopping.done():
        await asyncio.wait(either, timeout=_LOOKING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if transport.get_returncode() is None:
        _signal(transport.get_pid(), signal.SIGTERM)
        await asyncio.wait([outputs.exited], timeout=grace_seconds)


async def _end(
    transport: asyncio.SubprocessTransport, outputs: _Outputs, guardian: Guardian
) -> None:
    """End the whole group, and read what it has printed."""
    group = transport.get_pid()
    # The processes that it has started end with it. The number of a group is not reused before the
    # group is empty.
    _signal(group, signal.SIGKILL)
    while transport.get_returncode() is None:
        await asyncio.wait([outputs.exited], timeout=_LOOKING_SECONDS)
    await asyncio.wait(outputs.closed.values(), timeout=_READING_SECONDS)
    transport.close()
    guardian.discard(group)


def _signal(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        # The group is empty. On macOS a group of zombies raises PermissionError.
        pass


def _conclude(code: int, outputs: _Outputs, output_max: int) -> AttemptEnd:
    if code == 0:
        if outputs.overflows:
            return Reported(f"the output has more than {output_max} bytes: write it to a file")
        if outputs.is_torn:
            return Reported("an interrupt has lost some of the output")
        return Returned(outputs.output.decode("utf-8", "replace"))
    what = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    errors = outputs.errors.decode("utf-8", "replace").strip()
    return Reported(f"{what}\n\n{errors}".strip(), subprocess.CalledProcessError)

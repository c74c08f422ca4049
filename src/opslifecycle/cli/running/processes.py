"""Commands as processes: started and ended through the keeper, read through pipes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from opslifecycle.cli.batches.model import Command
from opslifecycle.cli.failing import limit_behind
from opslifecycle.cli.running.capture import Capture
from opslifecycle.cli.running.control_groups import end_group, group_of, home_of_groups
from opslifecycle.cli.text import one_line
from opslifecycle.values.plain import Data, Json

#: How many seconds a pipe may be silent after the end of the command, before it is closed. A
#: process that has escaped from the command may hold it open.
_SILENT_SECONDS = 1.0
_READ_BYTES = 262_144


class KeeperLostError(Exception):
    """A keeper that has ended before its run, so that its commands cannot be ended any more."""


class NotStartedError(Exception):
    """A command that could not be started, with the reason as its text."""


class Process:
    """A command that runs, with its two outputs."""

    def __init__(self, keeper: Keeper, key: str, captures: tuple[Capture, Capture]) -> None:
        self.output, self.errors = captures
        self._keeper = keeper
        self._key = key
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[int] = loop.create_future()
        self.exited: asyncio.Future[int] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self._pipes: list[_Pipe] = []

    async def wait(self) -> int:
        """Wait until every process of the command has ended and its output is captured.

        Returns:
            The exit status; the negative number of a signal that ended the command.
        """
        status = await self.exited
        await self.gone
        for pipe in self._pipes:
            await pipe.drained()
        return status

    def end(self) -> None:
        """End the command and the processes that it has started: by SIGTERM, later by SIGKILL."""
        self._keeper.send(do="end", key=self._key)

    def kill(self) -> None:
        """End the command and the processes that it has started by SIGKILL."""
        self._keeper.send(do="kill", key=self._key)

    def close(self) -> None:
        """Release the pipes and the logs."""
        for pipe in self._pipes:
            pipe.close()
        self.output.log.close()
        self.errors.log.close()

    def read_from(self, output: int, errors: int) -> None:
        """Capture the outputs from two pipes."""
        self._pipes = [_Pipe(output, self.output), _Pipe(errors, self.errors)]

    def fail(self, error: BaseException) -> None:
        """End every wait for this process with an error."""
        for future in (self.started, self.exited, self.gone):
            if not future.done():
                future.set_exception(error)
                # Some of these waits may never be awaited.
                future.exception()


class Keeper:
    """The connection of the run to the parent of its commands; see `keeper.py`."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-I", "-S",
                    str(Path(__file__).with_name("keeper.py")), str(theirs.fileno()),
                ],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        self._control = ours
        self._received = b""
        self._groups = home_of_groups()
        self._processes: dict[str, Process] = {}
        self.lost = False
        asyncio.get_running_loop().add_reader(ours, self._receive)
        variables = {"PYTHONUNBUFFERED": "1", "OPSLIFECYCLE_PYTHON": sys.executable}
        self.send(do="environment", variables={**os.environ, **variables})

    async def start(
        self, key: str, command: Command, captures: tuple[Capture, Capture], grace_seconds: float
    ) -> Process:
        """Start a command; raises NotStartedError, which names the limit that was reached."""
        words = command.command
        request = {
            "do": "start", "key": key, "grace": grace_seconds,
            "words": ["/bin/sh", "-c", words] if isinstance(words, str) else list(words),
            "directory": None if command.directory is None else str(command.directory),
            "variables": dict(command.environment), "reads": command.stdin is not None,
            "group": None if self._groups is None else str(group_of(self._groups, key)),
        }  # fmt: skip
        process = Process(self, key, captures)
        ours: list[int] = []
        theirs: list[int] = []
        try:
            for _ in range(2):
                read, write = os.pipe()
                ours.append(read)
                theirs.append(write)
            if command.stdin is not None:
                theirs.append(input_of(command.stdin))
            process.read_from(*ours)
        except OSError as error:
            for end in [*ours, *theirs]:
                os.close(end)
            process.close()
            raise NotStartedError(_reason(error.errno, error.strerror, error.filename)) from None
        self._processes[key] = process
        self.send(fds=theirs, **request)
        for end in theirs:
            os.close(end)
        try:
            await process.started
        except BaseException:
            self._processes.pop(key, None)
            process.close()
            raise
        return process

    def signal_all(self, number: int) -> None:
        """Signal every command and the processes that it has started."""
        self.send(do="signal", number=number)

    def kill_all(self) -> None:
        """End every command by force."""
        for process in self._processes.values():
            process.kill()

    def send(self, *, fds: Sequence[int] = (), **request: Json) -> None:
        """Send a request. It is dropped if the keeper has ended."""
        with contextlib.suppress(OSError):
            text = json.dumps(request).encode() + b"\n"
            sent = socket.send_fds(self._control, [text], fds) if fds else 0
            self._control.sendall(text[sent:])

    async def close(self) -> None:
        """End the keeper, and with it every process below it."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._control)
        self._control.close()
        while self._process.poll() is None:
            await asyncio.sleep(0.005)

    def _receive(self) -> None:
        try:
            data = self._control.recv(65_536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, answer: Data) -> None:
        process = self._processes.get(answer["key"])
        if process is None:
            return
        if "started" in answer:
            process.started.set_result(answer["started"])
        elif "failed" in answer:
            process.fail(NotStartedError(_reason(*answer["failed"])))
        elif "exited" in answer:
            process.exited.set_result(answer["exited"])
        elif "gone" in answer:
            process.gone.set_result(None)
            del self._processes[answer["key"]]

    def _lose(self) -> None:
        self.lost = True
        asyncio.get_running_loop().remove_reader(self._control)
        for key, process in self._processes.items():
            if self._groups is not None:
                end_group(group_of(self._groups, key))
            if process.started.done() and not process.started.exception():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.started.result(), 9)
            process.fail(KeeperLostError("the process that keeps the commands has ended"))
        self._processes.clear()


class _Pipe:
    """One output of a command, read as soon as it is written."""

    def __init__(self, fd: int, capture: Capture) -> None:
        self._capture = capture
        self._fd = fd
        self._ended = asyncio.Event()
        self._arrived = False
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._arrived = True
        if data:
            self._capture.feed(data)
        else:
            self.close()

    async def drained(self) -> None:
        """Wait until all output is read, or the pipe is silent after the end of the command."""
        while not self._ended.is_set():
            self._arrived = False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _SILENT_SECONDS)
            if not self._arrived:
                return

    def close(self) -> None:
        """Stop reading."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._ended.set()


def input_of(stdin: str | Path) -> int:
    """Open the standard input of a command: a file, `-` for that of this process, or a text."""
    if stdin == Path("-"):
        return os.dup(0)
    if isinstance(stdin, Path):
        return os.open(stdin, os.O_RDONLY | os.O_CLOEXEC)
    # A pipe would have to be fed, and a command that does not read would hold it up.
    with tempfile.TemporaryFile() as file:
        file.write(stdin.encode())
        file.seek(0)
        return os.dup(file.fileno())


def _reason(number: int | None, why: str | None, name: str | None) -> str:
    """Return why a command could not be started, with the limit that was reached."""
    where = f": {one_line(name)}" if name else ""
    return f"cannot be started: {why or 'unknown error'}{where}{limit_behind(number)}"

"""One command as a process group of its own, which ends as a whole."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from opslifecycle.cli.batch import Command

_KILL_SECONDS = 2.0
_PIPE_SECONDS = 1.0
_LINE_CHARACTERS_MAX = 500
_LINES_KEPT = 40
_OUTPUT, _ERRORS = 1, 2


class Tail:
    """The last lines of an output; tells each new one."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, data: bytes, *, final: bool = False) -> None:
        """Take what has been read; a line ends at a line feed or a carriage return."""
        *lines, rest = re.split(r"[\r\n]+", self._rest + self._decoder.decode(data, final))
        if final or len(rest) > _LINE_CHARACTERS_MAX:
            lines, rest = [*lines, rest], ""
        self._rest = rest
        for line in lines:
            shown = line.rstrip()[:_LINE_CHARACTERS_MAX]
            if shown:
                self._lines.append(shown)
                self._tell(shown)

    def text(self) -> str:
        """The last lines."""
        return "\n".join(self._lines)


class Guard:
    """Has what runs end with us, even if we are killed; see `guard.py`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def add(self, group: int) -> None:
        """A process group that is to end with us."""
        self._tell(f"+{group}")

    def remove(self, group: int) -> None:
        """A process group that has ended."""
        self._tell(f"-{group}")

    def close(self) -> None:
        """End the guard, and with it whatever is still listed."""
        if self._process.stdin is not None:
            # Without a guard nobody reads this any more, and there is nothing to be done about it.
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(f"{line}\n")
                self._process.stdin.flush()


class Process(asyncio.SubprocessProtocol):
    """A command that was started."""

    def __init__(self, tell: Callable[[str], None], grace_seconds: float) -> None:
        self.output = Tail(tell)
        self.errors = Tail(tell)
        self._grace_seconds = grace_seconds
        self._exited = asyncio.Event()
        self._closed = asyncio.Event()
        self._open_pipes = {_OUTPUT, _ERRORS}
        self._transport: asyncio.SubprocessTransport
        self._pid: int

    @classmethod
    async def start(
        cls,
        command: Command,
        tell: Callable[[str], None],
        grace_seconds: float,
    ) -> Process:
        """Start a command in a new process group; raises OSError or ValueError if it cannot be.

        `tell` gets each line of its output. A group that is to end has `grace_seconds` for it.
        """
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "OPSLIFECYCLE_PYTHON": sys.executable,
            **command.environment,
        }
        words = command.command
        if isinstance(words, str):
            words = ("/bin/sh", "-c", words)
        _, process = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(tell, grace_seconds),
            *words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=command.directory,
            env=environment,
            start_new_session=True,
        )
        return process

    @property
    def group(self) -> int:
        """The process group."""
        return self._pid

    async def wait(self) -> int:
        """Read to the end and give the exit status, negative for a signal.

        Once the command itself has ended, so does what it has left running in its group.
        """
        try:
            await self._exited.wait()
            await self.end()
            # Who has left the group may hold the pipes open for ever; that output is not ours.
            await _within(_PIPE_SECONDS, self._closed)
        finally:
            self._transport.close()
        status = self._transport.get_returncode()
        assert status is not None
        return status

    async def end(self) -> None:
        """End the whole group: first politely, after its grace by force."""
        if self._signal(signal.SIGTERM) and not await self._gone(self._grace_seconds):
            self.kill()
            await self._gone(_KILL_SECONDS)

    def kill(self) -> None:
        """End the whole group by force, at once."""
        self._signal(signal.SIGKILL)

    def pause(self, paused: bool) -> None:
        """Let the command wait with its output, or go on; a full pipe makes it wait."""
        for fd in self._open_pipes:
            pipe = self._transport.get_pipe_transport(fd)
            if isinstance(pipe, asyncio.ReadTransport):
                if paused and pipe.is_reading():
                    pipe.pause_reading()
                elif not paused and not pipe.is_reading():
                    pipe.resume_reading()

    # What the event loop tells ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport
        self._pid = transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._tail(fd).feed(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._tail(fd).feed(b"", final=True)
        self._open_pipes.discard(fd)
        if not self._open_pipes:
            self._closed.set()

    def process_exited(self) -> None:
        self._exited.set()

    def _tail(self, fd: int) -> Tail:
        return self.output if fd == _OUTPUT else self.errors

    # The group ----------------------------------------------------------------------------------

    async def _gone(self, seconds: float) -> bool:
        """Whether the group has gone within some seconds."""
        deadline = asyncio.get_running_loop().time() + seconds
        pause = 0.001
        while self._signal(0) and _has_living_member(self._pid):
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.05)
        return True

    def _signal(self, number: int) -> bool:
        """Signal the group; False if nobody is left in it."""
        try:
            os.killpg(self._pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def _has_living_member(group: int) -> bool:
    """Whether a process group has more than zombies in it, where the system can tell.

    A zombie answers to signals until its parent reaps it, and the first process of a container may
    never do that.
    """
    stats = list(Path("/proc").glob("[0-9]*/stat"))
    if not stats:
        return True
    for stat in stats:
        try:
            # State and group follow the program's name, which stands in brackets.
            state, _, found = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(found) == group and state not in "ZX":
            return True
    return False


async def _within(seconds: float, event: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        pass

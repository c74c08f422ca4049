"""The parent of every command of a run: a program of its own, started by `Keeper` in `processes`.

It starts commands when it is asked to over a socket, and ends them with everything that they have
started. When the socket closes, the run is gone (killed, perhaps), and every command ends with it.
On Linux it adopts what leaves a command's process group or session (PR_SET_CHILD_SUBREAPER), so
that nothing escapes it; elsewhere it knows process groups only. Where it may, it puts each command
into a control group of its own. It uses the standard library alone, so that it starts quickly, and
no threads.

Requests, one JSON object a line: `start` (with file descriptors for output, errors and, if it
`reads`, input), `end` (politely, then by force), `kill`, `signal` (to every command). Answers:
`started`, `failed`, `exited`, and `gone` once nothing of a command is left.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time

ORPHAN_GRACE_SECONDS = 0.5
MARKER = "OPSLIFECYCLE_OPERATION"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
_POLL_SECONDS_MAX = 0.05
#: Only the end of the run ends the keeper. Handlers are not inherited by the commands.
_OUTLIVED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_FDS_AT_ONCE = 64


class Group:
    """The control group of one command (cgroup v2), in addition to the rest; None makes none."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        try:
            if folder is not None:
                os.mkdir(folder)
        except OSError:
            self._folder = None

    def enter(self) -> None:
        """Move the calling process, which is about to become the command, into the group."""
        self._write("cgroup.procs", "0")

    def members(self) -> set[int]:
        """Return the processes in the group that are alive."""
        if self._folder is None:
            return set()
        try:
            with open(f"{self._folder}/cgroup.procs") as file:
                # 0 is a process that this one cannot see, and to `kill` this one's own group.
                return {int(each) for each in file} - {0}
        except OSError:
            return set()

    def kill(self) -> None:
        """Kill every process in the group, and in groups below it, in one step."""
        self._write("cgroup.kill", "1")

    def remove(self) -> None:
        """Remove the group, which is empty."""
        if self._folder is not None:
            try:
                os.rmdir(self._folder)
            except OSError:
                pass

    def _write(self, name: str, text: str) -> None:
        if self._folder is not None:
            try:
                with open(f"{self._folder}/{name}", "w") as file:
                    file.write(text)
            except OSError:
                # Before Linux 5.14 there is no `cgroup.kill`: the members are killed one by one.
                pass


class Command:
    """A command and the processes that it has started."""

    def __init__(
        self, key: str, process: subprocess.Popen[bytes], grace: float, group: Group
    ) -> None:
        self.key = key
        self.process = process
        self.grace = grace
        self.group = group
        self.has_exited = False
        self.kill_at: float | None = None


class Keeper:
    """Starts, signals, reaps and ends commands until its socket closes."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.commands: dict[str, Command] = {}
        self.environment: dict[str, str] = {}
        self.adopts = becomes_subreaper()
        self.closed = False
        self._received = b""
        self._fds: list[int] = []
        self._poll_seconds = 0.001

    def run(self) -> None:
        """Serve requests until the socket closes, then end the remaining commands."""
        wakeup, written = socket.socketpair()
        wakeup.setblocking(False)
        written.setblocking(False)
        signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, *_OUTLIVED):
            # A signal that is ignored stays ignored, for the commands as well (nohup).
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self.control, selectors.EVENT_READ)
            selector.register(wakeup, selectors.EVENT_READ)
            while not self.closed:
                for key, _ in selector.select(self._timeout()):
                    if key.fileobj is wakeup:
                        wakeup.recv(4096)
                    else:
                        self._receive()
                self._reap()
                self._advance()
        self._end_everything()

    # Requests -----------------------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self.control, 65_536, _FDS_AT_ONCE)
        except ConnectionError:
            data, fds = b"", []
        self._fds += fds
        if not data:
            self.closed = True
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            getattr(self, f"_on_{request.pop('do')}")(**request)

    def _on_environment(self, variables: dict[str, str]) -> None:
        self.environment = variables

    def _on_start(
        self,
        key: str,
        words: list[str],
        directory: str | None,
        variables: dict[str, str | None],
        reads: bool,
        grace: float,
        group: str | None,
    ) -> None:
        count = 3 if reads else 2
        given, self._fds = self._fds[:count], self._fds[count:]
        environment = {**self.environment, **variables, MARKER: key}
        own = Group(group)
        try:
            if len(given) < count:
                raise OSError(24, "Too many open files")
            process = subprocess.Popen(
                words,
                stdin=given[2] if reads else subprocess.DEVNULL,
                stdout=given[0],
                stderr=given[1],
                cwd=directory,
                env={name: value for name, value in environment.items() if value is not None},
                start_new_session=True,
                preexec_fn=(lambda: begin(own)) if self.adopts else None,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            number = getattr(error, "errno", None)
            why = getattr(error, "strerror", None) or str(error)
            name = getattr(error, "filename", None)
            name = os.fsdecode(name) if isinstance(name, bytes) else name
            own.remove()
            self._answer(key=key, failed=[number, why, name])
        else:
            self.commands[key] = Command(key, process, grace, own)
            self._answer(key=key, started=process.pid)
        finally:
            for fd in given:
                os.close(fd)

    def _on_end(self, key: str) -> None:
        command = self.commands.get(key)
        if command is not None:
            self._begin_end(command)

    def _on_kill(self, key: str) -> None:
        command = self.commands.get(key)
        if command is not None:
            command.kill_at = time.monotonic()

    def _on_signal(self, number: int) -> None:
        for command in self.commands.values():
            self._send(command, number)

    def _answer(self, **answer: object) -> None:
        try:
            self.control.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            self.closed = True

    # Ends ---------------------------------------------------------------------------------------

    def _timeout(self) -> float | None:
        if not any(each.has_exited or each.kill_at is not None for each in self.commands.values()):
            self._poll_seconds = 0.001
            return None
        self._poll_seconds = min(self._poll_seconds * 2, _POLL_SECONDS_MAX)
        return self._poll_seconds

    def _reap(self) -> None:
        by_pid = {each.process.pid: each for each in self.commands.values()}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            command = by_pid.get(pid)
            if command is not None:
                code = os.waitstatus_to_exitcode(status)
                command.process.returncode = code
                command.has_exited = True
                self._answer(key=command.key, exited=code)
                # The processes that the command has left running end with it.
                self._begin_end(command)

    def _begin_end(self, command: Command) -> None:
        if command.kill_at is None:
            command.kill_at = time.monotonic() + command.grace
            self._send(command, signal.SIGTERM)
            # A stopped process would not see it.
            self._send(command, signal.SIGCONT)

    def _advance(self) -> None:
        ending = [each for each in self.commands.values() if each.kill_at is not None]
        if not ending:
            return
        members = self._members()
        for command in ending:
            left = members.get(command.key, set())
            if command.has_exited and not left and not self._group_lives(command):
                del self.commands[command.key]
                command.group.remove()
                self._answer(key=command.key, gone=True)
            elif command.kill_at is not None and time.monotonic() >= command.kill_at:
                # Each time anew: a process may have been forked since.
                command.group.kill()
                self._send(command, signal.SIGKILL, left)

    def _end_everything(self) -> None:
        for number, seconds in ((signal.SIGTERM, ORPHAN_GRACE_SECONDS), (signal.SIGKILL, 2.0)):
            deadline = time.monotonic() + seconds
            first = True
            while self._anything_left():
                if first or number == signal.SIGKILL:
                    for command in self.commands.values():
                        self._send(command, number)
                        self._send(command, signal.SIGCONT)
                    for pid in self._descendants(os.getpid()):
                        signal_one(pid, number)
                    if number == signal.SIGKILL:
                        for command in self.commands.values():
                            command.group.kill()
                first = False
                if time.monotonic() >= deadline:
                    break
                time.sleep(0.01)
                self._reap()
        for command in self.commands.values():
            command.group.remove()

    def _anything_left(self) -> bool:
        living = [each for each in self.commands.values() if not each.has_exited]
        groups = any(self._group_lives(each) for each in self.commands.values())
        return bool(living or groups or self._descendants(os.getpid()))

    # Members ------------------------------------------------------------------------------------

    def _send(self, command: Command, number: int, members: set[int] | None = None) -> None:
        try:
            os.killpg(command.process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass
        for pid in self._members().get(command.key, ()) if members is None else members:
            signal_one(pid, number)

    def _group_lives(self, command: Command) -> bool:
        if self.adopts:
            return False
        try:
            os.killpg(command.process.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            # Only zombies of other parents are left (macOS).
            return False
        return True

    def _members(self) -> dict[str, set[int]]:
        """Return the live processes of each command; none where the system does not list them."""
        if not self.adopts:
            return {}
        roots = {each.process.pid: each.key for each in self.commands.values()}
        found: dict[str, set[int]] = {}
        for child in children_of(os.getpid()):
            key = roots.get(child) or self._adopted_from(child, roots)
            if key is not None:
                found.setdefault(key, set()).update([child, *self._descendants(child)])
        for command in self.commands.values():
            found.setdefault(command.key, set()).update(command.group.members())
        return found

    def _adopted_from(self, pid: int, roots: dict[int, str]) -> str | None:
        """Return the command that started an adopted process; None if it is unknown."""
        try:
            key = roots.get(os.getsid(pid)) or roots.get(os.getpgid(pid))
            if key is not None:
                return key
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            return None
        mark = f"{MARKER}=".encode()
        named = [each[len(mark) :].decode() for each in variables if each.startswith(mark)]
        return named[0] if named and named[0] in self.commands else None

    def _descendants(self, pid: int) -> list[int]:
        found = []
        waiting = children_of(pid) if self.adopts else []
        while waiting:
            child = waiting.pop()
            found.append(child)
            waiting += children_of(child)
        return found


def becomes_subreaper() -> bool:
    """Adopt orphans below this process; False where the system cannot."""
    if _LIBC is None or _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        return False
    return os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def begin(group: Group) -> None:
    """Prepare the process that becomes a command; runs in the child, which has one thread.

    The process enters its group, and is killed if the keeper itself is.
    """
    group.enter()
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def children_of(pid: int) -> list[int]:
    """Return the living children of a process, of all its threads."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += [int(each) for each in file.read().split()]
    except OSError:
        pass
    return [each for each in found if not is_zombie(each)]


def is_zombie(pid: int) -> bool:
    """Return whether a process has ended and only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in b"ZX"
    except OSError:
        return True


def signal_one(pid: int, number: int) -> None:
    """Signal one process, which may have ended."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


if __name__ == "__main__":
    Keeper(socket.socket(fileno=int(sys.argv[1]))).run()

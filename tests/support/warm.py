"""Programs in processes that need not import the project: the process they are forked from has.

For tests of what a program prints and how it ends. Tests whose subject is the start of an
interpreter, an import or a signal start an interpreter.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from multiprocessing import reduction
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import IO, Any, Self, TextIO

DEADLINE_SECONDS = 120
#: Of packages that import their modules when these are needed, the modules.
_IMPORTED = [
    "tests.support.warm", "opslifecycle.cli.run", "opslifecycle.cli.running.execution",
    "opslifecycle.cli.streams", "opslifecycle.cli.tables", "opslifecycle.inspection.feed",
    "opslifecycle.stores.postgres.store", "opslifecycle.stores.sqlite.reader",
    "opslifecycle.stores.sqlite.store", "opslifecycle.work", "opslifecycle_codegen.cli.commands",
    "cattrs", "mypy.main", "pytest", "tests.support.preloaded",
]  # fmt: skip


def python(
    *words: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    errors_apart: bool = False,
    deadline: float = DEADLINE_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run what an interpreter would run with these words: `-c TEXT`, `-m MODULE …` or `FILE …`.

    Args:
        cwd: The folder in which it runs.
        env: Its environment; by default that of the test.
        errors_apart: Whether what it writes to standard error is a text of its own. By default it
            stands in the output, where it was written.
        deadline: After how many seconds it is killed.

    Returns:
        What it wrote, and its exit status.

    Raises:
        TimeoutError: It had not ended then.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        errors = Path(folder) / "errors" if errors_apart else output
        with output.open("ab") as writing, errors.open("ab") as telling:
            program = Program(*words, cwd=cwd, env=env, stdout=writing, stderr=telling)
        try:
            status = program.wait(deadline)
        except subprocess.TimeoutExpired as error:
            program.kill()
            program.wait()
            message = f"{words} had not ended after {deadline} seconds"
            raise TimeoutError(message) from error
        written = output.read_text(encoding="utf-8")
        told = errors.read_text(encoding="utf-8") if errors_apart else ""
    return subprocess.CompletedProcess(words, status, written, told)


class Program:
    """What an interpreter would run, in a forked process: what tests use of `subprocess.Popen`.

    Attributes:
        pid: The number of the process, which is a child of the one that it is forked from.
        stdout, stderr: What it writes, as text, where a pipe was asked for.
    """

    def __init__(
        self,
        *words: str,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        start_new_session: bool = False,
    ) -> None:
        self.args = words
        self.stdout, output = _opened(stdout, 1)
        if stderr == subprocess.STDOUT:
            self.stderr, errors = None, os.dup(output)
        else:
            self.stderr, errors = _opened(stderr, 2)
        # Its end is that the process is what it was started as, which signals may not precede.
        begun, beginning = os.pipe()
        environment = dict(os.environ if env is None else env)
        arguments = (words, cwd, environment, _path_at_start(), start_new_session)
        streams = tuple(_Stream(each) for each in (output, errors, beginning))
        self._process = _context().Process(target=_run, args=(*arguments, *streams))
        self._process.start()
        for each in (output, errors, beginning):
            os.close(each)
        os.read(begun, 1)
        os.close(begun)
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, or the negative signal; None as long as it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit status without waiting."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end.

        Raises:
            TimeoutExpired: It has not ended by then.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self._process.exitcode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Return what else it writes, at its end.

        Raises:
            TimeoutExpired: It has not ended by then.
        """
        with ThreadPoolExecutor(2) as pool:
            reading = [pool.submit(each.read) for each in (self.stdout, self.stderr) if each]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            texts = iter([each.result() for each in reading])
        return next(texts) if self.stdout else "", next(texts) if self.stderr else ""

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.wait()
        for each in (self.stdout, self.stderr):
            if each is not None:
                each.close()


class _Stream:
    """A descriptor on its way into the process that is forked."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (reduction.DupFd(self._descriptor),)


def _arrived(sent: Any) -> int:
    """Return the number of a descriptor in the process that is forked."""
    number: int = sent.detach()
    return number


def _opened(stream: int | IO[Any] | None, inherited: int) -> tuple[TextIO | None, int]:
    """Return what to read of a stream of the program, and the descriptor that it writes to."""
    if stream == subprocess.PIPE:
        reading, writing = os.pipe()
        return os.fdopen(reading, encoding="utf-8"), writing
    if stream == subprocess.DEVNULL:
        return None, os.open(os.devnull, os.O_WRONLY)
    if stream is None:
        return None, os.dup(inherited)
    return None, os.dup(stream if isinstance(stream, int) else stream.fileno())


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    return context


@cache
def _path_at_start() -> list[str]:
    """Where an interpreter looks for modules that are not the program's."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", "import sys; print(*sys.path[1:], sep='\\n')"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _run(
    words: tuple[str, ...],
    cwd: Path,
    environment: dict[str, str],
    path: list[str],
    is_leader: bool,
    output: int,
    errors: int,
    beginning: int,
) -> None:
    """Be the program, in the new process."""
    for descriptor, target in ((1, output), (2, errors)):
        os.dup2(target, descriptor)
        os.close(target)
    # Those of the process that it is forked from know another file.
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    if is_leader:
        os.setsid()
    os.close(beginning)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    what, *arguments = words
    is_option = what in ("-c", "-m")
    given = [each for each in environment.get("PYTHONPATH", "").split(os.pathsep) if each]
    first = {"-c": "", "-m": str(cwd)}.get(what, str((cwd / what).parent))
    sys.path[:] = [first, *given, *path]
    sys.argv[:] = [what, *arguments[is_option:]]
    try:
        if what == "-c":
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(arguments[0], "<string>", "exec"), main.__dict__)
        elif what == "-m":
            if not hasattr(sys.modules.get(arguments[0]), "__path__"):
                # It is run, and not imported.
                sys.modules.pop(arguments[0], None)
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(what, run_name="__main__")
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__
        sys.excepthook(type(error), error, trace and trace.tb_next)
        raise SystemExit(1) from None
    finally:
        threading._shutdown()  # type: ignore[attr-defined]

"""A run that goes on in a process of its own, without a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from opslifecycle.cli.failing import complain, described
from opslifecycle.cli.output import discard
from opslifecycle.cli.running.logs import run_log
from opslifecycle.inspection.locations import Location

#: Called when the commands of the run are recorded.
Ready = Callable[[], None]
_READY = b"ready"


def detached(store: Location, name: str) -> Ready | None:
    """Fork; the child has a session of its own, no input, and writes its output to a file.

    Called before any thread is started. The parent returns after the child is ready, or has ended.

    Args:
        store: The store, beside whose logs the file is.
        name: The name of the run.

    Returns:
        In the child, what it calls when it is ready; in the parent None, if the child is ready.

    Raises:
        SystemExit: In the parent, if the child has ended before, with its status. What it has
            written is printed to standard error. Also if the name cannot be printed, with 1.
        OSError: There is no process to be had, or the file cannot be created.
    """
    store.prepare()
    log = run_log(store.beside, name)
    log.parent.mkdir(mode=0o700, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(read)
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, own in enumerate((nothing, file, file)):
            os.dup2(own, target)
        os.close(nothing)
        os.close(file)
        return lambda: _tell(write)
    os.close(write)
    os.close(file)
    with open(read, "rb") as pipe:
        is_ready = pipe.read() == _READY
    if is_ready:
        _print(f"{name} goes on in process {process}; its output is in {log}")
        return None
    _, status = os.waitpid(process, 0)
    complain(log.read_text(encoding="utf-8", errors="replace").removesuffix("\n"))
    sys.exit(os.waitstatus_to_exitcode(status))


def _print(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError as error:
        # The run goes on. Status 2 would say that it does not.
        discard(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            complain(f"{line}\nerror: {described(error)}")
        sys.exit(1)


def _tell(pipe: int) -> None:
    os.write(pipe, _READY)
    os.close(pipe)

"""The report of errors to the user."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Iterator

from opslifecycle import OpsLifecycleError
from opslifecycle.cli.output import discard
from opslifecycle.cli.text import lines_of

#: A process, a thread or a descriptor that cannot be had, or a folder that is gone. Other errors
#: that name no file come from standard output.
_OF_THE_PROCESS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOENT)
#: What Python raises, as a RuntimeError, where the system refuses a thread.
_NO_THREAD = "can't start new thread"


def is_of_output(error: OSError) -> bool:
    """Return whether an error comes from writing to standard output."""
    return error.filename is None and error.errno not in _OF_THE_PROCESS


def complain(line: str) -> None:
    """Print a line to standard error, if that can be written."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        # Its terminal or its reader is gone, and the exit status says the rest.
        discard(sys.stderr)


def reason_of(error: OSError) -> str:
    """Return why a standard stream could not be read or written."""
    return "it is closed" if error.errno == errno.EBADF else error.strerror or str(error)


def described(error: OSError) -> str:
    """Return what has failed and why, with a limit of the process that was reached."""
    if is_of_output(error):
        return f"standard output: {reason_of(error)}"
    why = f"{error.strerror}{limit_behind(error.errno)}"
    if error.errno == errno.ENOENT and _folder_is_gone():
        why = "the current folder was deleted; change into another one"
    return why if error.filename is None else f"{os.fsdecode(error.filename)}: {why}"


def _folder_is_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def limit_behind(number: int | None) -> str:
    """Return the limit that an error with a number means, in parentheses; nothing for others."""
    import resource  # here, because not every system has it

    if number == errno.EAGAIN:
        soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
        shown = "unlimited here: see the container's limit" if soft < 0 else str(soft)
        return f" (the limit on processes, ulimit -u, is {shown})"
    if number in (errno.EMFILE, errno.ENFILE):
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return f" (the limit on open files, ulimit -n, is {soft})"
    return ""


@contextlib.contextmanager
def told_errors() -> Iterator[None]:
    """Report an error in one line, and exit with status 2; exit with 130 on an interrupt."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        discard(sys.stdout)
        sys.exit(1)
    except OpsLifecycleError as error:
        fix = f"; {error.fix}" if error.fix else ""
        complain(f"error: {' '.join(lines_of(f'{error}{fix}'))}")
    except OSError as error:
        if is_of_output(error):
            # Buffered output would fail again when the interpreter ends.
            discard(sys.stdout)
        complain(f"error: {described(error)}")
    except MemoryError:
        complain("error: out of memory (the limit on it is `ulimit -v`)")
    except RuntimeError as error:
        if str(error) != _NO_THREAD:
            raise
        complain(f"error: {error}{limit_behind(errno.EAGAIN)}")
    else:
        return
    sys.exit(2)

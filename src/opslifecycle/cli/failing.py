"""What an error of the operating system says to the user."""

from __future__ import annotations

import errno
import os
import sys

from opslifecycle.cli.output import discard

#: A process, a thread or a descriptor that cannot be had, or a folder that is gone. Other errors
#: that name no file come from standard output.
_OF_THE_PROCESS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOENT)


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

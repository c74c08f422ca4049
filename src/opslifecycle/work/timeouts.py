"""How a timeout is recorded by a machine that has no outcome of its own for it."""

from __future__ import annotations

import re

from opslifecycle import Failed

_THEN = "\n\nInterrupted, it raised "
#: The whole error: other errors that begin like this go on with a traceback.
_ERROR = re.compile(rf"TimeoutError: timed out after [0-9.e+-]+ s(?:{_THEN}.*)?", re.DOTALL)


def timeout_error(seconds: float, raised: str) -> str:
    """Return the error of work whose timeout has passed.

    Args:
        seconds: The timeout.
        raised: The exception with which the work answered the interruption, described; empty if it
            ended as it was asked to.
    """
    error = f"TimeoutError: timed out after {seconds:g} s"
    return f"{error}{_THEN}{raised}" if raised else error


def is_timeout(outcome: object) -> bool:
    """Return whether an outcome of the shipped machine is that of work whose timeout has passed.

    For outcomes that are read elsewhere: from a snapshot, from the feed or from a barrier. An
    exception of the work, `TimeoutError` among them, is no timeout.

    Args:
        outcome: The outcome of an operation; None for one that has not ended.
    """
    return isinstance(outcome, Failed) and _ERROR.fullmatch(outcome.error) is not None

"""Checks of the arguments of a supervisor and its `start`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from types import FunctionType

from opslifecycle import InvalidValueError
from opslifecycle.values.checks import exact, shown
from opslifecycle.work.errors import NoEventLoopError
from opslifecycle.work.job import Function, Process
from opslifecycle.work.retry import Retry


def check_options(max_running: object, on_exit: object, patience_seconds: object) -> None:
    """Check the options of a supervisor."""
    if max_running is not None and (type(max_running) is not int or max_running < 1):
        reason = f"expected an integer of at least 1 or None, got {shown(max_running)}"
        raise InvalidValueError("max_running", reason)
    if on_exit not in ("wait", "cancel"):
        raise InvalidValueError("on_exit", f"expected 'wait' or 'cancel', got {shown(on_exit)}")
    exact("store_patience_seconds", patience_seconds, int | float)
    assert isinstance(patience_seconds, int | float)
    if not patience_seconds >= 0:
        reason = f"expected seconds from 0, got {shown(patience_seconds)}"
        raise InvalidValueError("store_patience_seconds", reason)


def check_event_loop() -> None:
    """Check that an event loop of asyncio runs in this thread.

    Raises:
        NoEventLoopError: None does; another library's may.
    """
    if asyncio._get_running_loop() is None:
        raise NoEventLoopError


def check_start(key: object, on_interrupt: object, priority: object, retry: object) -> None:
    """Check the options of `start` that no conversion checks."""
    if key is not None and not isinstance(key, str):
        raise InvalidValueError("key", f"expected text or None, got {key!r:.80}")
    if on_interrupt not in ("return", "requeue"):
        reason = f"expected 'return' or 'requeue', got {on_interrupt!r:.80}"
        raise InvalidValueError("on_interrupt", reason)
    if on_interrupt == "requeue" and key is None:
        raise InvalidValueError("on_interrupt", "'requeue' needs a key, which finds the operation")
    if type(priority) is not int:
        raise InvalidValueError("priority", f"expected an integer, got {priority!r:.80}")
    if retry is not None and not isinstance(retry, Retry):
        raise InvalidValueError("retry", f"expected a Retry or None, got {type(retry).__name__}")


def check_given(given: Mapping[str, object], declared: Mapping[str, object]) -> None:
    """Check that exactly the parameters are given that the machine declares."""
    for name in declared:
        if name not in given:
            raise InvalidValueError("given", f"the machine's `work` needs {name!r}")
    for name in given:
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise InvalidValueError("given", f"expected {known}, got {name!r:.80}")


def seconds(field: str, value: float | None) -> float | None:
    """Return a number of seconds as a float, or None.

    Raises:
        InvalidValueError: The value is neither a number of at least 0 nor None.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise InvalidValueError(field, f"expected seconds of at least 0 or None, got {value!r}")
    return float(value)


def work_of(work: object, arguments: tuple[object, ...]) -> Function | Process:
    """Return the work that `start` is called with, as a function or a process.

    Raises:
        InvalidValueError: It is neither a function nor a program, or a program has arguments.
    """
    if isinstance(work, FunctionType):
        return work
    if isinstance(work, list | tuple):
        work = Process(work)
    if isinstance(work, Process):
        if arguments:
            reason = f"expected none for a program, got {len(arguments)}; add them to its list"
            raise InvalidValueError("arguments", reason)
        return work
    if inspect.iscoroutine(work):
        work.close()
        reason = "expected a coroutine function and its arguments, got a coroutine"
        raise InvalidValueError("work", f"{reason}: write start(fetch, url), not start(fetch(url))")
    if not callable(work):
        reason = f"expected a function, a Process or a list of texts, got {type(work).__name__}"
        raise InvalidValueError("work", reason)
    return work


def name_of(work: object) -> str:
    """Return the name of a function, or of the program of a process."""
    if isinstance(work, Process):
        return work.argv[0]
    if isinstance(work, list | tuple):
        return str(work[0]) if work else "process"
    if isinstance(work, FunctionType):
        return work.__name__
    while not hasattr(work, "__name__") and hasattr(work, "func"):
        work = work.func
    return str(getattr(work, "__name__", None) or type(work).__name__)

"""The ends of work as values: its result or exception, and the outcome to be recorded."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import json
import os
import traceback
from collections.abc import Callable
from typing import TypeAlias

import attrs
from opslifecycle import unstructure
from opslifecycle.values.plain import error_text

#: Both kinds of CancelledError, which have no common base.
CANCELLED_ERRORS = (asyncio.CancelledError, concurrent.futures.CancelledError)
ERROR_CHARACTERS_MAX = 8_000
_FRAMES_MAX = 8
_PACKAGE_FOLDER = os.path.dirname(__file__)


@attrs.frozen
class Returned:
    """Work that returned a value."""

    value: object


@attrs.frozen
class Raised:
    """Work that raised an exception."""

    error: BaseException


@attrs.frozen
class Reported:
    """Work that failed outside this process: a program, or a function in another process.

    `text` describes the error. `kind` is the class of the exception, by which retries are decided;
    None if it is unknown.
    """

    text: str
    kind: type[BaseException] | None = None


#: The end of one attempt.
AttemptEnd: TypeAlias = Returned | Raised | Reported


@attrs.frozen
class Complete:
    """The outcome of work with a result, as the arguments of the machine's call."""

    arguments: tuple[object, ...]


@attrs.frozen
class Fail:
    """The outcome of work that has failed."""

    error: str


@attrs.frozen
class TimeOut:
    """The outcome of work whose timeout has passed."""

    error: str


@attrs.frozen
class Cancel:
    """The outcome of work that was cancelled."""

    reason: str | None


#: The outcome of work, to be recorded.
End: TypeAlias = Complete | Fail | TimeOut | Cancel


class NotStorableError(Exception):
    """A result that cannot be stored, with the reason as its text."""


def content_of(value: object, characters_max: int) -> str:
    """Return the text that is recorded for a value: itself, or JSON; None is the empty text.

    Args:
        value: The value.
        characters_max: The limit for the length of the text.

    Raises:
        NotStorableError: The value is not serialisable or too large.
    """
    if value is None:
        content = ""
    elif isinstance(value, str):
        content = str(value)
    else:
        content = _json_of(value)
    if len(content) > characters_max:
        raise NotStorableError(
            f"the result has {len(content)} characters, more than the {characters_max} of"
            " result_characters_max: store it elsewhere and return its place"
        )
    return content


def _json_of(value: object) -> str:
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise NotStorableError(
            "the function returned an awaitable: pass the coroutine function itself"
        )
    try:
        return json.dumps(unstructure(value), ensure_ascii=False, allow_nan=False)
    except Exception as error:
        text = f"{type(error).__name__}: {error_text(error)}"
        raise NotStorableError(f"the result is not serialisable as JSON: {text}") from None


def describe(error: BaseException) -> str:
    """Return the type and message of an exception, and the last frames of its traceback."""
    try:
        brief = traceback.TracebackException.from_exception(error, compact=True)
        _shorten(brief)
        headline = "".join(brief.format_exception_only()).strip()
        frames = "".join(brief.format()).strip()
    except Exception as failure:
        # The exception's own methods may raise.
        headline = f"{type(error).__name__} (it cannot be printed: {type(failure).__name__})"
        frames = ""
    return _fit(f"{headline}\n\n{frames}".strip())


def _shorten(brief: traceback.TracebackException) -> None:
    """Drop the frames of this package and all but the last ones, also of causes and groups."""
    todo: list[traceback.TracebackException] = [brief]
    while todo:
        each = todo.pop()
        frames = [f for f in each.stack if os.path.dirname(f.filename) != _PACKAGE_FOLDER]
        each.stack = traceback.StackSummary.from_list(frames[-_FRAMES_MAX:])
        others = [each.__cause__, each.__context__, *(each.exceptions or ())]
        todo += [other for other in others if other is not None]


def _fit(text: str) -> str:
    """Return a text that a registry stores: without lone surrogates, and not too long."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= ERROR_CHARACTERS_MAX:
        return text
    half = ERROR_CHARACTERS_MAX // 2
    return f"{text[:half]}\n…\n{text[-half:]}"


def guarded(function: Callable[..., object], arguments: tuple[object, ...]) -> AttemptEnd:
    """Call a function and return its result or its exception."""
    try:
        return Returned(function(*arguments))
    except BaseException as error:
        return Raised(error)

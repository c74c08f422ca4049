"""Calls that a registry stores with an operation, so that a later process can make them again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import attrs
from opslifecycle import InvalidValueError, SessionId
from opslifecycle.values.identifiers import AnyIdentifier
from opslifecycle.values.plain import json_of
from opslifecycle.work.job import Function, Process
from opslifecycle.work.retry import Retry

#: A value of JSON.
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

_FORMAT = 1
#: The reason for which work is recorded as failed that its process has left behind.
INTERRUPTED = "interrupted: the process that ran it ended before it did"


@attrs.frozen
class StoredCall:
    """What a record stores of a call: the name of the function, its arguments, and the options."""

    function: str
    arguments: tuple[Json, ...]
    name: str
    source: str
    owner: str
    stored_at_ns: int
    timeout_seconds: float | None = None
    priority: int = 0
    attempts: int = 1
    backoff_seconds: float = 0.0
    metadata: Mapping[str, Json] = attrs.field(factory=dict)

    def text(self) -> str:
        """Return the text that is stored.

        Raises:
            InvalidValueError: An argument or the metadata would not come back as they are.
        """
        _check_json("arguments", list(self.arguments))
        _check_json("metadata", dict(self.metadata))
        return json.dumps(
            {"format": _FORMAT, **attrs.asdict(self, recurse=False)}, ensure_ascii=False
        )

    @staticmethod
    def parse(text: str) -> StoredCall | None:
        """Return the call of a stored text; None if another program has written it."""
        try:
            data = json_of(text)
            if not isinstance(data, dict) or data.pop("format", None) != _FORMAT:
                return None
            call = StoredCall(**{**data, "arguments": tuple(data["arguments"])})
            SessionId(call.owner)
            int(call.stored_at_ns)
        except (ValueError, TypeError, LookupError):
            return None
        return call

    @property
    def retry(self) -> Retry:
        """The rule for repeated attempts."""
        return Retry(self.attempts, self.backoff_seconds)


def retry_to_store(retry: Retry) -> tuple[int, float]:
    """Return the attempts and the backoff of a rule that can be stored.

    Raises:
        InvalidValueError: The rule has a function, or classes of exceptions of its own.
    """
    if callable(retry.backoff) or retry.on != (Exception,):
        reason = "the call of a function from `recover` stores no functions and no classes: give a"
        raise InvalidValueError("retry", f"{reason} number as `backoff`, and no `on`")
    return retry.attempts, float(retry.backoff)


def _check_json(field: str, value: object) -> None:
    try:
        is_stored = _same(json.loads(json.dumps(value, allow_nan=False)), value)
    except (ValueError, TypeError, RecursionError):
        is_stored = False
    if not is_stored:
        reason = "expected values that JSON has (a list, not a tuple), because they are stored"
        raise InvalidValueError(field, f"{reason} with the operation, got {value!r:.80}")


def _same(one: object, other: object) -> bool:
    """Return whether two values are equal and of the same types throughout."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other


@attrs.frozen
class Interrupted:
    """An operation whose work had begun when its process ended.

    Attributes:
        id: The id of the operation.
        name: Its `display_name`.
        function: The name under which `recover` has the function.
        arguments: The arguments of the function.
        metadata: What `start` was given as `metadata`.
    """

    id: AnyIdentifier
    name: str
    function: str
    arguments: tuple[Json, ...]
    metadata: Mapping[str, Json]


@attrs.frozen
class EndAsFailed:
    """The decision to end an interrupted operation as failed, with an error."""

    error: str = INTERRUPTED


@attrs.frozen
class StartAgain:
    """The decision to run the work of an interrupted operation again, from its beginning."""


@attrs.frozen(init=False)
class Adopt:
    """The decision to wait for work that still runs elsewhere: a process, or a remote job.

    Args:
        work: A function, as for `start`, which waits and returns the result of the operation.
        arguments: The arguments of the function.
    """

    work: Function | Process
    arguments: tuple[object, ...]

    def __init__(self, work: Function | Process, *arguments: object) -> None:
        self.__attrs_init__(work, arguments)


#: What becomes of an interrupted operation.
Decision: TypeAlias = EndAsFailed | StartAgain | Adopt
#: Decides it, once for each interrupted operation. It neither blocks nor awaits.
OnInterrupted: TypeAlias = Callable[[Interrupted], Decision]


def end_as_failed(interrupted: Interrupted) -> Decision:
    """Return the decision to end it, which is safe whatever the work does."""
    return EndAsFailed()

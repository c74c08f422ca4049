"""The rule for repeated attempts at failed work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs
from opslifecycle import InvalidValueError

#: The seconds between two attempts: a constant, or a function of the number of the failed attempt.
Backoff: TypeAlias = float | Callable[[int], float]


def _check_attempts(_: object, __: object, value: object) -> None:
    if type(value) is not int or value < 1:
        raise InvalidValueError("attempts", f"expected an integer of at least 1, got {value!r}")


def _check_on(_: object, __: object, value: object) -> None:
    kinds = value if isinstance(value, tuple) else (None,)
    if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
        raise InvalidValueError("on", f"expected a tuple of exception classes, got {value!r:.80}")


@attrs.frozen
class Retry:
    """The rule for repeated attempts at failed work, within the same operation.

    Cancelled work is never repeated. Each attempt after the first is reported as progress.

    Attributes:
        attempts: The maximum number of attempts, including the first one.
        backoff: The seconds to wait before the next attempt: a number, or a function of the number
            of the failed attempt, from 1.
        on: The classes of exceptions after which work is repeated. A timeout is a TimeoutError.
    """

    attempts: int = attrs.field(default=1, validator=_check_attempts)
    backoff: Backoff = 0.0
    on: tuple[type[Exception], ...] = attrs.field(default=(Exception,), validator=_check_on)

    def covers(self, kind: type[BaseException], attempt: int) -> bool:
        """Return whether an attempt that ended with an exception of a class is repeated.

        Args:
            kind: The class of the exception.
            attempt: The number of the failed attempt, from 1.
        """
        return attempt < self.attempts and issubclass(kind, self.on)

    def pause_seconds(self, attempt: int) -> float:
        """Return the seconds to wait after a failed attempt."""
        backoff = self.backoff(attempt) if callable(self.backoff) else self.backoff
        return max(0.0, backoff)


#: The rule without a second attempt.
ONCE = Retry()

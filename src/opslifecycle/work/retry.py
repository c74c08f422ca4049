"""When work is tried again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs
from opslifecycle import InvalidValueError

#: Seconds between attempts: always the same, or by the number of the attempt that failed.
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
    """When failed work is tried again, in the same operation.

    Cancelled work is never tried again. Each attempt after the first is visible as progress.

    Attributes:
        attempts: How often the work is tried at most, the first time included.
        backoff: Seconds to wait before the next attempt: a number, or a function of the number of
            the attempt that failed, from 1.
        on: Classes of exceptions after which it is tried again. A timeout is a TimeoutError.
    """

    attempts: int = attrs.field(default=1, validator=_check_attempts)
    backoff: Backoff = 0.0
    on: tuple[type[Exception], ...] = attrs.field(default=(Exception,), validator=_check_on)

    def covers(self, kind: type[BaseException], attempt: int) -> bool:
        """Return whether to try again after an attempt ended with an exception of this class."""
        return attempt < self.attempts and issubclass(kind, self.on)

    def pause_seconds(self, attempt: int) -> float:
        """Return how long to wait after an attempt."""
        backoff = self.backoff(attempt) if callable(self.backoff) else self.backoff
        return max(0.0, backoff)


#: No second attempt.
ONCE = Retry()

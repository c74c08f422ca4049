"""Times in UTC and durations: their checks, and what stores hold of them.

A store holds a time as the text of RFC 3339 with microseconds, `2026-01-31T12:00:00.000000Z`, and a
duration as an integer of microseconds.
"""

from __future__ import annotations

import datetime as _dt
import re

from opslifecycle.errors import InvalidValueError
from opslifecycle.values.checks import expected

_EPOCH = _dt.datetime(1970, 1, 1, tzinfo=_dt.UTC)
_MICROSECOND = _dt.timedelta(microseconds=1)
_ZERO = _dt.timedelta()
#: The longest duration: from the first time to the last.
_LONGEST = _dt.datetime.max - _dt.datetime.min
_STORED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def check_datetime(field: str, value: object) -> None:
    """Check for a `datetime.datetime` with a time zone whose offset from UTC is zero."""
    if type(value) is not _dt.datetime:
        expected(field, "a datetime", value)
    offset = value.utcoffset()
    if offset is None:
        reason = f"expected a time with a time zone, got {value}; add tzinfo=UTC"
        raise InvalidValueError(field, reason)
    if offset != _ZERO:
        reason = f"expected a time in UTC, got {value}; convert it with .astimezone(UTC)"
        raise InvalidValueError(field, reason)


def check_timedelta(field: str, value: object) -> None:
    """Check for a `datetime.timedelta` of at most 9999 years."""
    if type(value) is not _dt.timedelta:
        expected(field, "a timedelta", value)
    if abs(value) > _LONGEST:
        raise InvalidValueError(field, f"expected at most {_LONGEST.days} days, got {value}")


def milliseconds_of(value: _dt.datetime | None) -> int | None:
    """Return the first whole millisecond since the Unix epoch that is not before a time.

    None for no time.
    """
    if value is None:
        return None
    return -((_EPOCH - value) // _dt.timedelta(milliseconds=1))


def datetime_text(value: _dt.datetime) -> str:
    """Return the text that a store holds of a time in UTC."""
    return f"{value.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def microseconds(value: _dt.timedelta) -> int:
    """Return a duration in microseconds."""
    return value // _MICROSECOND


def datetime_from(data: object) -> _dt.datetime:
    """Return a stored time.

    Raises:
        InvalidValueError: The data is no time as `datetime_text` writes it.
    """
    if type(data) is str and _STORED.fullmatch(data) is not None:
        try:
            return _dt.datetime.fromisoformat(data)
        except ValueError:
            pass
    raise InvalidValueError(
        "", f"expected a time like 2026-01-31T12:00:00.000000Z, got {data!r:.80}"
    )


def timedelta_from(data: object) -> _dt.timedelta:
    """Return a stored duration.

    Raises:
        InvalidValueError: The data is no integer of microseconds, or more than 9999 years.
    """
    most = microseconds(_LONGEST)
    if type(data) is not int or not -most <= data <= most:
        reason = f"expected an integer of microseconds from {-most} to {most}, got {data!r:.80}"
        raise InvalidValueError("", reason)
    return data * _MICROSECOND


def optional_datetime_from(data: object) -> _dt.datetime | None:
    """Return a stored time or None; raises InvalidValueError for anything else."""
    return None if data is None else datetime_from(data)


def optional_timedelta_from(data: object) -> _dt.timedelta | None:
    """Return a stored duration or None; raises InvalidValueError for anything else."""
    return None if data is None else timedelta_from(data)


def datetime_of(milliseconds: int) -> _dt.datetime:
    """Return the time that a clock shows in milliseconds since 1970."""
    return _EPOCH + _dt.timedelta(milliseconds=milliseconds)


def ms_of(value: _dt.datetime) -> int:
    """Return a time in milliseconds since 1970."""
    return (value - _EPOCH) // _dt.timedelta(milliseconds=1)


def optional_ms_of(value: _dt.datetime | None) -> int | None:
    """Return a time in milliseconds since 1970; None for None."""
    return None if value is None else ms_of(value)

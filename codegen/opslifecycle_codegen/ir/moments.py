"""Times and durations: whole microseconds in rules, values of Python's datetime in programs."""

from __future__ import annotations

import datetime

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_UNITS = {"days": 86_400_000_000, "hours": 3_600_000_000, "minutes": 60_000_000,
          "seconds": 1_000_000, "microseconds": 1}  # fmt: skip


def microseconds_of(moment: datetime.datetime) -> int:
    """Return the microseconds since the beginning of 1970, in UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(microseconds: int) -> datetime.datetime:
    """Return the time of a number of microseconds since the Unix epoch."""
    return _EPOCH + microseconds * _MICROSECOND


def datetime_arguments(microseconds: int) -> list[str]:
    """Return the arguments of the call that makes a time: `2026, 1, 31`."""
    found = moment_of(microseconds)
    parts = [found.year, found.month, found.day, found.hour, found.minute, found.second,
             found.microsecond]  # fmt: skip
    while len(parts) > 3 and not parts[-1]:
        parts.pop()
    return [str(each) for each in parts]


def timedelta_arguments(microseconds: int) -> list[str]:
    """Return the arguments of the call that makes a duration: `minutes=30`."""
    found, left = [], abs(microseconds)
    sign = "-" if microseconds < 0 else ""
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        if count:
            found.append(f"{unit}={sign}{count}")
    return found or ["seconds=0"]

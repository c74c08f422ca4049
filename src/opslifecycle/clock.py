"""The only module that reads time."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import Protocol, cast

from opslifecycle.errors import ClockError

_HALF_MS_NS = 500_000
#: How often the phase of two clocks is read, because a thread may be suspended between them.
_READINGS = 5
#: The last time of a clock: the end of the year 9999, which is that of `datetime`.
_END_MS = 253_402_300_799_999
#: What each function of a clock may return; the functions of the system's clock need no check.
_RANGES = {"wall_ns": (0, _END_MS * 1_000_000 + 999_999), "monotonic_ns": (-(2**80), 2**80)}
#: Of a longer integer, an error says the length only.
_SHOWN_BITS = 256
_OF_THE_SYSTEM = (time.time_ns, time.monotonic_ns)


class Timed(Protocol):
    """The times of an authority: a monotonic time, and its offset to wall-clock time."""

    now_ms: int
    clock_offset_ms: int


class Clock:
    """A wall clock and a monotonic clock.

    A class derived from it overrides none of its methods: registries call the functions.

    Args:
        wall_ns: Returns nanoseconds since the Unix epoch, of the years 1970 to 9999, as an `int`;
            jumps when the system's clock is set.
        monotonic_ns: Returns nanoseconds since an arbitrary start as an `int`; never falls.

    Raises:
        ClockError: A function returns something else. Each is called once here; a call of a
            registry raises this error for a later reading, and changes nothing.
    """

    __slots__ = ("_phase_ns", "monotonic_ns", "wall_ns")

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.wall_ns = wall_ns
        self.monotonic_ns = monotonic_ns
        self._phase_ns: int | None = None

    def __init_subclass__(cls) -> None:
        # A registry would not call it: it adds nanoseconds of both clocks.
        for name in vars(Clock):
            if name[0] != "_" and name in vars(cls):
                raise TypeError(
                    f"{cls.__name__} cannot override {name} of Clock: pass functions to Clock"
                )

    def __setattr__(self, name: str, value: object) -> None:
        if name in _RANGES and all(value is not each for each in _OF_THE_SYSTEM):
            value = _checking(name, cast("Callable[[], object]", value))
        object.__setattr__(self, name, value)

    def wall_ms(self) -> int:
        """Return whole milliseconds since the Unix epoch."""
        return self.wall_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Return whole milliseconds since the arbitrary start."""
        return self.monotonic_ns() // 1_000_000

    def phase_ns(self) -> int:
        """Return by how much milliseconds of the wall clock begin before those of the other.

        With it, both begin together, so that the sum of a monotonic time and its offset is no later
        than the wall clock.
        """
        if self._phase_ns is None:
            self._phase_ns = _phase_ns(self.wall_ns, self.monotonic_ns)
        return self._phase_ns

    def offset_ms(self) -> int:
        """Return the wall-clock time less the monotonic one, in milliseconds that begin together.

        Rounded, because the clocks are read one after the other.
        """
        ticks_ns = self.monotonic_ns() + self.phase_ns()
        return (self.wall_ns() - ticks_ns + _HALF_MS_NS) // 1_000_000

    def ticks_ms(self) -> int:
        """Return whole milliseconds since the arbitrary start, which begin as the wall clock's."""
        return (self.monotonic_ns() + self.phase_ns()) // 1_000_000


def _checking(name: str, read: Callable[[], object]) -> Callable[[], int]:
    """Return a function that returns what another one does, if a registry can count with that."""
    least, most = _RANGES[name]
    latest = least

    def checked() -> int:
        nonlocal latest
        before = latest
        try:
            value = read()
        except (MemoryError, RecursionError):
            # The function may be as good as before.
            raise
        except Exception as error:
            raise ClockError(f"{name} raised {type(error).__name__}: {error}") from error
        if type(value) is not int or not least <= value <= most:
            large = isinstance(value, int) and value.bit_length() > _SHOWN_BITS
            shown = f"one of more than {_SHOWN_BITS} bits" if large else f"{value!r:.80}"
            raise ClockError(
                f"expected {name} to return an int from {least} to {most}, got {shown}"
            )
        if name == "monotonic_ns":
            # What was read before this call began: another thread may read a later time meanwhile.
            if value < before:
                raise ClockError(f"monotonic_ns fell from {before} to {value}; it must never fall")
            latest = value
        return value

    checked()
    return checked


def _phase_ns(wall_ns: Callable[[], int], monotonic_ns: Callable[[], int]) -> int:
    """Return the phase of two clocks: of several readings, that of the quickest."""
    readings = [(monotonic_ns(), wall_ns(), monotonic_ns()) for _ in range(_READINGS)]
    _, wall, after = min(readings, key=lambda reading: reading[2] - reading[0])
    return (wall - after) % 1_000_000


SYSTEM_CLOCK = Clock()

#: The first time of a manual clock: 2026-01-01T00:00:00Z, in milliseconds since the Unix epoch.
_MANUAL_START_MS = 1_767_225_600_000


class DueWork(Protocol):
    """Work that is due at times of a clock."""

    def milliseconds_left(self) -> int | None:
        """Return the time until work is due; None if there is none."""

    def run_due(self) -> None:
        """Do the work that is due."""


class ManualClock(Clock):
    """A clock for tests, whose time changes only when a test calls its methods.

    Args:
        wall_ms: The first time of the wall clock, in milliseconds since the Unix epoch.

    Raises:
        ValueError: The time is no integer, or not in the years 1970 to 9999.
    """

    __slots__ = ("_attached", "_monotonic_ns", "_wall_ns")

    def __init__(self, wall_ms: int = _MANUAL_START_MS) -> None:
        self._wall_ns = _checked(wall_ms) * 1_000_000
        self._monotonic_ns = 0
        super().__init__(lambda: self._wall_ns, lambda: self._monotonic_ns)
        self._attached: weakref.WeakSet[DueWork] = weakref.WeakSet()

    def attach(self, work: DueWork) -> None:
        """Run work when it is due, in the thread that advances the clock.

        Args:
            work: The work, which the clock does not keep alive.
        """
        self._attached.add(work)
        self._pass(0)

    def advance(
        self,
        *,
        days: int = 0,
        hours: int = 0,
        minutes: int = 0,
        seconds: int = 0,
        milliseconds: int = 0,
    ) -> None:
        """Advance both the wall clock and the monotonic clock.

        Timers that are due run before this returns: in the calling thread, in order, each at its
        own time.

        Raises:
            ValueError: A number is no integer, or the sum is negative or leads past the year 9999.
                Use `set_wall` to set the wall clock back.
        """
        for unit in (days, hours, minutes, seconds, milliseconds):
            _whole(unit)
        elapsed_s = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        elapsed_ms = elapsed_s * 1000 + milliseconds
        if elapsed_ms < 0:
            raise ValueError(
                f"expected 0 ms or more, got {elapsed_ms}; set_wall sets the clock back"
            )
        _checked(self.wall_ms() + elapsed_ms)
        self._pass(elapsed_ms)

    def set_wall(self, wall_ms: int) -> None:
        """Set the wall clock only, as an administrator does.

        Args:
            wall_ms: The time in milliseconds since the Unix epoch.

        Raises:
            ValueError: The time is no integer, or not in the years 1970 to 9999.
        """
        self._wall_ns = _checked(wall_ms) * 1_000_000
        self._pass(0)

    def _pass(self, elapsed_ms: int) -> None:
        """Go forward, with a stop at each time at which work is due."""
        while True:
            for work in list(self._attached):
                work.run_due()
            if elapsed_ms == 0:
                return
            left = (work.milliseconds_left() for work in list(self._attached))
            step_ms = min([elapsed_ms, *(each for each in left if each is not None)])
            self._wall_ns += step_ms * 1_000_000
            self._monotonic_ns += step_ms * 1_000_000
            elapsed_ms -= step_ms


def _whole(number: int) -> None:
    # A time that is no integer would end every registry that reads the clock.
    if type(number) is not int:
        raise ValueError(f"expected an integer, got {number!r}; pass milliseconds for a fraction")


def _checked(wall_ms: int) -> int:
    _whole(wall_ms)
    if not 0 <= wall_ms <= _END_MS:
        raise ValueError(f"expected a time of the years 1970 to 9999 in ms, got {wall_ms}")
    return wall_ms


class CommandTime:
    """The time of one registry's commands, which never falls.

    It follows the wall clock forward, also past a suspension of the computer. When the wall clock
    is set back, it continues at the pace of the monotonic clock.

    Args:
        clock: The clock to read.
        latest_ms: The latest time of an earlier process, in milliseconds since the Unix epoch. No
            later command gets an earlier time.
    """

    __slots__ = ("_offset_ms", "_phase_ns", "clock")

    def __init__(self, clock: Clock = SYSTEM_CLOCK, latest_ms: int = 0) -> None:
        self.clock = clock
        self._phase_ns = clock.phase_ns()
        self._offset_ms = max(clock.offset_ms(), latest_ms - clock.ticks_ms())

    def now_ms(self) -> int:
        """Return the time in milliseconds since the Unix epoch, without an effect on later ones."""
        return self.clock.ticks_ms() + max(self._offset_ms, self.clock.offset_ms())

    def set_time(self, timed: Timed) -> int:
        """Set the time of an authority, in whole milliseconds.

        One thread at a time calls this, because it raises the least later time.

        Returns:
            The `monotonic_ns()` at which that time is outdated. A busy caller sets the time only
            then, once for each millisecond.

        Raises:
            ClockError: The clock cannot be read, or leads past the year 9999.
        """
        clock = self.clock
        ticks_ns = clock.monotonic_ns() + self._phase_ns
        offset_ms = (clock.wall_ns() - ticks_ns + _HALF_MS_NS) // 1_000_000
        if offset_ms > self._offset_ms:
            self._offset_ms = offset_ms
        now_ms = ticks_ns // 1_000_000
        if now_ms + self._offset_ms > _END_MS:
            raise ClockError("the time of the registry, which never falls, is past the year 9999")
        timed.now_ms = now_ms
        timed.clock_offset_ms = self._offset_ms
        return (now_ms + 1) * 1_000_000 - self._phase_ns

"""Registries with unique keys, histories and timers whose calls are interrupted."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from opslifecycle import Clock, ManualClock, RegistryClosedError, Store
from opslifecycle.clock import SYSTEM_CLOCK

from tests.support.codegen.projects import imported, project
from tests.support.interrupts import injecting
from tests.support.interrupts.checking import (
    DEADLINE_SECONDS,
    Helper,
    interrupted,
    interrupted_behind,
    is_free,
)
from tests.support.interrupts.injecting import Injection
from tests.support.interrupts.trying import MakeStores

_MACHINE = Path(__file__).with_name("rental.yaml")
_MINUTE_MS = 60_000
#: Until when a rental lasts whose timer the thread asks for while it is interrupted.
_SOON_MS = 3


@cache
def rental() -> Any:
    """Return the package of the machine, whose code is interrupted like the project's own."""
    folder = Path(tempfile.mkdtemp(prefix="opslifecycle-rental-"))
    atexit.register(shutil.rmtree, folder)
    package = imported(project(folder, _MACHINE), "rental")
    injecting.OURS.append(str(folder))
    return package


@define(eq=False)
class Lockers:
    """A registry with rentals in each status."""

    registry: Any
    clock: Clock
    #: Rented until a minute from now.
    rented: Any = field(factory=lambda: rental().RentalId.new())
    late: Any = field(factory=lambda: rental().RentalId.new())
    over: Any = field(factory=lambda: rental().RentalId.new())
    new: Any = field(factory=lambda: rental().RentalId.new())
    #: Whether the registry is being closed, at whatever moment.
    closing: bool = False

    def __attrs_post_init__(self) -> None:
        self.registry.rent(self.late, 1, 0)
        self.registry.rent(self.over, 2, self.later())
        self.registry.give_back(self.over)
        self.pass_time(0)
        self.registry.rent(self.rented, 2, self.later())

    def later(self) -> int:
        """Return the time a minute from now."""
        return self.clock.wall_ms() + _MINUTE_MS

    def pass_time(self, minutes: int) -> None:
        """Have time pass, where a test can do that."""
        if isinstance(self.clock, ManualClock):
            self.clock.advance(minutes=minutes)


@frozen
class LockerCall:
    """A public call of such a registry, by a name."""

    name: str
    make: Callable[[Lockers], Any]
    #: Whether it returns only once what it has changed is stored.
    acknowledges: bool = True


def _transact(w: Lockers) -> None:
    with w.registry.transaction() as transaction:
        transaction.give_back(w.rented)
        transaction.rent(w.new, 2, w.later())


def _close(w: Lockers) -> None:
    w.closing = True
    w.registry.close()


def _with(w: Lockers) -> None:
    w.closing = True
    with w.registry:
        pass


LOCKER_COMMANDS = [
    LockerCall("rent", lambda w: w.registry.rent(w.new, 3, w.later())),
    LockerCall("rent_in_use", lambda w: w.registry.rent(w.new, 2, w.later())),
    LockerCall("extend", lambda w: w.registry.extend(w.rented, w.later() + _MINUTE_MS)),
    LockerCall("give_back", lambda w: w.registry.give_back(w.rented)),
    LockerCall("close_all", lambda w: w.registry.close_all()),
    LockerCall("forget", lambda w: w.registry.forget(w.rented)),
    LockerCall("erase", lambda w: w.registry.erase(w.over)),
    LockerCall("transact", _transact),
    LockerCall("timers", lambda w: w.pass_time(2), acknowledges=False),
    LockerCall("close", _close),
    LockerCall("with", _with),
]
LOCKER_READS = [
    LockerCall("steps", lambda w: w.registry.steps(w.rented)),
    LockerCall("snapshot", lambda w: w.registry.snapshot(w.rented)),
    LockerCall("allowed", lambda w: w.registry.allowed(w.rented)),
    LockerCall("capture", lambda w: w.registry.capture()),
    LockerCall("watch", lambda w: w.registry.watch(w.rented)),
    LockerCall("by_locker", lambda w: w.registry.by_locker(2)),
    LockerCall("rentals", lambda w: w.registry.rentals(status=rental().RentalStatus.LATE)),
    LockerCall("time_goes_back", lambda w: w.clock.set_wall(1)),  # type: ignore[attr-defined]
]


def _shown(registry: Any) -> dict[Any, Any]:
    """Return every rental with its history."""
    return {each.id: (each, registry.steps(each.id)) for each in registry.rentals()}


def _check_lockers(w: Lockers, helper: Helper) -> None:
    registry = w.registry
    assert is_free(registry), "the lock is held"
    if not w.closing and _goes_on(w):
        _check_keys(registry)
        helper.ask(lambda: w.pass_time(10))
        _wait(lambda: not registry.rentals(status=rental().RentalStatus.RENTED))
        for shown, steps in _shown(registry).values():
            assert 1 <= len(steps) <= 3
            assert steps[-1].to_status is shown.status, f"{shown}: {steps}"
    helper.ask(registry.close)


def _goes_on(w: Lockers) -> bool:
    """Whether the registry is open; then the locker that is used for that is free again."""
    id = rental().RentalId.new()
    try:
        w.registry.rent(id, 9, w.later())
    except RegistryClosedError:
        return False
    w.registry.give_back(id)
    w.registry.erase(id)
    return True


def _sleeps(w: Lockers, alarm: Any) -> bool:
    """Whether the timers of the world have asked, and the thread waits for others."""
    is_late = w.registry.snapshot(w.late).status is rental().RentalStatus.LATE
    return is_late and alarm._sleeps_until_ms is not None


def _is_closed(w: Lockers) -> bool:
    return w.registry._engine.closed is not None


def _is_over(w: Lockers) -> bool:
    """Whether the new rental's timer has asked, or the registry is closed."""
    return _is_closed(w) or w.registry.snapshot(w.new).status is rental().RentalStatus.LATE


def _check_keys(registry: Any) -> None:
    """Each live rental is found by its locker, and every other locker can be rented."""
    live = [each for each in registry.rentals() if not each.status.terminal]
    assert len({each.locker for each in live}) == len(live), "two rentals have one locker"
    for each in live:
        assert registry.by_locker(each.locker) == each
    for locker in {1, 2, 3, 9} - {each.locker for each in live}:
        assert registry.by_locker(locker) is None
        id = rental().RentalId.new()
        registry.rent(id, locker, 0)
        registry.forget(id)


def _check_stored(w: Lockers, store: Store, *, whole: bool) -> None:
    """The next owner finds what was shown in the end, and with it the keys and histories."""
    registry = rental().RentalRegistry
    with registry(store=store, clock=ManualClock(w.clock.wall_ms())) as again:
        _check_keys(again)
        if whole:
            assert _shown(again) == _shown(w.registry)


def lockers(store: Store | None, clock: Clock) -> Lockers:
    """Make the world of one call."""
    return Lockers(rental().RentalRegistry(store=store, clock=clock), clock)


def renting(
    call: LockerCall, make: MakeStores | None, helper: Helper, injection: Injection
) -> None:
    """Interrupt a call in the caller's thread."""
    rental()
    store, again = (None, None) if make is None else make()
    w = lockers(store, ManualClock())
    interrupted(w, call, injection)
    _check_lockers(w, helper)
    if again is not None:
        _check_stored(w, again(), whole=True)


def renting_behind(
    call: LockerCall, make: MakeStores, helper: Helper, injection: Injection
) -> None:
    """Interrupt the committer's thread while it works for a call."""
    rental()
    store, again = make()
    with injection.possible("opslifecycle-rental"):
        w = lockers(store, ManualClock())
    returned = interrupted_behind(w, w.registry, call, injection, helper)
    _check_lockers(w, helper)
    whole = (returned and call.acknowledges) or injection.place is None
    _check_stored(w, again(), whole=whole)


def timing(make: MakeStores | None, helper: Helper, injection: Injection) -> None:
    """Interrupt the thread that asks for the actions of timers."""
    registry = rental().RentalRegistry
    store = None if make is None else make()[0]
    with injection.possible("opslifecycle-timers"):
        w = Lockers(registry(store=store), SYSTEM_CLOCK)
    alarm = w.registry._engine.effects.alarm
    _wait(partial(_sleeps, w, alarm))
    thread = alarm._thread
    with injection.in_thread(thread):
        soon = SYSTEM_CLOCK.wall_ms() + _SOON_MS
        helper.ask(partial(w.registry.rent, w.new, 3, soon))
        _wait(partial(_is_over, w))
    assert is_free(w.registry), "the lock is held"
    assert _goes_on(w) or make is None
    helper.ask(w.registry.close)
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive(), "the thread of the timers has not ended"


def _wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < until, "a timer was lost"
        time.sleep(0.0002)

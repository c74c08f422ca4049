"""What is looked at after an interrupt is worth looking at: mistakes of each kind are met."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import MemoryStore
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.listing import Listing
from opslifecycle.shell.mailbox import Mailbox, drain
from opslifecycle.shell.opening import Opening
from opslifecycle.shell.outbox import Outbox
from opslifecycle.shell.timers import Plan
from opslifecycle.stores.base import Commit
from opslifecycle.stores.sqlite.log_reader import LogReader
from opslifecycle.stores.sqlite.reader import StoreReader
from opslifecycle.sync.barriers import Barriers
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.sync.waking import wake_all
from opslifecycle.work.job import Job
from opslifecycle.work.jobs import Jobs
from opslifecycle.work.registering import Registering
from opslifecycle.work.tending import Tender

from tests.support.interrupts import (
    checking,
    effects,
    injecting,
    looping,
    renting,
    trying,
    trying_loops,
)
from tests.support.interrupts.checking import Helper
from tests.support.interrupts.examinations import examinations
from tests.support.interrupts.planning import Examiner, InterruptError
from tests.support.scale import share
from tests.support.warm import python

ROOT = Path(__file__).parents[2]


class _Kept(dict[str, LogReader]):
    """What nothing is taken out of."""

    def pop(self, name: str, default: Any = None) -> Any:
        return self.get(name, default)


_advance = StoreReader._advance


def a_lock_taken_before_the_try(patch: pytest.MonkeyPatch) -> None:
    """The lock is held for ever."""

    def hold(self: PublicationLock, work: Callable[..., Any], *arguments: Any) -> Any:
        self.mutex.acquire()
        try:
            return work(*arguments)
        finally:
            self.mutex.release()
            self.drain()

    patch.setattr(PublicationLock, "hold", hold)


def a_wake_up_struck_off_before_it_is_done(patch: pytest.MonkeyPatch) -> None:
    """Nobody wakes who waits."""

    def drain(self: PublicationLock) -> None:
        left = dict(self.left)
        self.left.clear()
        for work, locked in left.items():
            if locked:
                work()
        wake_all([work for work, locked in left.items() if not locked])

    patch.setattr(PublicationLock, "drain", drain)


def a_listing_that_is_kept_half_way(patch: pytest.MonkeyPatch) -> None:
    """Records are missing in listings."""

    def bring_up_to_date(self: Listing[Any, Any]) -> None:
        outdated = self._noted if self.is_built else dict.fromkeys(self._records)
        self._noted = {}
        self.is_built = True
        for id in outdated:
            self._update(id)

    patch.setattr(Listing, "_bring_up_to_date", bring_up_to_date)


def a_command_that_is_never_broken_off(patch: pytest.MonkeyPatch) -> None:
    """The registry goes on with half a command."""
    patch.setattr(Engine, "fail", lambda self: None)


def a_barrier_that_is_left_half_way(patch: pytest.MonkeyPatch) -> None:
    """Its key cannot be waited for again."""
    patch.setattr(Barriers, "_leave", lambda self, barrier: None)


def a_command_between_queue_and_list(patch: pytest.MonkeyPatch) -> None:
    """Its caller waits for ever."""

    def take(self: Mailbox, seconds: float | None) -> list[Any]:
        first = self._queue.get(True, seconds)
        self._taken.append(first)
        drain(self._queue, self._taken)
        return self._taken

    patch.setattr(Mailbox, "take", take)


def a_commit_made_half_way(patch: pytest.MonkeyPatch) -> None:
    """The store holds a part of a commit."""

    def append(self: MemoryStore, commit: Commit) -> None:
        self._make(commit)

    patch.setattr(MemoryStore, "append", append)


def an_opening_that_leaves_the_store_owned(patch: pytest.MonkeyPatch) -> None:
    """Nobody can open the store again."""
    patch.setattr(Opening, "give_up", lambda self, error, shell: None)


def a_delivery_that_is_not_begun_again(patch: pytest.MonkeyPatch) -> None:
    """Effects stay pending until the next process opens the store."""
    patch.setattr(Outbox, "_serve", Outbox._deliver)


def a_lane_that_is_not_made_anew(patch: pytest.MonkeyPatch) -> None:
    """A message that was taken holds up those of its record for ever."""
    patch.setattr(Outbox, "_queue_again", lambda self: None)


def a_timer_that_is_not_put_back(patch: pytest.MonkeyPatch) -> None:
    """Its record stays as it is."""
    patch.setattr(Plan, "put_back_taken", lambda self: None)


def a_reader_that_keeps_what_it_has_read_of_a_look(patch: pytest.MonkeyPatch) -> None:
    """It calls the store damaged."""

    def advance(self: StoreReader, database: Any, file: Any, name: str) -> Any:
        made = LogReader(str(self._path), name, self._schema)
        reader = self._readers.setdefault(name, made)
        real = self._readers
        self._readers = _Kept({name: reader})
        try:
            return _advance(self, database, file, name)
        finally:
            self._readers = real

    patch.setattr(StoreReader, "_advance", advance)


def a_callback_that_is_never_made_up_for(patch: pytest.MonkeyPatch) -> None:
    """The supervisor's block waits for a job whose end was never noted."""
    patch.setattr(Tender, "arm", lambda self: None)


def a_change_that_is_left_half_way(patch: pytest.MonkeyPatch) -> None:
    """A job is in no queue and has no task."""
    patch.setattr(Jobs, "_put_in_order", lambda self: None)


def a_registration_that_is_left(patch: pytest.MonkeyPatch) -> None:
    """A record is live for which nothing works."""

    async def take_back(self: Registering, job: Job) -> None:
        return

    patch.setattr(Registering, "_take_back", take_back)


def an_error_raised_with_the_lock_held(patch: pytest.MonkeyPatch) -> None:
    """An interrupt of the handler leaves the lock held."""

    def watch(self: Engine[Any, Any], id: Any, admit: Any, kind: Any) -> Any:
        def work() -> Any:
            rejection = admit(self.authority, id)
            if rejection is not None:
                raise rejection
            return self.effects.watchers.add(id, kind, self.lock)

        return self.lock.hold(work)

    patch.setattr(Engine, "watch", watch)


#: Mistakes that leave a loop hanging.
LOOPS: list[tuple[Callable[[pytest.MonkeyPatch], None], str, int]] = [
    (a_change_that_is_left_half_way, "alone async loop cancel_queued", 1),
    (a_callback_that_is_never_made_up_for, "alone async loop start", 1),
    (a_registration_that_is_left, "alone async loop start", 3),
]
#: Each mistake, and an examination that meets it, with how many bytecodes are left out.
PLANTED: list[tuple[Callable[[pytest.MonkeyPatch], None], str, int]] = [
    (a_lock_taken_before_the_try, "alone snapshot", 1),
    (a_wake_up_struck_off_before_it_is_done, "alone cancel_barrier", 1),
    (a_listing_that_is_kept_half_way, "alone list_terminal", 3),
    (a_command_that_is_never_broken_off, "alone terminate_owner", 7),
    (a_barrier_that_is_left_half_way, "alone wait_all", 3),
    (a_command_between_queue_and_list, "memory behind register", 1),
    (a_commit_made_half_way, "memory commit", 1),
    (an_opening_that_leaves_the_store_owned, "memory open new", 11),
    (a_delivery_that_is_not_begun_again, "alone delivery grant", 11),
    (a_lane_that_is_not_made_anew, "alone delivery grant", 11),
    (a_timer_that_is_not_put_back, "alone lockers timers", 11),
    (a_reader_that_keeps_what_it_has_read_of_a_look, "file reader refresh", 17),
    (an_error_raised_with_the_lock_held, "alone watch_unknown", 1),
]


def meet(plant: Callable[[pytest.MonkeyPatch], None], name: str, step: int, folder: Path) -> None:
    """Plant a mistake, and require that an examination meets it."""
    # Not another list, because what examinations compile is added to this one for good.
    injecting.OURS.append(__file__)
    try:
        with pytest.MonkeyPatch.context() as patch:
            # Half of the mistakes show by what never comes.
            for module in (checking, trying, effects, renting, looping, trying_loops):
                patch.setattr(module, "DEADLINE_SECONDS", 0.5)
            found = {each.name: each for each in examinations(folder, Helper())}
            plant(patch)
            with pytest.raises(InterruptError):
                Examiner(step).carry_out(found[name]).check()
    finally:
        injecting.OURS.remove(__file__)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("plant", "name", "step"), share(PLANTED, 4, id=lambda each: each[0].__name__)
)
def test_a_planted_mistake_is_met(
    plant: Callable[[pytest.MonkeyPatch], None], name: str, step: int, tmp_path: Path
) -> None:
    meet(plant, name, step, tmp_path)


@pytest.mark.parametrize(
    "place", share(range(len(LOOPS)), 1, id=lambda place: LOOPS[place][0].__name__)
)
def test_a_planted_mistake_in_a_loop_is_met(place: int, tmp_path: Path) -> None:
    # In a process of its own, because a loop that hangs would take a processor and gigabytes from
    # the tests after it.
    script = (
        "from pathlib import Path; from tests.interrupts import test_planted as planted;"
        f"planted.meet(*planted.LOOPS[{place}], Path({str(tmp_path)!r}))"
    )
    done = python("-c", script, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-2000:]

"""Every scenario under every schedule with two disturbances, and under more at random.

`make verify-all` goes to three. Each planted fault says how many disturbances it takes to be met,
and is not met by fewer: that shows that the schedules are looked through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opslifecycle.shell.commits import Committer
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.feed import CompletionFeed
from opslifecycle.shell.mailbox import Mailbox
from opslifecycle.shell.staging import Staging
from opslifecycle.sync.waits import Wait, ended

from tests.support.scale import whole_or
from tests.support.schedules import scenarios
from tests.support.schedules.exploring import Scenario, ScenarioError, explore, replay, sample
from tests.support.schedules.scheduling import Schedule, ScheduleError

DISTURBANCES, SEEDS = whole_or(2, 1), range(whole_or(100, 15))


@pytest.mark.parametrize("scenario", scenarios.SCENARIOS, ids=lambda each: each.__name__)
def test_every_schedule(scenario: Scenario) -> None:
    explored = explore(scenario, DISTURBANCES)
    assert explored.runs > whole_or(100, 5)
    assert explored.choices_max > 10
    assert sample(scenario, SEEDS).runs == len(SEEDS)


def an_await_that_does_not_look_again(patch: pytest.MonkeyPatch) -> None:
    """It ends between the first look and the place in the list of those to be woken."""

    def enlist(self: Wait[Any], waker: Any) -> bool:
        if self._cell.waiters is None:
            self._cell.waiters = {}
        self._cell.waiters[waker] = False
        return True

    patch.setattr(Wait, "_enlist", enlist)


def a_watch_admitted_outside_the_lock(patch: pytest.MonkeyPatch) -> None:
    """It ends between the look at the record and the place among the watchers."""

    def watch(self: Engine[Any, Any], id: Any, admit: Any, kind: Any) -> Any:
        rejection = admit(self.authority, id)
        if rejection is not None:
            raise rejection
        outcome = self.authority.records[id].terminal_outcome
        if outcome is not None:
            return ended(outcome, self.lock, kind)
        return self.lock.hold(self.effects.watchers.add, id, kind, self.lock)

    patch.setattr(Engine, "watch", watch)


def a_change_that_is_seen_before_it_is_kept(patch: pytest.MonkeyPatch) -> None:
    """A batch is decided on what everybody sees."""
    begin = Committer.__init__

    def init(self: Committer[Any, Any], *arguments: Any) -> None:
        begin(self, *arguments)
        self._engine.staging = Staging(lambda authority: authority, lambda authority, staged: None)

    patch.setattr(Committer, "__init__", init)


def a_feed_whose_waits_outlive_it(patch: pytest.MonkeyPatch) -> None:
    """A reader of the feed goes on waiting when the registry is closed."""
    patch.setattr(CompletionFeed, "close", lambda self: None)


def a_close_that_forgets_what_is_queued(patch: pytest.MonkeyPatch) -> None:
    """What is still queued when the registry is closed is answered by nobody."""
    patch.setattr(Mailbox, "_refuse", lambda self, rest, reason: None)


Fault = Callable[[pytest.MonkeyPatch], None]
#: Each fault, a scenario that meets it, and how many disturbances that takes.
FAULTS: list[tuple[Fault, Scenario, int]] = [
    (an_await_that_does_not_look_again, scenarios.a_watch_while_it_ends, 1),
    (a_watch_admitted_outside_the_lock, scenarios.a_watch_while_it_ends, 1),
    (a_change_that_is_seen_before_it_is_kept, scenarios.a_commit_that_fails, 0),
    (a_feed_whose_waits_outlive_it, scenarios.closing_while_all_wait, 0),
    (a_close_that_forgets_what_is_queued, scenarios.a_command_while_it_closes, 3),
]


@pytest.mark.parametrize(
    ("fault", "scenario", "disturbances"), FAULTS, ids=lambda each: getattr(each, "__name__", None)
)
def test_a_planted_fault_is_found_and_its_schedule_repeats_it(
    monkeypatch: pytest.MonkeyPatch, fault: Fault, scenario: Scenario, disturbances: int
) -> None:
    with monkeypatch.context() as patch:
        fault(patch)
        if disturbances:
            explore(scenario, disturbances - 1)
        with pytest.raises(ScenarioError) as found:
            explore(scenario, disturbances)
        assert f"again: replay({scenario.__name__}, {found.value.picks})" in str(found.value)
        with pytest.raises(ScenarioError):
            replay(scenario, found.value.picks)
    # The same schedule is harmless without the fault.
    replay(scenario, found.value.picks)


def test_time_passes_only_when_no_task_or_thread_can_go_on() -> None:
    schedule = Schedule()
    found: list[float] = []

    def work() -> None:
        schedule.block(lambda: False, 2.5)
        found.append(schedule.now)
        schedule.block(lambda: bool(found), 60.0)
        found.append(schedule.now)

    schedule.apply(work)
    assert found == [2.5, 2.5]


def test_who_waits_for_each_other_is_told() -> None:
    schedule = Schedule()

    def work() -> None:
        schedule.block(lambda: False)

    with pytest.raises(ScheduleError, match="nobody can go on: main"):
        schedule.apply(work)

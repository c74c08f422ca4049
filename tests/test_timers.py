"""Timers at run time: when they ask, in which order, and that nothing of them is lost."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
from opslifecycle import ManualClock, MemoryStore, PersistenceError, SqliteStore, Store
from opslifecycle.shell.alarm import Alarm
from opslifecycle.shell.timers import Dues, Plan
from opslifecycle.stores.base import Commit

from tests.support.codegen.projects import package
from tests.support.waiting import eventually, until

KETTLE = Path(__file__).parent / "codegen/kettle.yaml"
MINUTE_MS = 60_000
#: Nothing but its timer asks the kettle to keep warm; without one, a method has to.
WITH_METHOD = (
    "  keep_warm: {summary: Keep the water warm., from",
    "  keep_warm: {summary: Keep the water warm., methods: [keep_warm], from",
)
START_MS = 1_000_000_000


@pytest.fixture(scope="module")
def kettles(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return package(tmp_path_factory.mktemp("timers"), KETTLE, "kettle")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The same kettle with timers that a real clock reaches soon."""
    return package(
        tmp_path_factory.mktemp("quick"), KETTLE, "quick_kettle",
        ("{minutes: 3, do: keep_warm}", "{milliseconds: 20, do: keep_warm}"),
        ("{minutes: 30, seconds: 30, do: cool,", "{milliseconds: 30, do: cool,"),
    )  # fmt: skip


@pytest.fixture(params=["none", "memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store | None:
    stores = {"none": None, "memory": MemoryStore(), "sqlite": SqliteStore(tmp_path / "k.db")}
    return stores[request.param]


def bought(kettles: ModuleType, registry: Any) -> Any:
    id = kettles.KettleId.new()
    registry.buy(id)
    return id


def status(registry: Any, id: Any) -> str:
    return str(registry.snapshot(id).status.value)


def planned(registry: Any) -> int:
    """How many timers are in the plan, those that are cancelled included."""
    return len(registry._engine.effects.alarm._plan._heap)


class TestDues:
    def test_a_timer_asks_to_the_millisecond(self, kettles: ModuleType, store: Any) -> None:
        clock = ManualClock(START_MS)
        with kettles.KettleRegistry(clock=clock, store=store) as registry:
            id = bought(kettles, registry)
            registry.heat(id)
            clock.advance(minutes=3, milliseconds=-1)
            assert status(registry, id) == "heating"
            clock.advance(milliseconds=1)
            assert status(registry, id) == "warm"

    def test_one_timer_leads_to_the_next_at_its_own_time(
        self, kettles: ModuleType, store: Any
    ) -> None:
        clock = ManualClock(START_MS)
        with kettles.KettleRegistry(clock=clock, store=store) as registry:
            id = bought(kettles, registry)
            registry.heat(id)
            clock.advance(minutes=33, seconds=30, milliseconds=-1)
            assert status(registry, id) == "warm"
            clock.advance(milliseconds=1)
            assert status(registry, id) == "cold"
            assert registry.snapshot(id).why == "too long"

    def test_leaving_the_status_cancels_and_entering_begins_anew(
        self, kettles: ModuleType, store: Any
    ) -> None:
        clock = ManualClock(START_MS)
        with kettles.KettleRegistry(clock=clock, store=store) as registry:
            id = bought(kettles, registry)
            registry.heat(id)
            clock.advance(minutes=2)
            registry.cool(id, None)
            clock.advance(minutes=2)
            registry.heat(id)
            clock.advance(minutes=2)
            assert status(registry, id) == "heating"
            clock.advance(minutes=1)
            assert status(registry, id) == "warm"

    def test_what_changes_no_status_leaves_the_timer(self, kettles: ModuleType, store: Any) -> None:
        clock = ManualClock(START_MS)
        with kettles.KettleRegistry(clock=clock, store=store) as registry:
            id = bought(kettles, registry)
            registry.heat(id)
            clock.advance(minutes=2)
            registry.pour(id)
            clock.advance(minutes=1)
            assert status(registry, id) == "warm"

    def test_a_field_dates_moves_and_takes_back_a_timer(
        self, kettles: ModuleType, store: Any
    ) -> None:
        clock = ManualClock(START_MS)
        with kettles.KettleRegistry(clock=clock, store=store) as registry:
            id = bought(kettles, registry)
            registry.set_alarm(id, START_MS + 10 * MINUTE_MS)
            registry.set_alarm(id, START_MS + 20 * MINUTE_MS)
            clock.advance(minutes=19)
            assert registry.snapshot(id).rings == 0
            clock.advance(minutes=3)
            # It rings at 20, 21 and 22 minutes: each ring sets the next.
            assert registry.snapshot(id).rings == 3
            registry.set_alarm(id, None)
            clock.advance(hours=1)
            assert registry.snapshot(id).rings == 3
            registry.set_alarm(id, START_MS)
            clock.advance()
            assert registry.snapshot(id).rings == 4

    def test_records_that_are_gone_have_no_timers(self, kettles: ModuleType, store: Any) -> None:
        clock = ManualClock(START_MS)
        with kettles.KettleRegistry(clock=clock, store=store) as registry:
            back, worn, all = (bought(kettles, registry) for _ in range(3))
            for id in (back, worn, all):
                registry.heat(id)
            registry.give_back(back)
            registry.wear(worn)
            registry.wear_all()
            clock.advance(days=1)
            assert registry.snapshot(back) is None
            assert planned(registry) == 0

    def test_timers_of_many_records_ask_in_order(self, kettles: ModuleType, store: Any) -> None:
        clock = ManualClock(START_MS)
        with kettles.KettleRegistry(clock=clock, store=store) as registry:
            ids = [bought(kettles, registry) for _ in range(20)]
            times = list(range(20))
            random.Random(7).shuffle(times)
            for id, at in zip(ids, times, strict=True):
                registry.set_alarm(id, START_MS + 1000 + at)
            rung: list[int] = []
            for _ in range(20):
                clock.advance(milliseconds=1000 if not rung else 1)
                rung.append(sum(registry.snapshot(id).rings for id in ids))
            assert rung == list(range(1, 21))


class TestDatetimes:
    def test_a_deadline_can_be_a_datetime(self, tmp_path: Path) -> None:
        kettles = package(
            tmp_path, KETTLE, "dated_kettle",
            ("  alarm_ms: {type: int | None}", "  alarm_ms: {type: datetime | None}"),
            ("params: {at_ms: int | None}", "params: {at_ms: datetime | None}"),
            ("kettle.alarm_ms: now + 60000", "kettle.alarm_ms: None"),
            ("    params: {at_ms: [none, '1']}\n", ""),
        )  # fmt: skip
        store, clock = MemoryStore(), ManualClock(START_MS)
        due = datetime.fromtimestamp(START_MS // 1000 + 60, UTC) + timedelta(microseconds=1)
        with kettles.KettleRegistry(clock=clock, store=store) as registry:
            id = bought(kettles, registry)
            registry.set_alarm(id, due)
            clock.advance(minutes=1)
            # A timer is never early, not by a microsecond.
            assert registry.snapshot(id).rings == 0
        with kettles.KettleRegistry(clock=clock, store=store) as registry:
            clock.advance(milliseconds=1)
            assert registry.snapshot(id).rings == 1
            registry.set_alarm(id, None)
            clock.advance(days=1)
            assert registry.snapshot(id).rings == 1


class TestRejections:
    def test_the_guards_decide_and_it_is_tried_again(self, kettles: ModuleType, store: Any) -> None:
        clock = ManualClock(START_MS)
        with kettles.KettleRegistry(clock=clock, store=store) as registry:
            id = bought(kettles, registry)
            registry.heat(id)
            registry.lock(id)
            clock.advance(hours=1)
            assert status(registry, id) == "warm"
            registry.unlock(id)
            # The longest wait between two tries.
            clock.advance(minutes=5)
            assert status(registry, id) == "cold"

    def test_a_store_that_fails_for_a_while_loses_no_timer(self, kettles: ModuleType) -> None:
        class Failing(MemoryStore):
            fails = False

            def append(self, commit: Commit) -> None:
                if self.fails:
                    raise PersistenceError("commit", "no room")
                super().append(commit)

        clock, store = ManualClock(START_MS), Failing()
        with kettles.KettleRegistry(clock=clock, store=store) as registry:
            id = bought(kettles, registry)
            registry.heat(id)
            store.fails = True
            clock.advance(minutes=4)
            assert status(registry, id) == "heating"
            store.fails = False
            clock.advance(minutes=5)
            assert status(registry, id) == "warm"


class TestRestart:
    def test_late_timers_ask_at_once_in_order(self, kettles: ModuleType, tmp_path: Path) -> None:
        path, clock = tmp_path / "kettles.db", ManualClock(START_MS)
        with kettles.KettleRegistry(clock=clock, store=SqliteStore(path)) as registry:
            ids = [bought(kettles, registry) for _ in range(3)]
            for minutes, id in enumerate(ids):
                registry.set_alarm(id, START_MS + (10 - minutes) * MINUTE_MS)
            registry.heat(ids[0])
        clock.advance(days=1)
        noted: list[Any] = []
        with kettles.KettleRegistry(clock=clock, store=SqliteStore(path)) as registry:
            assert status(registry, ids[0]) == "warm"
            assert [registry.snapshot(id).rings for id in ids] == [1, 1, 1]
            noted = [registry.snapshot(id).alarm_ms for id in ids]
        # What they have set themselves counts from now.
        assert set(noted) == {START_MS + 86_400_000 + MINUTE_MS}

    def test_the_time_between_two_processes_counts(self, kettles: ModuleType) -> None:
        store = MemoryStore()
        with kettles.KettleRegistry(clock=ManualClock(START_MS), store=store) as registry:
            id = bought(kettles, registry)
            registry.heat(id)
        clock = ManualClock(START_MS + 2 * MINUTE_MS)
        with kettles.KettleRegistry(clock=clock, store=store) as registry:
            clock.advance(seconds=59)
            assert status(registry, id) == "heating"
            clock.advance(seconds=1)
            assert status(registry, id) == "warm"

    def test_a_status_that_no_version_has_dated_begins_at_the_opening(
        self, kettles: ModuleType, tmp_path: Path
    ) -> None:
        """Timers that are added to a machine find records that are in their status already."""
        dated = ("  heating: {minutes: 3, do: keep_warm}\n", "")
        warm = "  warm:\n    - {minutes: 30, seconds: 30, do: cool, with: {why: \"'too long'\"}}\n"
        old = package(tmp_path, KETTLE, "old_kettle", dated, (warm, ""), WITH_METHOD)
        store = MemoryStore()
        with old.KettleRegistry(store=store, clock=ManualClock(START_MS)) as registry:
            id = bought(old, registry)
            registry.heat(id)
        assert store._schema is not None
        store._schema = attrs.evolve(store._schema, machine="kettle")
        clock = ManualClock(START_MS + 86_400_000)
        id = kettles.KettleId(str(id))
        for _ in range(2):
            with kettles.KettleRegistry(store=store, clock=clock) as registry:
                clock.advance(minutes=1)
                assert status(registry, id) == "heating"
        with kettles.KettleRegistry(store=store, clock=clock) as registry:
            clock.advance(minutes=1)
            assert status(registry, id) == "warm"

    def test_a_restored_document_has_its_timers(self, kettles: ModuleType) -> None:
        with kettles.KettleRegistry(clock=ManualClock(START_MS)) as registry:
            id = bought(kettles, registry)
            registry.heat(id)
            document = registry.capture()
        with kettles.KettleRegistry.restore(document) as registry:
            # By the clock of the system, years have passed.
            until(lambda: status(registry, id) != "heating")


class TestThread:
    def test_one_thread_asks_for_all(self, quick: ModuleType, store: Any) -> None:
        with quick.KettleRegistry(store=store) as registry:
            ids = [bought(quick, registry) for _ in range(50)]
            for id in ids:
                registry.heat(id)
            until(lambda: all(registry.snapshot(id).why == "too long" for id in ids))
            names = [thread.name for thread in threading.enumerate()]
            assert names.count("opslifecycle-timers") == 1
        until(lambda: "opslifecycle-timers" not in [t.name for t in threading.enumerate()])

    def test_a_machine_that_sets_no_timer_has_no_thread(self, kettles: ModuleType) -> None:
        with kettles.KettleRegistry() as registry:
            bought(kettles, registry)
            assert registry._engine.effects.alarm._thread is None

    def test_an_earlier_timer_wakes_the_thread(self, kettles: ModuleType, store: Any) -> None:
        with kettles.KettleRegistry(store=store) as registry:
            late, soon = bought(kettles, registry), bought(kettles, registry)
            now_ms = time.time_ns() // 1_000_000
            registry.set_alarm(late, now_ms + 86_400_000)
            registry.set_alarm(soon, now_ms + 30)
            until(lambda: registry.snapshot(soon).rings == 1)

    @pytest.mark.parametrize("step", ["run_due", "_command", "_note_answers", "_sleep"])
    def test_an_interrupt_of_the_thread_loses_no_timer(
        self, quick: ModuleType, store: Any, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original, interrupts = getattr(Alarm, step), [MemoryError()]

        def interrupted(*arguments: Any) -> Any:
            if interrupts:
                raise interrupts.pop()
            return original(*arguments)

        with quick.KettleRegistry(store=store) as registry:
            monkeypatch.setattr(Alarm, step, interrupted)
            id = bought(quick, registry)
            registry.heat(id)
            until(lambda: registry.snapshot(id).why == "too long")
        assert not interrupts

    def test_a_limit_on_threads_delays_timers_and_closes_nothing(
        self, quick: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with quick.KettleRegistry() as registry:
            ids = [bought(quick, registry) for _ in range(2)]
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refused)
                registry.heat(ids[0])
            registry.heat(ids[1])
            until(lambda: all(registry.snapshot(id).why == "too long" for id in ids))

    def test_closing_does_not_wait_for_a_timer(self, kettles: ModuleType, store: Any) -> None:
        registry = kettles.KettleRegistry(store=store)
        registry.heat(bought(kettles, registry))
        alarm = registry._engine.effects.alarm
        registry.close()
        assert alarm._done.wait(10)

    def test_a_registry_that_is_dropped_ends_its_thread(self, kettles: ModuleType) -> None:
        registry = kettles.KettleRegistry()
        registry.heat(bought(kettles, registry))
        thread = registry._engine.effects.alarm._thread
        del registry
        thread.join(10)
        assert not thread.is_alive()

    def test_tasks_wait_for_what_a_timer_does(self, quick: ModuleType) -> None:
        async def work() -> Any:
            registry = await quick.AsyncKettleRegistry.open(store=MemoryStore())
            async with registry:
                id = quick.KettleId.new()
                await registry.buy(id)
                await registry.heat(id)
                await eventually(lambda: registry.snapshot(id).why is not None)
                return registry.snapshot(id).status.value

        assert asyncio.run(work()) == "cold"

    def test_a_watch_sees_the_end_that_a_timer_brings(self, tmp_path: Path) -> None:
        soon = ("{minutes: 3, do: keep_warm}", "{milliseconds: 20, do: wear}")
        kettles = package(tmp_path, KETTLE, "short_kettle", soon, WITH_METHOD)
        with kettles.KettleRegistry() as registry:
            id = bought(kettles, registry)
            watch = registry.watch(id)
            registry.heat(id)
            assert watch.result(10).value == "worn"


@attrs.define
class Dated:
    """A record of whatever has timers."""

    id: int
    dues: Dues


class TestPlan:
    def test_timers_come_out_in_order_whatever_was_cancelled(self) -> None:
        chance = random.Random(11)
        plan: Plan[int] = Plan(lambda record: record.dues)
        due: dict[int, int] = {}
        for _ in range(5_000):
            id = chance.randrange(300)
            action = chance.random()
            if action < 0.2:
                plan.cancel(Dated(id, ()))
                due.pop(id, None)
            else:
                due[id] = chance.randrange(10_000)
                plan.note(Dated(id, ((0, due[id]), (1, None))))
        assert len(plan._heap) <= 2 * len(due) + 65
        found = plan.take(10_000, 1_000)
        assert [each.due_ms for each in found] == sorted(due.values())
        assert {each.id: each.due_ms for each in found} == due
        assert plan.next_ms() is None

    def test_what_is_due_as_before_keeps_its_place(self) -> None:
        plan: Plan[int] = Plan(lambda record: record.dues)
        for id in (1, 2, 1):
            plan.note(Dated(id, ((0, 5),)))
        assert [each.id for each in plan.take(5, 10)] == [1, 2]

    def test_a_timer_that_is_cancelled_while_it_asks_is_not_put_back(self) -> None:
        plan: Plan[int] = Plan(lambda record: record.dues)
        plan.note(Dated(1, ((0, 5),)))
        (taken,) = plan.take(5, 10)
        plan.cancel(Dated(1, ()))
        plan.put_back(taken, 6)
        assert plan.next_ms() is None

    def test_a_step_costs_no_more_among_many(self) -> None:
        """Comparisons stand for time: a heap makes about two for each level."""
        compared = 0

        class Due(int):
            def __lt__(self, other: object) -> bool:
                nonlocal compared
                compared += 1
                return int.__lt__(self, other)  # type: ignore[operator]

        def cost(count: int) -> int:
            nonlocal compared
            plan: Plan[int] = Plan(lambda record: record.dues)
            chance = random.Random(3)
            for id in range(count):
                plan.note(Dated(id, ((0, Due(chance.randrange(10**9))),)))
            compared = 0
            for id in range(100):
                plan.note(Dated(count + id, ((0, Due(chance.randrange(10**9))),)))
                plan.take(0, 1)
            return compared

        assert cost(100_000) < 4 * cost(1_000) + 400

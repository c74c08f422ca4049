"""Clocks of a program's own: a reading that no registry can store is an error of the call."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opslifecycle import Clock, ClockError, ManualClock, MemoryStore, SqliteStore, Store

from tests.support.codegen.projects import package
from tests.support.waiting import until

KETTLE = Path(__file__).parent / "codegen/kettle.yaml"
START_NS = 1_800_000_000_000_000_000
END_MS = 253_402_300_799_999


@pytest.fixture(scope="module")
def kettles(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return package(tmp_path_factory.mktemp("clock"), KETTLE, "clock_kettle")


@pytest.fixture(params=["none", "memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store | None:
    stores = {"none": None, "memory": MemoryStore(), "sqlite": SqliteStore(tmp_path / "k.db")}
    return stores[request.param]


class Hands:
    """What the functions of a clock return or raise."""

    def __init__(self) -> None:
        self.wall: Any = START_NS
        self.monotonic: Any = 5_000_000_000
        self.clock = Clock(lambda: self._read(self.wall), lambda: self._read(self.monotonic))

    @staticmethod
    def _read(value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    def go_on(self, ms: int = 10) -> None:
        self.wall += ms * 1_000_000
        self.monotonic += ms * 1_000_000


def buy_and_heat(registry: Any, other: Any, id: Any) -> None:
    with registry.transaction() as both:
        both.buy(other)
        both.heat(id)


WRONG: dict[str, tuple[Any, str]] = {
    "a float": (1.5, "got 1.5"),
    "a flag": (True, "got True"),
    "nothing": (None, "got None"),
    "a text": ("5", "got '5'"),
    "too large": (2**90, f"got {2**90}"),
    "too small": (-(2**90), f"got -{2**90}"),
    "huge": (10**5000, "got one of more than 256 bits"),
    "an error": (ZeroDivisionError("no battery"), "raised ZeroDivisionError: no battery"),
}


@pytest.mark.parametrize("hand", ["wall", "monotonic"])
@pytest.mark.parametrize("wrong", WRONG)
class TestReadings:
    def test_a_clock_is_read_when_it_is_made(self, hand: str, wrong: str) -> None:
        value, why = WRONG[wrong]
        read = {f"{hand}_ns": lambda: Hands._read(value)}
        with pytest.raises(ClockError) as caught:
            Clock(**read)
        assert f"{hand}_ns" in caught.value.reason
        assert why in str(caught.value)
        assert pickle.loads(pickle.dumps(caught.value)) == caught.value

    def test_only_the_call_fails_and_nothing_has_changed(
        self, kettles: ModuleType, store: Any, hand: str, wrong: str
    ) -> None:
        value, why = WRONG[wrong]
        hands, id, other = Hands(), kettles.KettleId.new(), kettles.KettleId.new()
        with kettles.KettleRegistry(store=store, clock=hands.clock) as registry:
            registry.buy(id)
            hands.go_on()
            right = getattr(hands, hand)
            setattr(hands, hand, value)
            calls: list[Callable[[], object]] = [
                lambda: registry.buy(other),
                lambda: registry.heat(id),
                registry.wear_all,
                lambda: registry.give_back(id),
            ]
            for call in calls:
                # The direct executor reads the wall clock again when the other one has gone on.
                if hand == "wall":
                    hands.monotonic += 2_000_000
                with pytest.raises(ClockError, match=f"{hand}_ns") as caught:
                    call()
                assert why in str(caught.value)
            if hand == "wall":
                hands.monotonic += 2_000_000
            with pytest.raises(ClockError):
                buy_and_heat(registry, other, id)
            assert registry.snapshot(id).status.value == "cold"
            assert registry.snapshot(other) is None
            setattr(hands, hand, right)
            hands.go_on()
            registry.heat(id)
            registry.buy(other)
            assert registry.snapshot(id).status.value == "heating"
        if store is not None and not isinstance(store, MemoryStore):
            again = SqliteStore(store._path)
            with kettles.KettleRegistry(store=again, clock=hands.clock) as registry:
                assert registry.snapshot(id).status.value == "heating"


def test_a_monotonic_clock_that_falls_is_an_error(kettles: ModuleType, store: Any) -> None:
    hands, id = Hands(), kettles.KettleId.new()
    with kettles.KettleRegistry(store=store, clock=hands.clock) as registry:
        registry.buy(id)
        hands.monotonic -= 1_000
        with pytest.raises(ClockError, match=r"fell from 5000000000 to 4999999000"):
            registry.heat(id)
        hands.monotonic += 1_000
        registry.heat(id)
        assert registry.snapshot(id).status.value == "heating"


def test_a_wall_clock_that_is_set_back_is_none(kettles: ModuleType, store: Any) -> None:
    hands, id = Hands(), kettles.KettleId.new()
    with kettles.KettleRegistry(store=store, clock=hands.clock) as registry:
        registry.buy(id)
        hands.wall -= 3_600_000_000_000
        registry.heat(id)
        assert registry.snapshot(id).status.value == "heating"


def test_threads_that_read_one_clock_see_no_fall() -> None:
    clock = Clock(lambda: time.time_ns(), lambda: time.monotonic_ns())
    errors: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(5_000):
                clock.monotonic_ms()
        except ClockError as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []


def test_a_timer_of_a_clock_that_failed_runs_when_it_works(kettles: ModuleType, store: Any) -> None:
    hands, id = Hands(), kettles.KettleId.new()
    with kettles.KettleRegistry(store=store, clock=hands.clock) as registry:
        registry.buy(id)
        registry.set_alarm(id, START_NS // 1_000_000 + 50)
        right, hands.wall = hands.wall, 1.5
        time.sleep(0.2)
        hands.wall = right
        hands.go_on(60)
        until(lambda: registry.snapshot(id).rings == 1)


def test_no_time_of_a_registry_is_past_the_last_year(kettles: ModuleType, store: Any) -> None:
    clock, id = ManualClock(END_MS), kettles.KettleId.new()
    with kettles.KettleRegistry(store=store, clock=clock) as registry:
        registry.buy(id)
        # The time of a registry never falls, so it goes on from the last year.
        clock.set_wall(0)
        clock.advance(milliseconds=1)
        with pytest.raises(ClockError, match="past the year 9999"):
            registry.heat(id)
        assert registry.snapshot(id).status.value == "cold"


@pytest.mark.parametrize("name", ["wall_ms", "monotonic_ms", "wall_ns", "offset_ms"])
def test_no_class_overrides_what_a_registry_does_not_call(name: str) -> None:
    with pytest.raises(TypeError, match=f"cannot override {name} of Clock: pass functions"):
        type("Late", (Clock,), {name: lambda self: 1})


def test_functions_that_are_set_later_are_checked_too() -> None:
    clock = Clock()
    assert clock.wall_ns is time.time_ns
    with pytest.raises(ClockError, match=r"got 0\.5"):
        clock.monotonic_ns = lambda: 0.5  # type: ignore[return-value, assignment]
    assert clock.monotonic_ns is time.monotonic_ns


@pytest.mark.parametrize("reads", range(10))
def test_no_timer_is_lost_whenever_the_clock_fails(
    kettles: ModuleType, store: Any, reads: int
) -> None:
    clock, id, left = ManualClock(), kettles.KettleId.new(), 1_000_000
    right = clock.wall_ns

    def fails() -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError("no battery")
        return right()

    with kettles.KettleRegistry(store=store, clock=clock) as registry:
        registry.buy(id)
        registry.set_alarm(id, clock.wall_ms() + 5)
        clock.wall_ns = fails
        left = reads
        with suppress(ClockError):
            clock.advance(milliseconds=10)
        left = 1_000_000
        clock.advance(seconds=20)
        assert registry.snapshot(id).rings == 1

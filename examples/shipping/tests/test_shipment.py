"""Retries, choices and timeouts of shipments, on a clock that the tests move."""

from __future__ import annotations

import pytest
from opslifecycle import ManualClock, MemoryStore

from shipment import (
    NotNowError,
    Problem,
    ShipmentId,
    ShipmentRegistry,
    ShipmentSnapshot,
    ShipmentStatus,
)


def reserved(registry: ShipmentRegistry, grams: int) -> ShipmentId:
    """Order something that the warehouse has."""
    id = ShipmentId.new()
    registry.order(id, grams)
    registry.reserved(id)
    return id


def seen(registry: ShipmentRegistry, id: ShipmentId) -> ShipmentSnapshot:
    """Return a shipment that exists."""
    found = registry.snapshot(id)
    assert found is not None
    return found


def effects(registry: ShipmentRegistry) -> list[str]:
    """Return what the program has not done yet."""
    return [each.effect.value for each in registry.pending_effects()]


@pytest.mark.parametrize(
    ("grams", "task"), [(30_000, "book_carrier"), (30_001, "ask_for_freight")]
)
def test_what_is_heavy_goes_as_freight(grams: int, task: str) -> None:
    with ShipmentRegistry() as registry:
        reserved(registry, grams)
        assert effects(registry) == ["reserve_goods", task]


def test_each_retry_waits_twice_as_long_until_the_last() -> None:
    clock = ManualClock()
    with ShipmentRegistry(clock=clock, attempts_max=3) as registry:
        id = reserved(registry, 1)
        for seconds in (2, 4):
            registry.booking_failed(id)
            clock.advance(seconds=seconds, milliseconds=-1)
            assert seen(registry, id).status is ShipmentStatus.BACKING_OFF
            clock.advance(milliseconds=1)
            assert seen(registry, id).status is ShipmentStatus.BOOKING
        registry.booking_failed(id)
        found = seen(registry, id)
        assert (found.status, found.problem) == (
            ShipmentStatus.FAILED,
            Problem.NO_CARRIER,
        )
        assert effects(registry) == [
            "reserve_goods", *["book_carrier"] * 3, "release_goods"
        ]  # fmt: skip


def test_a_retry_that_is_late_is_made_when_the_store_is_opened() -> None:
    clock, store = ManualClock(), MemoryStore()
    with ShipmentRegistry(store=store, clock=clock) as registry:
        id = reserved(registry, 1)
        registry.booking_failed(id)
    clock.advance(minutes=1)
    with ShipmentRegistry(store=store, clock=clock) as registry:
        assert seen(registry, id).status is ShipmentStatus.BOOKING
        registry.booked(id)
        clock.advance(days=14)
        assert seen(registry, id).problem is Problem.LOST


@pytest.mark.parametrize(
    ("accepted", "status"),
    [(True, ShipmentStatus.ON_THE_WAY), (False, ShipmentStatus.FAILED)],
)
def test_the_carrier_of_freight_decides(accepted: bool, status: ShipmentStatus) -> None:
    with ShipmentRegistry() as registry:
        id = reserved(registry, 90_000)
        registry.answer(id, accepted)
        assert seen(registry, id).status is status


def test_an_answer_that_comes_too_late_is_refused() -> None:
    clock = ManualClock()
    with ShipmentRegistry(clock=clock) as registry:
        id = reserved(registry, 90_000)
        clock.advance(days=2)
        assert seen(registry, id).problem is Problem.UNANSWERED
        with pytest.raises(NotNowError, match="is failed: it cannot answer"):
            registry.answer(id, True)
        assert registry.broken_invariants() == []

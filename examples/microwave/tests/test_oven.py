"""Ovens: two regions that change one by one; tests decide what time it is."""

from __future__ import annotations

import pytest
from opslifecycle import ManualClock, MemoryStore

from oven import (
    NotNowError,
    OvenDoor,
    OvenEngine,
    OvenId,
    OvenRegistry,
    OvenStatus,
)

MINUTE_MS = 60_000


def installed(kitchen: OvenRegistry) -> OvenId:
    """Put up an oven."""
    id = OvenId.new()
    kitchen.install(id)
    return id


def status(kitchen: OvenRegistry, id: OvenId) -> OvenStatus:
    """Return the status of an oven."""
    found = kitchen.snapshot(id)
    assert found is not None
    return found.status


def effects(kitchen: OvenRegistry) -> list[str]:
    """Return the effects so far that are still to be delivered."""
    return [message.effect.value for message in kitchen.pending_effects()]


def test_an_action_keeps_the_other_region() -> None:
    with OvenRegistry(clock=ManualClock()) as kitchen:
        id = installed(kitchen)
        kitchen.open_door(id)
        assert status(kitchen, id) is OvenStatus.OPENED_RESTING
        kitchen.cook(id, MINUTE_MS)
        assert status(kitchen, id) is OvenStatus.OPENED_WAITING
        assert status(kitchen, id).door is OvenDoor.OPENED
        assert status(kitchen, id).engine is OvenEngine.WAITING
        kitchen.cancel(id)
        assert status(kitchen, id) is OvenStatus.OPENED_RESTING


def test_an_open_door_interrupts_and_the_rest_is_cooked_later() -> None:
    clock = ManualClock()
    with OvenRegistry(clock=clock) as kitchen:
        id = installed(kitchen)
        kitchen.cook(id, 3 * MINUTE_MS)
        clock.advance(minutes=1)
        kitchen.open_door(id)
        assert status(kitchen, id) is OvenStatus.OPENED_WAITING
        clock.advance(hours=1)
        assert status(kitchen, id) is OvenStatus.OPENED_WAITING
        watch = kitchen.watch(id)
        kitchen.close_door(id)
        clock.advance(minutes=2, milliseconds=-1)
        assert status(kitchen, id) is OvenStatus.CLOSED_COOKING
        clock.advance(milliseconds=1)
        assert watch.result(0) is OvenStatus.CLOSED_READY


def test_the_reminder_counts_from_the_door_and_not_from_the_engine() -> None:
    clock = ManualClock()
    with OvenRegistry(clock=clock) as kitchen:
        id = installed(kitchen)
        kitchen.open_door(id)
        clock.advance(minutes=1, seconds=59)
        kitchen.cook(id, MINUTE_MS)
        assert effects(kitchen) == []
        clock.advance(seconds=1)
        assert effects(kitchen) == ["beep"]
        clock.advance(minutes=2)
        assert effects(kitchen) == ["beep", "beep"]


def test_the_lamp_follows_the_engine_and_not_the_door() -> None:
    with OvenRegistry(clock=ManualClock()) as kitchen:
        id = installed(kitchen)
        kitchen.open_door(id)
        kitchen.close_door(id)
        assert effects(kitchen) == []
        kitchen.cook(id, MINUTE_MS)
        kitchen.open_door(id)
        kitchen.close_door(id)
        kitchen.cancel(id)
        assert effects(kitchen) == ["lamp_on", "lamp_off"] * 2


def test_an_oven_at_rest_is_scrapped_and_leaves_its_regions() -> None:
    with OvenRegistry(clock=ManualClock()) as kitchen:
        id = installed(kitchen)
        kitchen.cook(id, MINUTE_MS)
        with pytest.raises(NotNowError, match="closed_cooking: it cannot scrap"):
            kitchen.scrap(id)
        kitchen.cancel(id)
        kitchen.scrap(id)
        assert status(kitchen, id).engine is OvenEngine.OUTSIDE


def test_listings_filter_by_region() -> None:
    with OvenRegistry(clock=ManualClock()) as kitchen:
        first, second = installed(kitchen), installed(kitchen)
        kitchen.cook(first, MINUTE_MS)
        kitchen.open_door(second)
        assert [each.id for each in kitchen.ovens(engine=OvenEngine.COOKING)] == [first]
        assert [each.id for each in kitchen.ovens(door=OvenDoor.OPENED)] == [second]
        assert not kitchen.ovens(door=OvenDoor.OPENED, engine=OvenEngine.COOKING)


def test_a_kitchen_opens_again_and_has_the_meal_ready() -> None:
    clock, store = ManualClock(), MemoryStore()
    with OvenRegistry(clock=clock, store=store) as kitchen:
        id, other = installed(kitchen), installed(kitchen)
        kitchen.cook(id, MINUTE_MS)
        kitchen.cook(other, MINUTE_MS)
        kitchen.open_door(other)
    clock.advance(hours=1)
    with OvenRegistry(clock=clock, store=store) as kitchen:
        assert status(kitchen, id) is OvenStatus.CLOSED_READY
        assert status(kitchen, other) is OvenStatus.OPENED_WAITING

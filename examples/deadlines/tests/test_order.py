"""The deadlines of orders, to the millisecond: tests decide what time it is."""

from __future__ import annotations

import pytest
from opslifecycle import ManualClock, MemoryStore

from order import NotNowError, OrderId, OrderRegistry, OrderStatus, TooLateError

DAY_MS = 86_400_000


def placed(shop: OrderRegistry) -> OrderId:
    """Place an order that gets its reminder after a day and expires after a week."""
    id = OrderId.new()
    shop.place(id, 100, 7 * DAY_MS, DAY_MS)
    return id


def status(shop: OrderRegistry, id: OrderId) -> OrderStatus:
    """Return the status of an order."""
    found = shop.snapshot(id)
    assert found is not None
    return found.status


def test_who_does_not_pay_gets_one_reminder_and_then_nothing() -> None:
    clock = ManualClock()
    with OrderRegistry(clock=clock) as shop:
        id = placed(shop)
        clock.advance(hours=23)
        assert not shop.pending_effects()
        clock.advance(hours=1)
        (reminder,) = shop.pending_effects()
        assert reminder.effect.value == "send_reminder"
        clock.advance(days=6, milliseconds=-1)
        assert status(shop, id) is OrderStatus.PLACED
        clock.advance(milliseconds=1)
        assert status(shop, id) is OrderStatus.EXPIRED
        with pytest.raises(NotNowError):
            shop.pay(id)


def test_more_time_moves_the_deadline() -> None:
    clock = ManualClock()
    with OrderRegistry(clock=clock) as shop:
        id = placed(shop)
        shop.extend(id, 7 * DAY_MS)
        clock.advance(days=13)
        shop.pay(id)
        assert status(shop, id) is OrderStatus.PAID


def test_at_the_deadline_it_is_too_late() -> None:
    clock = ManualClock()
    with OrderRegistry(clock=clock) as shop:
        id = placed(shop)
        watch = shop.watch(id)
        clock.advance(days=7)
        assert watch.result(0) is OrderStatus.EXPIRED
        late = OrderId.new()
        shop.place(late, 1, 0, DAY_MS)
        with pytest.raises(TooLateError):
            shop.pay(late)


def test_the_shop_opens_again_and_does_what_is_late() -> None:
    clock, store = ManualClock(), MemoryStore()
    with OrderRegistry(clock=clock, store=store) as shop:
        id, other = placed(shop), placed(shop)
        shop.pay(other)
        shop.ship(other)
    clock.advance(days=20)
    with OrderRegistry(clock=clock, store=store) as shop:
        assert status(shop, id) is OrderStatus.EXPIRED
        assert status(shop, other) is OrderStatus.COMPLETED
        late = [each.action.value for each in shop.changes().list_since(4).entries]
        assert late == ["remind", "expire", "complete"]

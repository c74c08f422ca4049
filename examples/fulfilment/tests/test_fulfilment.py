"""What orders go through."""

from __future__ import annotations

import pytest

from fulfilment import FulfilmentRegistry, OrderId, OrderStatus, WrongStageError

STRAIGHT = [
    "place",
    "screen",
    "accept",
    "invoice",
    "pay",
    "allocate",
    "start_picking",
    "finish_picking",
    "start_packing",
    "close_parcel",
    "label",
    "stage",
    "hand_over",
    "depart",
    "arrive",
    "load",
    "deliver",
]


def test_the_straight_way() -> None:
    with FulfilmentRegistry() as warehouse:
        id = OrderId.new()
        warehouse.begin(id, "Ada")
        watch = warehouse.watch(id)
        with pytest.raises(WrongStageError, match="is drafted: it cannot deliver"):
            warehouse.deliver(id)
        for action in STRAIGHT:
            getattr(warehouse, action)(id)
        assert watch.result(0) is OrderStatus.DELIVERED
        snapshot = warehouse.snapshot(id)
        assert snapshot is not None
        assert snapshot.changes == len(STRAIGHT)
        assert snapshot.placed_at_ms is not None
        assert warehouse.broken_invariants() == []

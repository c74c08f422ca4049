"""Orders on random walks through the warehouse, kept in a file.

    python warehouse.py [FILE] [ORDERS]

Each order takes whatever is allowed next, until it ends or the steps are used up; the next run goes
on where this one ended.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

from opslifecycle import SqliteStore

from fulfilment import FulfilmentRegistry, OrderId, OrderSnapshot

STEPS_MAX = 12


def advance(
    warehouse: FulfilmentRegistry, order: OrderSnapshot, chance: random.Random
) -> None:
    """Take an order some steps further."""
    for _ in range(STEPS_MAX):
        allowed = [each.action for each in warehouse.allowed(order.id) if each.allowed]
        if not allowed:
            return
        action = chance.choice(allowed)
        if action == "annotate":
            warehouse.annotate(order.id, "all is well")
        else:
            getattr(warehouse, action)(order.id)


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "warehouse.db")
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    chance = random.Random(7)
    store = SqliteStore(path, durability="process")
    with FulfilmentRegistry(store=store) as warehouse:
        if not warehouse.orders():
            for number in range(count):
                warehouse.begin(OrderId.new(), f"customer {number:03}")
        for order in warehouse.orders(ended=False):
            advance(warehouse, order, chance)
        found = Counter(order.status.value for order in warehouse.orders())
        for status, orders in sorted(found.items()):
            print(f"{status}: {orders}")
        assert warehouse.broken_invariants() == []
        print(f"{found.total()} orders, none lost on the way")


if __name__ == "__main__":
    main()

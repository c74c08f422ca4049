"""A shop whose process is killed while orders wait: the next process does what is late, in order.

python shop.py [FILE]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

from opslifecycle import SqliteStore

from order import (
    OrderAction,
    OrderChange,
    OrderId,
    OrderOutboxMessage,
    OrderRegistry,
    OrderStatus,
)

#: What each order costs, and after how many milliseconds it gets a reminder and expires.
ORDERS = ((10, 100, 300), (20, 150, 400), (30, 60_000, 120_000))


def tell(message: OrderOutboxMessage) -> None:
    """Apply an effect: a real shop would send an e-mail here."""


def sell(path: Path) -> None:
    """Take orders, have the last one paid, and wait to be killed."""
    shop = OrderRegistry(store=SqliteStore(path), on_effect=tell)
    for total, remind_after_ms, pay_within_ms in ORDERS:
        id = OrderId.new()
        shop.place(id, total, pay_within_ms, remind_after_ms)
    shop.pay(id)
    print("open", flush=True)
    sys.stdin.read()


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "shop.db")
    seller = subprocess.Popen(
        [sys.executable, __file__, str(path), "sell"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert seller.stdout is not None
    assert seller.stdout.readline() == b"open\n"
    seller.kill()
    seller.communicate()
    with OrderRegistry(store=SqliteStore(path), on_effect=tell) as shop:
        for order in shop.orders(status=OrderStatus.PLACED):
            assert shop.watch(order.id).result(30) is OrderStatus.EXPIRED
        totals = {order.id: order.total for order in shop.orders()}
        by_timers = (OrderAction.REMIND, OrderAction.EXPIRE)
        late = [each for each in changes(shop) if each.action in by_timers]
        for change in late[-4:]:
            print(f"order of {totals[change.order_id]}: {change.action.value}")
        paid = shop.orders(status=OrderStatus.PAID)
        print(f"{len(paid)} paid, and none forgotten")


def changes(shop: OrderRegistry) -> tuple[OrderChange, ...]:
    """Return everything that has happened in the shop."""
    return shop.changes().list_since(0).entries


if __name__ == "__main__":
    if sys.argv[2:] == ["sell"]:
        sell(Path(sys.argv[1]))
    else:
        main()

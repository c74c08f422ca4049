"""A dock whose process is killed between two attempts: its successor makes the next one.

python dock.py [FILE]
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from queue import Queue

sys.path.insert(0, str(Path(__file__).parent / "src"))

from opslifecycle import ManualClock, SqliteStore

from shipment import (
    NotNowError,
    ShipmentEffect,
    ShipmentId,
    ShipmentOutboxMessage,
    ShipmentRegistry,
    ShipmentSnapshot,
    ShipmentStatus,
)

DAY_MS = 86_400_000
#: The first day of the first run: 15 January 2027.
START_MS = 1_800_000_000_000


class Dock:
    """Carries out the tasks of shipments, and reports how each went."""

    def __init__(
        self, path: Path, clock: ManualClock, *, carrier_answers: bool
    ) -> None:
        self._carrier_answers = carrier_answers
        self._opened: Future[ShipmentRegistry] = Future()
        self._done: Queue[ShipmentEffect] = Queue()
        store = SqliteStore(path)
        self.registry = ShipmentRegistry(store=store, on_effect=self._work, clock=clock)
        self._opened.set_result(self.registry)

    def wait_for(self, *effects: ShipmentEffect) -> None:
        """Wait until each of these tasks was reported; others may be repeated meanwhile."""
        missing = Counter(effects)
        while missing:
            missing -= Counter([self._done.get(timeout=30)])

    def _work(self, message: ShipmentOutboxMessage) -> None:
        id, registry = message.snapshot.id, self._opened.result(timeout=30)
        try:
            if message.effect is ShipmentEffect.RESERVE_GOODS:
                registry.reserved(id)
            elif message.effect is ShipmentEffect.BOOK_CARRIER:
                if self._carrier_answers:
                    registry.booked(id)
                else:
                    registry.booking_failed(id)
        except NotNowError:
            pass  # The message comes again, because a crash followed the report.
        self._done.put(message.effect)


def load(path: Path, wall_ms: int) -> None:
    """Order a parcel and a crate, have two bookings fail, and wait to be killed."""
    clock = ManualClock(wall_ms)
    dock = Dock(path, clock, carrier_answers=False)
    parcel, crate = ShipmentId.new(), ShipmentId.new()
    dock.registry.order(parcel, grams=800)
    dock.wait_for(ShipmentEffect.RESERVE_GOODS, ShipmentEffect.BOOK_CARRIER)
    dock.registry.order(crate, grams=90_000)
    dock.wait_for(ShipmentEffect.RESERVE_GOODS, ShipmentEffect.ASK_FOR_FREIGHT)
    clock.advance(seconds=2)
    dock.wait_for(ShipmentEffect.BOOK_CARRIER)
    print(parcel, crate, flush=True)
    sys.stdin.read()


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "dock.db")
    started_ms = next_day_ms(path)
    first = subprocess.Popen(
        [sys.executable, __file__, str(path), "load", str(started_ms)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout is not None
    parcel, crate = map(ShipmentId, first.stdout.readline().split())
    first.kill()
    first.communicate()

    # A minute later, another process opens the same file, and the third attempt is late.
    clock = ManualClock(started_ms + 60_000)
    dock = Dock(path, clock, carrier_answers=True)
    with dock.registry as registry:
        dock.wait_for(ShipmentEffect.BOOK_CARRIER)
        tell("parcel", seen(registry, parcel))
        registry.deliver(parcel)
        tell("parcel", seen(registry, parcel))
        clock.advance(days=2)
        dock.wait_for(ShipmentEffect.RELEASE_GOODS)
        tell("crate", seen(registry, crate))
        assert registry.watch(crate).result(0) is ShipmentStatus.FAILED
        assert registry.broken_invariants() == []


def tell(name: str, shipment: ShipmentSnapshot) -> None:
    """Print how a shipment is."""
    failures, problem = shipment.attempts, shipment.problem.value
    print(
        f"{name}: {shipment.status.value}, {failures} failed bookings, problem: {problem}"
    )


def seen(registry: ShipmentRegistry, id: ShipmentId) -> ShipmentSnapshot:
    """Return a shipment that exists."""
    found = registry.snapshot(id)
    assert found is not None
    return found


def next_day_ms(path: Path) -> int:
    """Return a time on the day after everything that the file knows."""
    store, clock = SqliteStore(path), ManualClock(START_MS)
    with ShipmentRegistry(store=store, clock=clock) as registry:
        changes = registry.changes().list_since(0).entries
        return max((each.at_ms for each in changes), default=START_MS) + DAY_MS


if __name__ == "__main__":
    if sys.argv[2:3] == ["load"]:
        load(Path(sys.argv[1]), int(sys.argv[3]))
    else:
        main()

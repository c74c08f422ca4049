"""A till that takes payments and keeps them in a file; what it earned is there in the next run.

python till.py [FILE]
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

from opslifecycle import InvalidValueError, OutOfRangeError, SqliteStore

from payment import (
    CaptureTooLargeError,
    PaymentId,
    PaymentRegistry,
    PaymentStatus,
)


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "till.db")
    now = datetime.now(UTC)
    with PaymentRegistry(store=SqliteStore(path)) as till:
        for amount in (50, 2_000):
            id = PaymentId.new()
            till.describe(id, amount, "eur", now + timedelta(minutes=15), "Two tickets")
            till.confirm(id, now)
            try:
                till.capture(id, amount + 1, now, last=False)
            except CaptureTooLargeError as error:
                print(f"refused: {error}")
            watch = till.watch(id)
            if amount >= 100:
                till.capture(id, amount - 50, now, last=False)
            status = till.capture(id, 50, now, last=False)
            # All of it was captured, so it has succeeded; it may be refunded later.
            assert status is watch.result(timeout=5) is PaymentStatus.SUCCEEDED
        till.refund(id, 500)
        try:
            till.request(PaymentId.new(), 49, "eur", now)
        except InvalidValueError as error:
            print(f"refused: {error}")
        late = PaymentId.new()
        till.request(late, 99_999_999, "usd", datetime.max.replace(tzinfo=UTC))
        try:
            till.prolong(late, timedelta(microseconds=1))
        except OutOfRangeError as error:
            print(f"refused: {error}")
        till.cancel(late)
        done = till.payments(status=PaymentStatus.SUCCEEDED)
        earned = sum(payment.earned for payment in done)
        print(f"{len(done)} payments, each at most as large as agreed")
        print(f"{earned / 100:.2f} earned, {earned / len(done) / 100:.2f} each")
        forgotten = PaymentId.new()
        till.request(
            forgotten, 1_000, "eur", datetime.now(UTC) + timedelta(milliseconds=50)
        )
    time.sleep(0.1)
    # Its time was up while no till was open: the next one cancels it.
    with PaymentRegistry(store=SqliteStore(path)) as till:
        print(f"not confirmed in time: {till.watch(forgotten).result(timeout=5).value}")


if __name__ == "__main__":
    main()

"""What payments go through, and which values they refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from opslifecycle import (
    InvalidValueError,
    ManualClock,
    OutOfRangeError,
    SqliteStore,
    Store,
)

from payment import (
    CaptureTooLargeError,
    PaymentExpiredError,
    PaymentId,
    PaymentRegistry,
    PaymentStateError,
    PaymentStatus,
    RefundTooLargeError,
)

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


def opened(
    store: Store | None = None, clock: ManualClock | None = None
) -> PaymentRegistry:
    """Open a till an hour before noon, or by a clock."""
    clock = clock or ManualClock(round(NOON.timestamp() - 3600) * 1000)
    return PaymentRegistry(store=store, clock=clock)


@pytest.mark.parametrize(
    ("amount", "currency", "description"),
    [
        (49, "eur", None),
        (100_000_000, "eur", None),
        (50.0, "eur", None),
        (50, "EUR", None),
        (50, "euro", None),
        (50, "eur", "x" * 81),
    ],
)
def test_what_is_no_amount_currency_or_description_is_refused(
    amount: int, currency: str, description: str | None
) -> None:
    with opened() as till:
        with pytest.raises(InvalidValueError):
            till.describe(PaymentId.new(), amount, currency, NOON, description)
        assert till.payments() == []


def test_ids_are_those_of_payments() -> None:
    assert str(PaymentId.new()).startswith("pi_")
    assert str(PaymentId("pi_3MtwBwLkdIwHu7ix")) == "pi_3MtwBwLkdIwHu7ix"
    with pytest.raises(InvalidValueError):
        PaymentId("ch_3MtwBwLkdIwHu7ix")


def test_a_small_payment_costs_more_than_it_earns() -> None:
    with opened() as till:
        id = PaymentId.new()
        till.request(id, 1_000, "eur", NOON)
        till.confirm(id, NOON - timedelta(microseconds=1))
        with pytest.raises(
            CaptureTooLargeError, match="1001 is more than what is left of the 1000"
        ):
            till.capture(id, 1_001, NOON, last=False)
        till.capture(id, 50, NOON, last=True)
        payment = till.snapshot(id)
        assert payment is not None
        assert (payment.captured, payment.earned) == (50, 50 - 1 - 30)
        assert payment.status is PaymentStatus.SUCCEEDED
        assert payment.ended is None


def test_a_payment_is_captured_and_refunded_in_parts() -> None:
    with opened() as till:
        id = PaymentId.new()
        till.request(id, 1_000, "eur", NOON)
        till.confirm(id, NOON - _SECOND)
        watch = till.watch(id)
        till.capture(id, 400, NOON, last=False)
        assert _status(till, id) is PaymentStatus.REQUIRES_CAPTURE
        till.capture(id, 600, NOON, last=False)
        assert watch.result(timeout=5) is PaymentStatus.SUCCEEDED
        till.refund(id, 300)
        assert _status(till, id) is PaymentStatus.SUCCEEDED
        with pytest.raises(RefundTooLargeError, match="701"):
            till.refund(id, 701)
        till.refund(id, 700)
        payment = till.snapshot(id)
        assert payment is not None
        assert payment.status is PaymentStatus.REFUNDED
        assert (payment.captured, payment.refunded) == (1_000, 1_000)
        # The fees of both captures are lost.
        assert payment.earned == -(11 + 30) - (17 + 30)
        assert payment.ended is not None
        with pytest.raises(PaymentStateError):
            till.refund(id, 50)


def _status(till: PaymentRegistry, id: PaymentId) -> PaymentStatus:
    payment = till.snapshot(id)
    assert payment is not None
    return payment.status


def test_a_payment_expires_and_is_prolonged() -> None:
    with opened() as till:
        id = PaymentId.new()
        till.request(id, 1_000, "eur", NOON)
        with pytest.raises(PaymentExpiredError):
            till.confirm(id, NOON)
        till.prolong(id, timedelta(hours=1))
        till.confirm(id, NOON)
        payment = till.snapshot(id)
        assert payment is not None
        assert payment.expires == NOON + timedelta(days=7)
        with pytest.raises(OutOfRangeError, match="outside the years 1 to 9999"):
            till.confirm(_prolonged(till), datetime.max.replace(tzinfo=UTC) - _SECOND)


def _prolonged(till: PaymentRegistry) -> PaymentId:
    """Return a payment that may be confirmed until the last time that there is."""
    id = PaymentId.new()
    till.request(id, 50, "eur", datetime.max.replace(tzinfo=UTC))
    return id


def test_what_is_not_captured_in_time_is_canceled(tmp_path: Path) -> None:
    clock = ManualClock(round(NOON.timestamp()) * 1000)
    ids = [PaymentId.new() for _ in range(3)]
    with opened(SqliteStore(tmp_path / "till.db"), clock) as till:
        for id in ids:
            till.request(id, 1_000, "eur", NOON + timedelta(minutes=15))
        for id in ids[1:]:
            till.confirm(id, NOON)
        till.capture(ids[2], 50, NOON, last=True)
        clock.advance(minutes=15)
        assert _status(till, ids[0]) is PaymentStatus.CANCELED
        assert _status(till, ids[1]) is PaymentStatus.REQUIRES_CAPTURE
    # No till is open when the bank's week is over.
    clock.advance(days=8)
    with opened(SqliteStore(tmp_path / "till.db"), clock) as till:
        assert _status(till, ids[1]) is PaymentStatus.CANCELED
        assert _status(till, ids[2]) is PaymentStatus.SUCCEEDED


def test_everything_is_stored(tmp_path: Path) -> None:
    id, path = PaymentId.new(), tmp_path / "till.db"
    with opened(SqliteStore(path)) as till:
        till.describe(id, 99_999_999, "usd", NOON, 'A "quoted" thing')
        till.confirm(id, NOON - _SECOND)
        till.capture(id, 60, NOON, last=False)
        before = till.snapshot(id)
    with opened(SqliteStore(path)) as till:
        assert till.snapshot(id) == before

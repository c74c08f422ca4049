"""Identifiers: made bit by bit as RFC 9562 says, rising, and never mistaken for another type."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from opslifecycle import OperationId, SessionId
from opslifecycle.values import identifiers
from opslifecycle.values.identifiers import _Uuid7Maker


class Still:
    """A clock that stands where it is put."""

    now_ms = 0x0123456789AB

    def wall_ms(self) -> int:
        return self.now_ms


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Still:
    """The time, and ones for whatever is random."""
    still = Still()
    monkeypatch.setattr(identifiers, "SYSTEM_CLOCK", still)
    monkeypatch.setattr("os.urandom", lambda size: b"\xff" * size)
    return still


class TestMaking:
    def test_every_bit_has_its_place(self, clock: Still) -> None:
        maker = _Uuid7Maker()
        # A counter of 74 bits whose first is clear, then one more and 32 random bits.
        assert maker.make() == "01234567-89ab-77ff-bfff-ffffffffffff"
        assert maker.make() == "01234567-89ab-7800-8000-0000ffffffff"
        clock.now_ms += 1
        assert maker.make() == "01234567-89ac-77ff-bfff-ffffffffffff"

    def test_a_counter_that_is_full_goes_on_in_the_next_millisecond(self, clock: Still) -> None:
        maker = _Uuid7Maker()
        maker.make()
        maker._counter = (1 << 74) - 1
        assert maker.make() == "01234567-89ac-77ff-bfff-ffffffffffff"
        clock.now_ms += 1
        assert maker.make() == "01234567-89ac-7800-8000-0000ffffffff"

    def test_a_clock_that_falls_back_is_not_followed(self, clock: Still) -> None:
        maker = _Uuid7Maker()
        maker.make()
        clock.now_ms -= 1_000
        assert maker.make() == "01234567-89ab-7800-8000-0000ffffffff"

    def test_a_child_process_waits_for_no_lock_and_shares_no_numbers(self) -> None:
        maker = _Uuid7Maker()
        maker.make()
        assert maker._random
        maker._lock.acquire()
        maker.renew()
        assert maker._random == b""
        maker.make()


class TestOrder:
    @pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
    def test_it_is_that_of_the_texts_within_one_type(
        self, compare: Callable[[Any, Any], bool]
    ) -> None:
        first, second = OperationId.new(), OperationId.new()
        for pair in ((first, second), (second, first), (first, first)):
            assert compare(*pair) is compare(*(str(each) for each in pair))
        for other in (SessionId(str(second)), str(second)):
            with pytest.raises(TypeError, match="cannot be ordered"):
                compare(first, other)

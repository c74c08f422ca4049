"""What lamps go through."""

from __future__ import annotations

import pytest

from lamp import LampError, LampId, LampRegistry, LampStatus


def test_it_is_switched_until_it_breaks() -> None:
    with LampRegistry() as house:
        id = LampId.new()
        house.hang(id, "hall")
        house.light(id)
        with pytest.raises(LampError, match="is lit: it cannot light"):
            house.light(id)
        house.note_broken(id)
        snapshot = house.snapshot(id)
        assert snapshot is not None
        assert (snapshot.status, snapshot.switched) == (LampStatus.BROKEN, 1)
        assert [each for each in house.allowed(id) if each.allowed] == []

"""What a lifecycle costs in counts has not grown; after a change that is worth it, record anew.

Calls of functions stand for instructions: they are counted without another tool, and say what grew.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.sync.watchers import Watchers

from tests.support.counts import FIGURES, calls, counted, grown


def test_a_lifecycle_costs_no_more_than_is_known() -> None:
    known = json.loads(FIGURES.read_text(encoding="utf-8"))
    found = counted()
    assert len(found) > 20
    wrong = grown(found, known)
    hint = "if that is worth it: python -m tests.support.counts --record"
    assert not wrong, os.linesep.join([*wrong, hint])


def test_what_grows_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    known = json.loads(FIGURES.read_text(encoding="utf-8"))
    count = Watchers.count

    def dear(self: Watchers[object], id: object) -> int:
        return sum(count(self, id) for _ in range(10))

    add = Watchers.add

    def dear_add(self: Watchers[object], id: object, kind: Any, lock: PublicationLock) -> object:
        dear(self, id)
        return add(self, id, kind, lock)

    monkeypatch.setattr(Watchers, "add", dear_add)
    wrong = grown({**known, **calls()}, known)
    assert wrong[0].startswith("calls of a lifecycle: ")
    assert any("waits.Waiting.count: 10.00, was 0.00" in line for line in wrong)

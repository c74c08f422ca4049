"""Power cuts: every image that a disk may hold afterwards is opened, and nothing is lost.

Killing processes says nothing about this: the system goes on to write what a killed process left.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import (
    Completed,
    CompletionCursorConsumer,
    Failed,
    OperationId,
    PersistenceError,
    Registry,
    SqliteStore,
    Terminated,
)
from opslifecycle.stores.sqlite import log_index
from opslifecycle.stores.sqlite import store as sqlite_store

from tests.support.builders import result, spec
from tests.support.crash_images import Image, images, lay
from tests.support.files import Files, Operation
from tests.support.scale import whole_or

AGENT = CompletionCursorConsumer.AGENT_APPLIED
#: Of every STEP images, one is opened.
STEP = whole_or(1, 3)


class Recording:
    """A registry's work: what was done to its files, and what was acknowledged when."""

    def __init__(self, path: Path, durability: Any) -> None:
        self.path = path
        with Registry(store=SqliteStore(path)) as registry:
            first = spec()
            registry.register_operation(first)
            registry.provisioning_failed(first.id, "no")
        self.base: Image = {str(path): path.read_bytes()}
        self.registered: list[tuple[int, OperationId]] = [(0, first.id)]
        self.asked = list(self.registered)
        self.ended: list[tuple[int, OperationId]] = [(0, first.id)]
        self.cursors: list[tuple[int, int]] = [(0, 0)]
        files = Files()
        with files.installed():
            registry = Registry(store=SqliteStore(path, durability=durability))
            for number in range(6):
                made = spec()
                self.asked.append((len(files.operations), made.id))
                registry.register_operation(made)
                self.registered.append((len(files.operations), made.id))
                registry.provisioning_succeeded(made.id)
                if number % 2 == 0:
                    registry.complete_operation(made.id, result(str(made.id)))
                    self.ended.append((len(files.operations), made.id))
                reached = registry.advance_completion_cursor(AGENT, number // 2 + 1)
                self.cursors.append((len(files.operations), reached))
            self.pairs: list[tuple[OperationId, OperationId]] = []
            for _ in range(3):
                one, two = spec(), spec()
                self.asked += [(len(files.operations), each.id) for each in (one, two)]
                with registry.transaction() as transaction:
                    transaction.register_operation(one)
                    transaction.register_operation(two)
                    transaction.provisioning_failed(two.id, "no")
                at = len(files.operations)
                self.pairs.append((one.id, two.id))
                self.registered += [(at, one.id), (at, two.id)]
                self.ended.append((at, two.id))
            registry.close()
        self.operations: list[Operation] = files.operations

    def verify(self, done: int, path: Path) -> None:
        """Open an image; whatever was acknowledged after so many operations is there."""
        with Registry(store=SqliteStore(path)) as registry:
            rows = registry.completion_feed().list_since(0).entries
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
            outcomes = {row.operation_id: row.terminal_outcome for row in rows}
            self._verify_nothing_invented(done, outcomes)
            for one, two in self.pairs:
                assert (one in outcomes) is (two in outcomes), "half of a transaction"
            for at, id in self.registered:
                assert at > done or id in outcomes, f"lost after {done} operations: {id}"
            for at, id in self.ended:
                assert at > done or not isinstance(outcomes[id], Terminated)
            acknowledged = max(cursor for at, cursor in self.cursors if at <= done)
            assert registry.completion_cursor(AGENT) >= acknowledged
            assert registry.broken_invariants() == []

    def _verify_nothing_invented(self, done: int, outcomes: dict[OperationId, Any]) -> None:
        """What is there was asked for, and says what was asked for: damage would show here."""
        begun = {id for at, id in self.asked if at <= done}
        assert set(outcomes) <= begun, f"after {done} operations"
        for id, outcome in outcomes.items():
            if isinstance(outcome, Completed):
                assert outcome.result.content == str(id)
            else:
                assert isinstance(outcome, Failed | Terminated)


@pytest.fixture
def compacting(monkeypatch: pytest.MonkeyPatch) -> None:
    compact_early(monkeypatch)


def compact_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old rows leave from the start, so that compaction is cut, too."""
    monkeypatch.setattr(log_index, "_SPARE_ROWS", 4)
    monkeypatch.setattr(sqlite_store, "_COMPACTED_ROWS", 6)


def opened(recording: Recording, folder: Path, step: int) -> Iterator[bool]:
    """Open one image in `step`; yields whether it holds what was acknowledged, and no more."""
    every = images(recording.base, recording.operations)
    for done, image in islice(every, 0, None, step):
        try:
            recording.verify(done, lay(image, recording.path, folder))
        except (AssertionError, PersistenceError):
            yield False
        else:
            yield True
        for rest in folder.iterdir():
            rest.unlink()


@pytest.mark.usefixtures("compacting")
def test_no_power_cut_loses_what_was_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "image"
    folder.mkdir()
    found = list(opened(Recording(tmp_path / "store.db", "power"), folder, STEP))
    assert len(found) > whole_or(300, 100)
    assert all(found)


@pytest.mark.usefixtures("compacting")
def test_a_store_that_does_not_sync_is_caught(tmp_path: Path) -> None:
    """The control: without syncing, some power cuts do lose something, and this test sees it."""
    folder = tmp_path / "image"
    folder.mkdir()
    assert False in opened(Recording(tmp_path / "store.db", "process"), folder, STEP)
    shutil.rmtree(folder)

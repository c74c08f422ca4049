"""Stores written by every layout there was are opened for ever, or refused with words."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from opslifecycle import (
    CompletionCursorConsumer,
    CompletionFeedGap,
    Failed,
    OperationStatus,
    Registry,
    SqliteStore,
    StoreDamagedError,
    Terminated,
)

from tests.support.builders import completed

GOLDEN = sorted((Path(__file__).parent / "golden").glob("layout_*.db"))


def test_there_is_one_for_every_layout() -> None:
    from opslifecycle.stores.sqlite.schema import LAYOUT

    assert [path.stem for path in GOLDEN] == [f"layout_{n}" for n in range(1, LAYOUT + 1)]


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: str(path.stem))
def test_it_tells_what_was_put_into_it(golden: Path, tmp_path: Path) -> None:
    path = tmp_path / golden.name
    shutil.copy(golden, path)
    with Registry(store=SqliteStore(path)) as registry:
        batch = registry.completion_feed().list_since(0)
        names = [entry.display_name for entry in batch.entries]
        assert names == ["child", "failed", "live"]
        assert batch.entries[1].terminal_outcome == Failed("why")
        assert isinstance(batch.entries[2].terminal_outcome, Terminated)
        assert batch.gap_after(0) == CompletionFeedGap(0, 3, 6)
        held = {each.display_name for each in registry.list_operations()}
        assert held == {"failed", "live"}
        assert registry.completion_cursor(CompletionCursorConsumer.AGENT_APPLIED) == 2
        assert registry.broken_invariants() == []
        completed(registry)
    # What an old layout was turned into is a store like any other.
    with Registry(store=SqliteStore(path)) as registry:
        assert registry.completion_feed().watermark == 7
        assert registry.list_operations(status=OperationStatus.TERMINATED)


def test_an_old_layout_that_was_altered_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "altered.db"
    shutil.copy(GOLDEN[0], path)
    database = sqlite3.connect(path)
    database.execute("UPDATE transitions SET body = replace(body, 'why', 'wha')")
    database.commit()
    database.close()
    before = path.read_bytes()
    with pytest.raises(StoreDamagedError, match="altered"):
        Registry(store=SqliteStore(path))
    assert path.read_bytes() == before

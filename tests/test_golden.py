"""Stores written by every layout there was are opened for ever, or refused with words."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from opslifecycle import (
    CompletionCursorConsumer,
    CompletionFeedGap,
    Failed,
    Registry,
    SqliteStore,
    Terminated,
)

GOLDEN = sorted((Path(__file__).parent / "golden").glob("layout_*.db"))


def test_there_is_one_for_every_layout() -> None:
    from opslifecycle.sqlite_layout import LAYOUT

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

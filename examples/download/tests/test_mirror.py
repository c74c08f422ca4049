"""What the mirror records."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from opslifecycle import SqliteStore

import mirror
from download import DownloadRegistry


def test_each_file_ends_and_is_fetched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["mirror.py", str(tmp_path / "mirror.db")])
    asyncio.run(mirror.main())
    asyncio.run(mirror.main())
    assert "AlreadyFinished" in capsys.readouterr().out
    with DownloadRegistry(store=SqliteStore(tmp_path / "mirror.db")) as registry:
        statuses = {each.address: each.status.value for each in registry.downloads()}
    assert statuses == {
        "a.example/one": "saved",
        "a.example/two": "saved",
        "b.example/gone": "broken",
        "c.example/slow": "dropped",
    }

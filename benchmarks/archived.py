"""Opening a store whose archive is small and one whose archive is large, and reading the archive.

The machine is the example of approvals. A registry ends some requests; then copies of what it has
archived are inserted into its file, as a commit inserts them.
"""

from __future__ import annotations

import atexit
import importlib
import itertools
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from opslifecycle import SqliteStore
from opslifecycle.stores.base import ArchivedRow
from opslifecycle.stores.sqlite.archive import add_archived

from benchmarks.measuring import Contest, Named, Ratio

SMALL, LARGE = 1_000, 1_000_000
_EXAMPLE = Path(__file__).parents[1] / "examples" / "approval" / "src"
_RETAINED, _ROWS_OF_A_COMMIT, _NUMBER = 100, 10_000, 1
_NAME = "opening with an archive"


def _machine() -> Any:
    """Import the package of the example."""
    if str(_EXAMPLE) not in sys.path:
        sys.path.insert(0, str(_EXAMPLE))
    return importlib.import_module("approval")


def _copies(row: ArchivedRow, count: int) -> Iterator[ArchivedRow]:
    sequence, _, version, body = row
    for number in range(sequence + 1, sequence + 1 + count):
        yield number, f"01900000-0000-7000-8000-{number:012x}", version, body


@cache
def stored(count: int) -> Path:
    """Return a file with a number of archived requests besides those that are retained."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    machine, path = _machine(), Path(folder) / "office.db"
    store = SqliteStore(path, durability="process")
    with machine.ApprovalRegistry(store=store, decisions_max=_RETAINED) as office:
        for _ in range(_RETAINED + 1):
            id, person = machine.RequestId.new(), machine.PersonId.new()
            kind = machine.RequestKind.PURCHASE
            office.draft(machine.Ask(id, kind, person, "a chair", 10, 1000))
            office.withdraw(id)
        (row,) = store.archived_after(0, 1)
    rows = _copies(row, count)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        while some := list(itertools.islice(rows, _ROWS_OF_A_COMMIT)):
            database.execute("BEGIN")
            add_archived(database, str(path), _NUMBER, some)
            database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def _opened(count: int) -> Callable[[], float]:
    def run() -> float:
        registry, store = _machine().ApprovalRegistry, SqliteStore(stored(count))
        start = time.perf_counter()
        with registry(store=store):
            return time.perf_counter() - start

    return run


def _read(count: int) -> Callable[[], float]:
    def run() -> float:
        with _machine().ApprovalRegistry(store=SqliteStore(stored(count))) as office:
            middle = office.past_requests(after=count // 2, limit=1)[0].snapshot.id
            start = time.perf_counter()
            assert office.past_request(middle) is not None
            return time.perf_counter() - start

    return run


def _contest(name: str, run: Callable[[int], Callable[[], float]], unit: str) -> Named:
    def make() -> Contest:
        contestants = {f"{count:,} archived": run(count) for count in (SMALL, LARGE)}
        return Contest(name, unit, contestants)

    return name, make


contests: list[Named] = [
    _contest(_NAME, _opened, "opening"),
    _contest("archived record by its id", _read, "read"),
]

RATIOS = [
    Ratio(f"opening a store with {LARGE:,} archived records against {SMALL:,}", _NAME,
          (f"{LARGE:,} archived",), (f"{SMALL:,} archived",), 2, at_least=False),
]  # fmt: skip

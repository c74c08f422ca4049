"""Where the time of a durable lifecycle goes, and what is left if nothing is decided."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from opslifecycle.shell import batch, commits, writes
from opslifecycle.stores.sqlite import store as sqlite_store
from opslifecycle.stores.sqlite.log_index import Writer

Row = tuple[Any, ...]
Asked = tuple[asyncio.Future[None], Row | None]

#: Of the three steps of a lifecycle the write of the second is deferred: it has no row.
_KEPT = (True, False, True)

#: The parts of a lifecycle by their names: whose method each is.
PARTS: dict[str, tuple[Any, str]] = {
    "deciding": (batch.Batch, "decide"),
    "encoding": (writes.Writes, "of_batch"),
    "chaining": (Writer, "put"),
    "SQLite": (sqlite_store, "append_rows"),
    "publishing": (commits.Committer, "_publish"),
    "answering": (commits, "set_results"),
}


async def awaited(
    database: sqlite3.Connection | None, in_flight: int, rows: list[Row], count: int
) -> float:
    """Seconds for three answers, each awaited before the next, two of them once a row is kept.

    What any registry pays whose steps are awaited: nothing is decided or told, and the rows are
    there already. Without rows and a database none are kept.
    """
    asked: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
    loop = asyncio.get_running_loop()
    unused = iter(rows)

    async def one_after_another(number: int) -> None:
        for _ in range(number, count, in_flight):
            for kept in _KEPT:
                future = loop.create_future()
                asked.put((future, next(unused, None) if kept else None))
                await future

    thread = threading.Thread(target=_answer, args=(asked, database, loop))
    thread.start()
    start = time.perf_counter()
    await asyncio.gather(*(one_after_another(number) for number in range(in_flight)))
    seconds = time.perf_counter() - start
    asked.put(None)
    thread.join()
    return seconds / count


def _answer(
    asked: queue.SimpleQueue[Asked | None],
    database: sqlite3.Connection | None,
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Keep and answer what was asked, all that is there together."""
    while (first := asked.get()) is not None:
        together = [first]
        with contextlib.suppress(queue.Empty):
            while (more := asked.get_nowait()) is not None:
                together.append(more)
        rows = [row for _, row in together if row is not None]
        if database is not None and rows:
            keep(database, rows)
        loop.call_soon_threadsafe(_finish, [future for future, _ in together])


def keep(database: sqlite3.Connection, rows: list[Row]) -> None:
    """Write some rows in one transaction."""
    database.execute("BEGIN IMMEDIATE")
    database.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", rows)
    database.execute("COMMIT")


def _finish(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        future.set_result(None)


@contextlib.contextmanager
def timed(part: str) -> Iterator[Callable[[], float]]:
    """Gives how many seconds a part has taken meanwhile."""
    owner, name = PARTS[part]
    called, seconds = getattr(owner, name), 0.0

    def calling(*arguments: Any) -> Any:
        nonlocal seconds
        start = time.perf_counter()
        try:
            return called(*arguments)
        finally:
            seconds += time.perf_counter() - start

    with mock.patch.object(owner, name, calling):
        yield lambda: seconds


def connected(path: Path, durability: str) -> sqlite3.Connection:
    """A new database with a table like that of a store."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
    database.execute(
        "CREATE TABLE log (key INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL,"
        " sequence INTEGER, body TEXT, checksum INTEGER NOT NULL)"
    )
    return database

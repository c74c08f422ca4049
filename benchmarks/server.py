"""Lifecycles on a PostgreSQL server beside raw PostgreSQL writing as many rows in equal batches.

A lifecycle leaves two rows. Raw contestants write them in transactions of as many rows as there are
lifecycles in flight, by COPY and by `executemany`, on the same server, each round into a new table.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import time
from collections.abc import Callable
from functools import cache

from opslifecycle import AsyncRegistry, OperationResult, OperationSpec

from benchmarks.measuring import Contest, Named, Ratio
from benchmarks.memory import specs
from tests.support.postgres.server import NoServerError, PostgresServer, programs, running_server

COUNT, ALONE = 3_000, 300
_ROWS_OF_A_LIFECYCLE = 2
_BODY = "x" * 420
_NUMBERS = itertools.count()


@cache
def server() -> PostgresServer:
    """Return a server that flushes to the disk, as one in production does."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(running_server(fsync="on"))


async def lifecycles(registry: AsyncRegistry, work: list[OperationSpec]) -> None:
    for spec in work:
        await registry.register_operation(spec)
        await registry.provisioning_succeeded(spec.id)
        await registry.complete_operation(spec.id, OperationResult(spec.id, "done", False, 1, 1))


async def _all(registries: int, in_flight: int, count: int) -> float:
    from opslifecycle import PostgresStore

    schema = f"bench_{next(_NUMBERS)}"
    opened = [
        await AsyncRegistry.open(
            store=PostgresStore(server().dsn, registry=f"r{number}", schema=schema),
            max_completed=count,
        )
        for number in range(registries)
    ]
    tasks = registries * in_flight
    work = specs(count)
    try:
        start = time.perf_counter()
        await asyncio.gather(
            *(
                lifecycles(opened[number % registries], work[number::tasks])
                for number in range(tasks)
            )
        )
        return (time.perf_counter() - start) / count
    finally:
        await asyncio.gather(*(each.close() for each in opened))
        run_statement(f"DROP SCHEMA {schema} CASCADE")


def run_statement(statement: str) -> None:
    """Run a statement on the server."""
    import psycopg

    with psycopg.connect(server().dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


def _ours(registries: int, in_flight: int, count: int) -> Callable[[], float]:
    return lambda: asyncio.run(_all(registries, in_flight, count))


def _raw(how: str, in_flight: int, count: int) -> Callable[[], float]:
    def run() -> float:
        import psycopg

        table = f"raw_{next(_NUMBERS)}"
        rows = [
            (number, f"01a21be3-f1e8-7393-af0e-{number:012d}", number, True, _BODY)
            for number in range(_ROWS_OF_A_LIFECYCLE * count)
        ]
        with psycopg.connect(server().dsn, autocommit=True) as connection:
            connection.execute(
                f"CREATE TABLE {table} (key bigint PRIMARY KEY, id text, sequence bigint,"
                " current boolean, body text)".encode()
            )
            insert = f"INSERT INTO {table} VALUES (%s, %s, %s, %s, %s)".encode()
            start = time.perf_counter()
            for place in range(0, len(rows), in_flight):
                with connection.transaction(), connection.cursor() as cursor:
                    if how == "copy":
                        with cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
                            for row in rows[place : place + in_flight]:
                                copy.write_row(row)
                    else:
                        cursor.executemany(insert, rows[place : place + in_flight])
            seconds = time.perf_counter() - start
            connection.execute(f"DROP TABLE {table}".encode())
        return seconds / count

    return run


def _contest() -> Contest:
    return Contest(
        "server, 100 in flight",
        "lifecycle",
        {
            "raw COPY": _raw("copy", 100, COUNT),
            "raw executemany": _raw("executemany", 100, COUNT),
            "registry": _ours(1, 100, COUNT),
            "100 registries, 10 each": _ours(100, 10, COUNT),
        },
    )


def _alone() -> Contest:
    return Contest(
        "server, 1 in flight",
        "lifecycle",
        {"raw COPY": _raw("copy", 1, ALONE), "registry": _ours(1, 1, ALONE)},
    )


@cache
def missing() -> str | None:
    """Return why no server can be started here; None if one can."""
    try:
        programs()
    except NoServerError as error:
        return str(error)
    return None


contests: list[Named] = [("server, 100 in flight", _contest), ("server, 1 in flight", _alone)]

RATIOS = [
    Ratio("on a server, 100 in flight, against raw COPY", "server, 100 in flight",
          ("raw COPY",), ("registry",), 0.4, at_least=True),
    Ratio("on a server, 100 in flight, against raw executemany", "server, 100 in flight",
          ("raw executemany",), ("registry",), 0.9, at_least=True),
    Ratio("on a server, 100 registries against one", "server, 100 in flight",
          ("registry",), ("100 registries, 10 each",), 0.75, at_least=True),
    Ratio("on a server, 1 in flight, against raw COPY", "server, 1 in flight",
          ("raw COPY",), ("registry",), 0.55, at_least=True),
]  # fmt: skip

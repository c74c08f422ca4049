"""Messages of errors: each says what to do, in the message or in a note of the traceback."""

from __future__ import annotations

import errno
import inspect
import pickle
import sqlite3
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from opslifecycle import MemoryStore, OperationId, Registry, SqliteStore, errors
from opslifecycle.errors import InvalidValueError, OpsLifecycleError, PersistenceError
from opslifecycle.stores.base import Commit
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.stores.sqlite.failures import failure_of
from opslifecycle.stores.sqlite.reader import StoreReader

from opslifecycle.operations.storage import CODEC
from tests.support.builders import spec

#: Errors whose message is what a store or a check says; the tables below have those.
GIVEN = {"OpsLifecycleError", "InvalidValueError", "InvalidSpecError", "PersistenceError",
         "StoreBusyError", "StoreLostError"}  # fmt: skip
CLASSES = [
    each
    for name, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, OpsLifecycleError) and name not in GIVEN
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_of_the_runtime_names_the_fix(kind: type[OpsLifecycleError]) -> None:
    fixes = ("; ", ": call ", ": await ", ": open ")
    assert kind.fix or any(each in kind.template for each in fixes), kind.template


def test_a_note_has_the_fix_where_the_message_is_fixed_by_the_contract() -> None:
    error = errors.CursorOutOfRangeError(2, 1)
    assert str(error) == "completion cursor 2 is past the watermark 1"
    for each in (error, error.clone(), pickle.loads(pickle.dumps(error))):
        lines = "".join(traceback.format_exception(each)).splitlines()
        assert lines[-1].startswith("read from 0 or from the watermark; ")
        assert each == error


def closed_store(folder: Path) -> None:
    store = SqliteStore(folder / "a.db")
    store.open(CODEC.schema)
    store.close()
    store.append(Commit((), (), 0, "{}"))


def closed_registry(folder: Path) -> None:
    registry = Registry()
    registry.close()
    registry.register_operation(spec())


def two_owners(folder: Path) -> None:
    store = MemoryStore()
    with Registry(store=store):
        Registry(store=store)


def other_version(folder: Path) -> None:
    store = SqliteStore(folder / "a.db")
    store.open(SchemaVersion("gates", 3, ""))
    store.close()
    Registry(store=SqliteStore(folder / "a.db"))


def empty_file(folder: Path) -> None:
    (folder / "a.db").touch()
    Registry(store=SqliteStore(folder / "a.db"))


def altered(folder: Path) -> None:
    path = folder / "a.db"
    with Registry(store=SqliteStore(path)) as registry:
        registry.register_operation(spec())
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE log SET body = '{}' WHERE key IN (SELECT min(key) FROM log)")
    database.close()
    Registry(store=SqliteStore(path))


def dangling(folder: Path) -> None:
    (folder / "a.db").symlink_to(folder / "gone.db")
    Registry(store=SqliteStore(folder / "a.db"))


#: What goes wrong, and words of the message: the cause, and the fix behind it.
SITUATIONS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "closed store": (closed_store, "the store is closed", "open a new registry"),
    "closed registry": (closed_registry, "the registry is closed", "open a new one"),
    "two owners": (two_owners, "another registry of this process", "has closed it or has ended"),
    "other machine": (other_version, "gates version 3", "use the program that wrote it"),
    "empty file": (empty_file, "a length of zero", "restore a backup"),
    "altered row": (altered, "is damaged at row", "restore a backup"),
    "dangling link": (dangling, "which does not exist", "remove it"),
    "no folder": (
        lambda folder: Registry(store=SqliteStore(folder / "x/a.db")), "no folder", "create it",
    ),
    "a folder": (
        lambda folder: Registry(store=SqliteStore(folder)), "it is a folder", "name another path",
    ),
    "no store": (
        lambda folder: StoreReader(folder / "a.db", CODEC.schema).names(), "no such store",
        "opening a registry, or `opslifecycle run`, creates it",
    ),
    "memory": (
        lambda folder: SqliteStore(":memory:"), "names no file", "use MemoryStore()",
    ),
    "a URI": (lambda folder: SqliteStore("file:a.db?mode=ro"), "got the URI", "leave out file:"),
    "no id": (lambda folder: OperationId("x"), "'x'", "expected"),
    "wrong type": (lambda folder: Registry(store="a.db"), "'a.db'", "expected"),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation_has_its_cause_and_its_fix(name: str, tmp_path: Path) -> None:
    act, cause, fix = SITUATIONS[name]
    with pytest.raises((PersistenceError, InvalidValueError, OpsLifecycleError)) as caught:
        act(tmp_path)
    assert cause in str(caught.value)
    assert fix in str(caught.value)


#: The primary code of an error of SQLite, and what to do.
OF_SQLITE = {
    sqlite3.SQLITE_BUSY: "call again",
    sqlite3.SQLITE_LOCKED: "call again",
    sqlite3.SQLITE_FULL: "free some space, then call again",
    sqlite3.SQLITE_IOERR: "check it, then open a new registry",
    sqlite3.SQLITE_CANTOPEN: "restore it, or open a registry",
    sqlite3.SQLITE_NOMEM: "call again, and check the file",
    sqlite3.SQLITE_CORRUPT: "restore a backup",
}


@pytest.mark.parametrize("code", OF_SQLITE)
def test_a_failure_of_sqlite_has_its_fix(code: int, tmp_path: Path) -> None:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorcode = code
    told = str(failure_of("a.db", tmp_path / "a.db", error, reading=False))
    assert told.startswith("a.db")
    assert OF_SQLITE[code] in told


def test_permissions_name_the_file_and_what_to_change(tmp_path: Path) -> None:
    from opslifecycle.stores.sqlite.files import _REASONS, locate

    assert set(_REASONS) == {errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR}
    assert all("; " in each for each in _REASONS.values())
    (tmp_path / "file").touch()
    with pytest.raises(PersistenceError, match="a part of the path is no folder; name another"):
        locate(tmp_path / "file/a.db")

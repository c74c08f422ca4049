"""Support for generated conformance tests: every action with a store, and a process that is killed.

Imports are inside the functions, so that a program that only uses a registry does not load them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar

from opslifecycle.errors import OpsLifecycleError
from opslifecycle.stores.base import Store

if TYPE_CHECKING:
    from pathlib import Path

#: The attributes of records that are not stored.
_NOT_STORED = frozenset({"clock_offset_ms", "constant_text"})

#: The fields of records, by the text of the record's id and the name of the field.
Fields = dict[str, dict[str, object]]


class _Record(Protocol):
    __slots__: tuple[str, ...]


RecordT_co = TypeVar("RecordT_co", bound=_Record, covariant=True)


class _Records(Protocol[RecordT_co]):
    """A dict of records. The type of a mapping's keys is invariant, and here any type will do."""

    def __iter__(self) -> Iterator[Hashable]: ...

    def items(self) -> Iterable[tuple[Hashable, RecordT_co]]: ...


class _Authority(Protocol):
    @property
    def records(self) -> _Records[_Record]: ...


class _Registry(Protocol):
    @property
    def _authority(self) -> _Authority: ...


RecordT = TypeVar("RecordT", bound=_Record)
RegistryT = TypeVar("RegistryT", bound=_Registry)


def stored_fields(records: _Records[RecordT], is_persistent: Callable[[RecordT], bool]) -> Fields:
    """Return the fields of the records that a store holds.

    Args:
        records: The records of an authority.
        is_persistent: Returns whether a store holds a record.
    """
    return {
        str(id): {name: getattr(each, name) for name in each.__slots__ if name not in _NOT_STORED}
        for id, each in records.items()
        if is_persistent(each)
    }


def store_at(path: str) -> Store:
    """Return the store in a file. A commit survives a kill, but not a loss of power."""
    from opslifecycle.stores.sqlite.store import SqliteStore

    return SqliteStore(path, durability="process")


def killed(file: str, folder: Path) -> tuple[str, Fields]:
    """Run a generated test module as a program that acts with a store and kills itself.

    Returns:
        The path of the store, and the fields of the records that it must hold.
    """
    import os
    import pickle
    import signal
    import subprocess
    import sys
    from pathlib import Path

    store, expected = Path(folder) / "killed.db", Path(folder) / "expected"
    done = subprocess.run(
        [sys.executable, file, str(store), str(expected)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != -signal.SIGKILL:
        raise AssertionError(f"the process failed before it was killed:\n{done.stderr}")
    return str(store), pickle.loads(expected.read_bytes())


def act_and_die(
    make: Callable[..., RegistryT],
    is_persistent: Callable[..., bool],
    begin: Callable[[RegistryT], None],
    act: Callable[..., None],
    before: Mapping[str, str],
) -> NoReturn:
    """Perform each action on a record, save the expected fields, and kill this process.

    If a guard of the machine rejects an action, the remaining actions on the record are skipped.
    Any other error ends the process with a traceback, by which the test fails.

    Args:
        make: Constructs a registry with a store.
        is_persistent: Returns whether a store holds a record.
        begin: Creates a record.
        act: Performs an action on the record with an id.
        before: For each action, the one that leads to a status in which it is legal; empty if a
            new record has such a status.
    """
    import os
    import pickle
    import signal
    import sys
    import threading
    from pathlib import Path

    store, expected = sys.argv[1:]
    registry = make(store=store_at(store))
    records = registry._authority.records
    for last in before:
        # Twice, because the second write of a record reuses the constant part of its text.
        path = [last, last]
        while before[path[0]]:
            path.insert(0, before[path[0]])
        known = set(records)
        try:
            begin(registry)
            for id in set(records) - known:
                for action in path:
                    act(registry, id, action)
        except OpsLifecycleError as error:
            if error.guard is None:
                raise
            print(path, error, file=sys.stderr)
    try:
        # The commit of a new record includes all deferred writes.
        begin(registry)
    except OpsLifecycleError as error:
        if error.guard is None:
            raise
        # No commit follows, so the deferred writes get their own within one second.
        threading.Event().wait(2)
    Path(expected).write_bytes(pickle.dumps(stored_fields(records, is_persistent)))
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("the process lives")

"""Support for generated conformance tests: every action with a store, and a process that is killed.

Imports are inside the functions, so that a program that only uses a registry does not load them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from opslifecycle.errors import OpsLifecycleError
from opslifecycle.stores.base import Store

#: What a record has for itself: a store does not know it.
_NOT_STORED = frozenset({"clock_offset_ms", "constant_text"})

Fields = dict[str, dict[str, Any]]


def stored_fields(records: Mapping[Any, Any], is_persistent: Callable[[Any], bool]) -> Fields:
    """Return the fields of every record that a store holds, by the text of its id."""
    return {
        str(id): {name: getattr(each, name) for name in each.__slots__ if name not in _NOT_STORED}
        for id, each in records.items()
        if is_persistent(each)
    }


def store_at(path: str) -> Store:
    """Return the store in a file. A commit survives a kill, but not a loss of power."""
    from opslifecycle.stores.sqlite.store import SqliteStore

    return SqliteStore(path, durability="process")


def killed(file: str, folder: Any) -> tuple[str, Fields]:
    """Run a generated test module as a program that acts with a store and kills itself.

    Returns:
        The path of the store, and the fields of the records that it should hold.
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
    make: Callable[..., Any],
    is_persistent: Callable[[Any], bool],
    begin: Callable[[Any], None],
    act: Callable[[Any, Any, str], None],
    before: Mapping[str, str],
) -> NoReturn:
    """Perform each action on a record, save what should be stored, and kill this process.

    If a guard of the machine rejects a sample, the path of actions ends there; nothing has changed.

    Args:
        before: For each action, the one that leads to a status where it is legal, if any.
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
        # Twice, because a record that was written once has a text that is taken up again.
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
            print(path, error, file=sys.stderr)
    try:
        # The commit of a new record takes all deferred writes with it.
        begin(registry)
    except OpsLifecycleError:
        # Nothing else commits, so they are written within the second that the contract allows.
        threading.Event().wait(2)
    Path(expected).write_bytes(pickle.dumps(stored_fields(records, is_persistent)))
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("the process lives")

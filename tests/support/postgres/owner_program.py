"""A host: takes every registry that it can get, works in it, and reports what was acknowledged.

    python -m tests.support.postgres.owner_program DSN SCHEMA LEASE_SECONDS PLANTED REGISTRY…

Each line of the output is an event as JSON: its kind, the registry, a value, and the monotonic
times before and after the call, which all processes of a machine share. With PLANTED, the host
neither sends its fencing token nor stops at its deadline: the checker must find that.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from opslifecycle import (
    OperationId,
    OperationKind,
    OperationResult,
    OperationSpec,
    OwnershipLostError,
    PersistenceError,
    PostgresStore,
    Registry,
    RegistryClosedError,
    RegistryOwnedError,
    SessionId,
)

T = TypeVar("T")

#: More than any run ends, so that the feed has all of them.
RETAINED = 1_000_000
_OUT = threading.Lock()


def report(kind: str, registry: str, value: object, before: int, after: int) -> None:
    """Write an event in one piece."""
    line = json.dumps([kind, registry, value, before, after]) + "\n"
    with _OUT:
        os.write(1, line.encode())


def timed(kind: str, registry: str, value: object, call: Callable[[], T]) -> T:
    """Make a call, and report it once it has returned."""
    before = time.monotonic_ns()
    result = call()
    shown = result if value is None else value
    report(kind, registry, shown, before, time.monotonic_ns())
    return result


def work(name: str, registry: Registry, chance: random.Random) -> None:
    """Register and end operations, and read, until the registry is to be handed over."""
    feed = registry.completion_feed()
    for _ in range(chance.randint(20, 400)):
        id = OperationId.new()
        kind = OperationKind.BACKGROUND_TOOL_OP
        spec = OperationSpec(id, kind, SessionId.new(), "work", "chaos")
        timed("registered", name, str(id), partial(registry.register_operation, spec))
        registry.provisioning_succeeded(id)
        if chance.random() < 0.9:
            outcome = OperationResult(id, "done", False, 1, 1)
            end = partial(registry.complete_operation, id, outcome)
            timed("completed", name, str(id), end)
        timed("read", name, None, lambda: feed.watermark)


def own(name: str, make: Callable[[str], PostgresStore]) -> None:
    """Take a registry whenever it is free."""
    chance = random.Random(name)
    while True:
        try:
            before = time.monotonic_ns()
            with Registry(store=make(name), max_completed=RETAINED) as registry:
                report("opened", name, os.getpid(), before, time.monotonic_ns())
                work(name, registry, chance)
        except RegistryOwnedError:
            pass
        except (OwnershipLostError, PersistenceError, RegistryClosedError) as error:
            report("failed", name, repr(error), before, time.monotonic_ns())
        time.sleep(chance.uniform(0.02, 0.1))


def plant() -> None:
    """Have this host own what it has lost."""
    from opslifecycle.stores.postgres import statements
    from opslifecycle.stores.postgres.lease import Lease
    from opslifecycle.stores.postgres.session import Session

    real = statements._commit

    def unfenced(schema: str, *, archives: bool = False, answers: bool = False) -> str:
        checked = "AND r.fencing_token = g.fencing_token AND r.head = g.before"
        text = real(schema, archives=archives, answers=answers)
        assert checked in text
        insert = "IN (SELECT number FROM owned))"
        text = text.replace(checked, "")
        return text.replace(insert, f"{insert[:-1]} ON CONFLICT (key) DO NOTHING)", 1)

    statements._commit = unfenced
    for owner, name, value in (
        (Lease, "is_valid", lambda self: True),
        (Lease, "deadline", lambda self: time.monotonic_ns() + 10**9),
        (Session, "_lose", lambda self: None),
    ):
        setattr(owner, name, value)


def main() -> None:
    """Work until the process is killed."""
    dsn, schema, lease, planted, *names = sys.argv[1:]
    if planted == "planted":
        plant()

    def make(name: str) -> PostgresStore:
        return PostgresStore(dsn, registry=name, schema=schema, lease_seconds=float(lease))

    for name in names:
        threading.Thread(target=own, args=(name, make), daemon=True).start()
    # Ends with the test, even if that is killed.
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()

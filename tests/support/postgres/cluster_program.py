"""A host of a cluster: works in every registry, its own or another host's, and reports.

    python -m tests.support.postgres.cluster_program DSN SCHEMA LEASE_SECONDS PLANTED REGISTRY…

Each line of the output is an event, as of `owner_program`. With PLANTED, the host sends each
command under two ids, so that an owner applies it twice: the checker must find that.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
import time
from collections.abc import Awaitable, Iterable
from uuid import uuid4

from opslifecycle import (
    AlreadyRegisteredError,
    AsyncRegistry,
    InvalidTransitionError,
    OperationId,
    OperationKind,
    OperationResult,
    OperationSpec,
    OperationStatus,
    OpsLifecycleError,
    SessionId,
)
from opslifecycle.cluster import Cluster, NotAnsweredError
from opslifecycle.cluster.remote import RemoteExecutor
from opslifecycle.cluster.requests import Requests
from opslifecycle.stores.postgres.link import Deadline, Link

from tests.support.postgres.owner_program import RETAINED, report

_POLL_SECONDS, _PATIENCE_SECONDS = 0.2, 5.0
_OWNER_PAUSE_SECONDS = 0.1


async def timed(kind: str, registry: str, id: OperationId, call: Awaitable[object]) -> None:
    """Make a call, and report how it has ended."""
    before = time.monotonic_ns()
    try:
        await call
    except NotAnsweredError:
        report(f"not {kind}", registry, str(id), before, time.monotonic_ns())
        raise
    report(kind, registry, str(id), before, time.monotonic_ns())


async def one(name: str, registry: AsyncRegistry, chance: random.Random) -> None:
    """Register an operation, and end it; report a command that was applied twice."""
    id = OperationId.new()
    spec = OperationSpec(
        id, OperationKind.BACKGROUND_TOOL_OP, SessionId.new(), "work", "chaos"
    )  # fmt: skip
    begun = time.monotonic_ns()
    try:
        await timed("registered", name, id, registry.register_operation(spec))
        await registry.provisioning_succeeded(id)
        if chance.random() < 0.9:
            outcome = OperationResult(id, "done", False, 1, 1)
            await timed("completed", name, id, registry.complete_operation(id, outcome))
    except AlreadyRegisteredError:
        report("repeated", name, str(id), begun, time.monotonic_ns())
    except InvalidTransitionError as error:
        # When an owner ends, its successor terminates what runs.
        if error.status is not OperationStatus.TERMINATED:
            report("repeated", name, str(id), begun, time.monotonic_ns())


async def work(name: str, registry: AsyncRegistry, chance: random.Random) -> None:
    """Work in a registry for a while, and read what it shows."""
    feed = registry.completion_feed()
    kind = "followed" if isinstance(registry._executor, RemoteExecutor) else "read"
    for _ in range(chance.randint(20, 200)):
        await one(name, registry, chance)
        before = time.monotonic_ns()
        watermark = feed.watermark
        report(kind, name, watermark, before, time.monotonic_ns())
        if kind == "read":
            # An owner is faster by far, and others would do nothing but follow it.
            await asyncio.sleep(_OWNER_PAUSE_SECONDS)


async def use(name: str, cluster: Cluster[AsyncRegistry]) -> None:
    """Open a registry again and again."""
    chance = random.Random(f"{name} {os.getpid()}")
    while True:
        before = time.monotonic_ns()
        try:
            registry = await cluster.open(name)
            report("opened", name, os.getpid(), before, time.monotonic_ns())
            await work(name, registry, chance)
            if chance.random() < 0.5:
                await registry.close()
        except OpsLifecycleError as error:
            report("failed", name, repr(error), before, time.monotonic_ns())
        await asyncio.sleep(chance.uniform(0.02, 0.1))


def plant() -> None:
    """Have this host send every command twice."""
    real = Requests.send

    def twice(
        self: Requests, link: Link, given: Iterable[tuple[str, int, str]], until: Deadline
    ) -> None:
        requests = list(given)
        real(self, link, [(str(uuid4()), number, text) for _, number, text in requests], until)
        real(self, link, requests, until)

    setattr(Requests, "send", twice)  # noqa: B010


async def share(dsn: str, schema: str, lease: float, names: list[str]) -> None:
    """Use all registries until the process is killed."""
    while True:
        try:
            async with Cluster(
                dsn, AsyncRegistry, schema=schema, lease_seconds=lease,
                poll_seconds=_POLL_SECONDS, patience_seconds=_PATIENCE_SECONDS,
                max_completed=RETAINED,
            ) as cluster:  # fmt: skip
                await asyncio.gather(*(use(name, cluster) for name in names))
        except OpsLifecycleError as error:
            # The server may still be starting.
            now = time.monotonic_ns()
            report("failed", names[0], repr(error), now, now)
            await asyncio.sleep(_POLL_SECONDS)


def _end_with_the_test() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Work until the process is killed."""
    dsn, schema, lease, planted, *names = sys.argv[1:]
    if planted == "planted":
        plant()
    threading.Thread(target=_end_with_the_test, daemon=True).start()
    asyncio.run(share(dsn, schema, float(lease), names))


if __name__ == "__main__":
    main()

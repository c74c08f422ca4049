"""Hosts of a cluster, whose calls are interrupted in the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from attrs import define, field, frozen
from opslifecycle import AsyncRegistry, OpsLifecycleError, Registry
from opslifecycle.cluster import Cluster

from tests.support.builders import result, spec
from tests.support.interrupts.checking import DEADLINE_SECONDS, Helper
from tests.support.interrupts.injecting import INTERRUPTS, Injection
from tests.support.postgres.databases import Database

_THREADS = ("opslifecycle-cluster", "opslifecycle-writer", "opslifecycle-lease")
_NUMBERS = itertools.count()


@define(eq=False)
class Hosts:
    """Two hosts of one loop: a registry that one of them owns, and the handle of the other."""

    database: Database
    name: str = field(factory=lambda: f"r{next(_NUMBERS)}")
    one: Any = field(init=False)
    other: Any = field(init=False)
    owner: Any = None
    handle: Any = None
    #: An operation that runs.
    live: Any = None
    #: The operations whose commands have returned.
    acknowledged: list[Any] = field(factory=list)
    #: The classes of what callbacks have raised, and calls; the exceptions would hold registries.
    reported: list[type[BaseException]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.one, self.other = (
            Cluster(
                self.database.dsn, AsyncRegistry, schema=self.database.schema,
                poll_seconds=0.05, patience_seconds=5,
            )
            for _ in range(2)
        )  # fmt: skip

    async def register(self, registry: Any) -> None:
        """Register an operation, and note it once the command has returned."""
        made = spec()
        await registry.register_operation(made)
        self.acknowledged.append(made.id)

    def note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Note what a callback has raised; the loop's handler of exceptions."""
        if "exception" in context:
            self.reported.append(type(context["exception"]))


@frozen
class HostsCall:
    """A call of a cluster, by a name."""

    name: str
    make: Callable[[Hosts], Awaitable[object]]
    #: Whether the other host has entered its block before.
    entered: bool = True
    #: Whether the other host has its handle before.
    opened: bool = True


async def _watch(w: Hosts) -> None:
    watch = w.handle.register_watcher(w.live)
    await w.owner.complete_operation(w.live, result(w.live))
    await watch


async def _open(w: Hosts) -> None:
    w.handle = await w.other.open(w.name)


HOSTS_CALLS = [
    HostsCall("enter", lambda w: w.other.__aenter__(), entered=False, opened=False),
    HostsCall("open_here", lambda w: w.other.open(f"{w.name} too"), opened=False),
    HostsCall("open_elsewhere", _open, opened=False),
    HostsCall("command", lambda w: w.register(w.handle)),
    HostsCall("owner_command", lambda w: w.register(w.owner)),
    HostsCall("watch", _watch),
    HostsCall("close_handle", lambda w: w.handle.close()),
    HostsCall("close_owner", lambda w: w.owner.close()),
    HostsCall("leave", lambda w: w.other.__aexit__(None, None, None)),
]


async def _day(w: Hosts, call: HostsCall, injection: Injection) -> None:
    """Enter the blocks, make the call, go on, and leave: what a program does."""
    asyncio.get_running_loop().set_exception_handler(w.note)
    try:
        await w.one.__aenter__()
        w.owner = await w.one.open(w.name)
        await w.register(w.owner)
        w.live = w.acknowledged[0]
        await w.owner.provisioning_succeeded(w.live)
        if call.entered:
            await w.other.__aenter__()
        if call.opened:
            await _open(w)
        try:
            with injection.here():
                await call.make(w)
        except INTERRUPTS as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            w.reported.append(type(error))
        except OpsLifecycleError:
            # A refusal, as without an interrupt.
            pass
        await _go_on(w)
    finally:
        for each in (w.other, w.one):
            if each._worker is not None:
                await _left(each, w)


async def _go_on(w: Hosts) -> None:
    """Use what is open, which answers or refuses in time."""
    for cluster in (w.one, w.other):
        if cluster._is_open:
            with contextlib.suppress(OpsLifecycleError):
                async with asyncio.timeout(DEADLINE_SECONDS):
                    registry = await cluster.open(w.name)
                    await w.register(registry)


async def _left(cluster: Any, w: Hosts) -> None:
    """Leave a block: a second time if the first was interrupted."""
    try:
        await cluster.__aexit__(None, None, None)
    except INTERRUPTS as error:
        w.reported.append(type(error))
        await cluster.__aexit__(None, None, None)


@contextlib.contextmanager
def _finalized() -> Iterator[None]:
    """Have what a finalizer raises fail the examination, unless it was the interrupt."""
    raised: list[type[BaseException]] = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda given: raised.append(given.exc_type)
    try:
        yield
    finally:
        sys.unraisablehook = before
    assert [each for each in raised if not issubclass(each, INTERRUPTS)] == []


def clustered(call: HostsCall, database: Database, helper: Helper, injection: Injection) -> None:
    """Interrupt the loop of two hosts while a call is made."""
    w = Hosts(database)
    before = set(threading.enumerate())

    def run(w: Hosts = w, injection: Injection = injection) -> None:
        try:
            asyncio.run(_day(w, call, injection))
        except INTERRUPTS as error:
            w.reported.append(type(error))

    with _finalized():
        helper.ask(run)
        gc.collect()
        for each in {*threading.enumerate()} - before:
            if each.name.startswith(_THREADS):
                each.join(DEADLINE_SECONDS)
                assert not each.is_alive(), f"{each.name} goes on"
        assert injection.place is None or w.reported, f"swallowed: {injection.place}"
        with Registry(store=database.store(w.name)) as again:
            assert again.broken_invariants() == []
            found = {each.id for each in again.list_operations()}
            assert found >= {*w.acknowledged}, "an acknowledged registration is lost"

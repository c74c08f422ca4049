"""Registries on many hosts: here if this host owns them, else as handles of another host's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar
from weakref import WeakValueDictionary

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.cluster.applying import Applying, apply
from opslifecycle.cluster.following import Followed, Look
from opslifecycle.cluster.placement import Placement
from opslifecycle.cluster.post import Sent
from opslifecycle.cluster.remote import RemoteExecutor
from opslifecycle.cluster.requests import Request
from opslifecycle.cluster.wire import Wire
from opslifecycle.cluster.worker import ClusterStore, Worker
from opslifecycle.errors import (
    InvalidValueError,
    OpsLifecycleError,
    RegistryClosedError,
    RegistryOwnedError,
)
from opslifecycle.logs import EventLog
from opslifecycle.shell.definitions import AnyDefinition, Definition
from opslifecycle.shell.engine import AnyEngine
from opslifecycle.shell.executor import Executor
from opslifecycle.shell.opening import open_in_thread
from opslifecycle.shell.pending import Waiting
from opslifecycle.shell.replica import Replica, replicate_registry
from opslifecycle.stores.postgres.session import Target
from opslifecycle.stores.postgres.store import PostgresStore
from opslifecycle.values import checks

_log = EventLog("cluster")


class ClusterRegistry(Protocol):
    """A registry for event loops that a cluster can open."""

    _definition: AnyDefinition
    _engine: AnyEngine
    _executor: Executor

    async def _close(self) -> None:
        """Close the registry."""


RegistryT = TypeVar("RegistryT", bound=ClusterRegistry)


class Cluster(Generic[RegistryT]):
    """The registries of one machine in one schema of a PostgreSQL server, used from many hosts.

    Use it in `async with`. Leaving the block closes the registries that this host owns, which other
    hosts can open then, and its handles of others.

    Args:
        dsn: The connection string, as of `PostgresStore`.
        machine: The class of the registries, for event loops: `AsyncRegistry` or that of a machine
            of yours.
        schema: The schema of the tables.
        lease_seconds: See `PostgresStore`.
        session_lock: See `PostgresStore`. A cluster needs notifications, so connections that are
            sessions.
        poll_seconds: How long a lost notification can delay anything.
        patience_seconds: How long a command for a registry of another host waits for its answer. It
            is withdrawn then, unless its owner is applying it.
        **settings: Further arguments of the registries' constructor, for those that are opened
            here.

    Raises:
        InvalidValueError: An argument is of the wrong type or out of range.
    """

    def __init__(
        self,
        dsn: str,
        machine: type[RegistryT],
        *,
        schema: str = "opslifecycle",
        lease_seconds: float = 10.0,
        session_lock: bool = True,
        poll_seconds: float = 1.0,
        patience_seconds: float = 30.0,
        **settings: object,
    ) -> None:
        for name, seconds in (("poll", poll_seconds), ("patience", patience_seconds)):
            checks.instance(f"{name}_seconds", seconds, float | int)
            if not 0.01 <= seconds <= 3600:
                reason = f"expected 0.01 to 3600 seconds, got {checks.shown(seconds)}"
                raise InvalidValueError(f"{name}_seconds", reason)
        definition = getattr(machine, "_definition", None)
        if (
            not isinstance(definition, Definition)
            or definition.codec is None
            or not iscoroutinefunction(machine._close)
        ):
            reason = f"expected the class of an async registry with a store, got {machine!r:.80}"
            raise InvalidValueError("machine", reason)
        self._store = {
            "dsn": dsn, "schema": schema, "lease_seconds": lease_seconds,
            "session_lock": session_lock,
        }  # fmt: skip
        # Checks the other arguments.
        PostgresStore(registry="any", **self._store)  # type: ignore[arg-type]
        self._target = Target(dsn, schema, float(lease_seconds), session_lock)
        self._machine = machine
        self._definition = definition
        self._wire = Wire(definition)
        self._settings = settings
        self._poll_seconds = float(poll_seconds)
        self._patience_ns = round(patience_seconds * 1e9)
        self._worker: Worker | None = None
        self._is_open = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._here: dict[str, RegistryT] = {}
        self._elsewhere: dict[str, RegistryT] = {}
        self._numbers: dict[int, RegistryT] = {}
        #: Locks that are in use, by the name of the registry.
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        #: What runs in the background, which the event loop does not hold.
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            PersistenceError: The server cannot be reached.
            StoreVersionError: The tables are of another version of this program.
            RegistryClosedError: The cluster was entered before.
        """
        if self._worker is not None:
            raise RegistryClosedError
        self._loop = asyncio.get_running_loop()
        schema = self._wire.codec.schema
        self._worker = worker = Worker(
            self._target, schema, self._poll_seconds, self._apply_soon, self._freed
        )
        try:
            worker.start()
            await asyncio.wrap_future(worker.ask(worker.following.prepare))
        except BaseException:
            await asyncio.to_thread(worker.stop)
            raise
        self._is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        try:
            await self._close_all()
        except GeneratorExit:
            # The loop is closed, and nothing can be awaited.
            self._the_worker.stop()
            raise
        except BaseException:
            # A cancellation or an interrupt comes once.
            await self._close_all()
            await asyncio.to_thread(self._the_worker.stop)
            raise
        await asyncio.to_thread(self._the_worker.stop)

    async def _close_all(self) -> None:
        for each in list(self._elsewhere.values()):
            await each._close()
        # Openings and calls in progress end first, so that nothing stays open.
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(each._close() for each in self._here.values()))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def _the_worker(self) -> Worker:
        if self._worker is None:
            raise RegistryClosedError
        return self._worker

    def _check_open(self) -> None:
        if not self._is_open:
            raise RegistryClosedError

    # Opening ------------------------------------------------------------------------------------

    async def open(self, name: str) -> RegistryT:
        """Return a registry: the one itself if this host owns it or can own it, else a handle.

        A new registry is created here. If there are hosts that share all registries (`run`), they
        own the others.

        A handle has the same methods. Its commands are decided and committed by the owner, at most
        once. Its reads, watches, barriers and feed follow the owner; a caller reads at least what
        its own commands have done. If the owner ends, another host opens the registry, and the
        handles go on with that one: a host that shares all registries (`run`), or if there is none,
        one that has a handle.

        Args:
            name: The name of the registry in the schema.

        Raises:
            StoreVersionError: The registry is of another machine, or of a version without a
                migration.
            StoreDamagedError: Its rows contradict each other.
            PersistenceError: The server cannot be reached.
            RegistryClosedError: The cluster was not entered, or was left.
        """
        self._check_open()
        checks.text("name", name)
        async with self._opening.setdefault(name, asyncio.Lock()):
            here = self._here.get(name)
            if here is not None and here._engine.closed is None:
                return here
            if not await self._is_shared(name):
                with contextlib.suppress(RegistryOwnedError):
                    return await self._take(name)
            elsewhere = self._elsewhere.get(name)
            if elsewhere is not None and elsewhere._engine.closed is None:
                return elsewhere
            return await self._follow(name)

    async def _is_shared(self, name: str) -> bool:
        """Return whether the hosts that share all registries decide who opens this one."""
        worker = self._the_worker
        question = worker.following.is_shared
        return await asyncio.wrap_future(
            worker.ask(lambda link, until: question(link, name, until))
        )

    async def _take(self, name: str) -> RegistryT:
        """Open a registry here; raises RegistryOwnedError if another process owns it."""
        worker = self._the_worker
        store = ClusterStore(registry=name, **self._store)  # type: ignore[arg-type]
        store.worker = worker
        store.closed = lambda: self._soon(self._forget, name, store.number)
        registry = await open_in_thread(self._machine, store=store, **self._settings)
        self._here[name] = self._numbers[store.number] = registry
        worker.own(store.number, store.owner)
        return registry

    def _forget(self, name: str, number: int) -> None:
        """Forget a registry that was closed here, unless it was opened again."""
        registry = self._here.get(name)
        if registry is not None and registry._engine.closed is not None:
            del self._here[name]
            self._numbers.pop(number, None)

    async def _follow(self, name: str) -> RegistryT:
        worker = self._the_worker
        question = worker.following.look
        look: Look = await asyncio.wrap_future(
            worker.ask(lambda link, until: question(link, name, until))
        )
        engines: list[AnyEngine] = []
        followed: Followed | None = None

        def leave() -> None:
            # None if an interrupt came before the registry was followed.
            if followed is not None:
                self._leave(followed)

        def executor_of(engine: AnyEngine) -> RemoteExecutor:
            engines.append(engine)
            return RemoteExecutor(
                engine,
                self._definition.id_type,
                self._wire,
                lambda text, waiting: self._send(name, look.number, text, waiting),
                leave,
            )

        registry = replicate_registry(self._machine, self._definition, look.stored, executor_of)
        replica = Replica(engines[0], self._wire.codec)
        followed = Followed(name, look.number, look.head, replica, set(look.stored.records))
        worker.follow(followed)
        self._elsewhere[name] = registry
        return registry

    def _leave(self, followed: Followed) -> None:
        """Follow no longer for a handle, which may be closed again when it is collected."""
        self._the_worker.unfollow(followed)
        self._soon(self._forget_handle, followed.name)

    def _forget_handle(self, name: str) -> None:
        """Forget a handle that was closed, unless there is a later one."""
        registry = self._elsewhere.get(name)
        if registry is not None and registry._engine.closed is not None:
            del self._elsewhere[name]

    def _soon(self, call: Callable[..., object], *arguments: object) -> None:
        """Call a function in the event loop."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            # A closed loop has nothing here that is open.
            if not self._loop.is_closed():
                raise

    def _send(self, name: str, number: int, text: str, waiting: Waiting) -> None:
        worker = self._the_worker
        until_ns = SYSTEM_CLOCK.monotonic_ns() + self._patience_ns
        sent = Sent(name, number, text, waiting, self._wire, until_ns)
        worker.do(lambda: worker.post.add(sent))

    # Placement ----------------------------------------------------------------------------------

    async def run(self, handler: Callable[[str, RegistryT], Awaitable[None]]) -> None:
        """Share all registries of the schema with the other hosts that call this.

        Each registry is opened by one host, which calls the handler with it. When hosts come and
        go, registries move; that of a dead host is opened by another one. In the main thread,
        SIGTERM gives all registries back and returns. So does cancelling the call, anywhere.

        Args:
            handler: A coroutine function, called with the name of a registry and the registry. It
                is cancelled when the registry moves to another host. If it returns, the registry
                stays open; if it raises, the registry is closed and opened again later.

        Raises:
            PersistenceError: The server cannot be reached at the beginning.
            RegistryClosedError: The cluster was not entered, or was left.
        """
        self._check_open()
        placement: Placement[RegistryT] = Placement(
            self._target, self._the_worker, self._poll_seconds
        )
        await placement.run(self._take, handler)

    def _freed(self, names: list[str]) -> None:
        """Open followed registries whose owner has ended; called in the worker's thread."""
        self._soon(self._adopt_soon, names)

    def _adopt_soon(self, names: list[str]) -> None:
        for name in names:
            if not self._opening.setdefault(name, asyncio.Lock()).locked():
                self._begin(self._adopt(name))

    async def _adopt(self, name: str) -> None:
        try:
            await self.open(name)
        except OpsLifecycleError as error:
            _log.warning(
                "registry_not_opened", "%s: cannot open %r: %s", self._target.name, name, error
            )

    def _begin(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Requests of other hosts --------------------------------------------------------------------

    def _apply_soon(self, request: Request) -> None:
        """Apply a request; called in the worker's thread."""
        self._soon(self._begin_to_apply, Applying(request))

    def _begin_to_apply(self, applying: Applying) -> None:
        try:
            self._begin(self._apply(applying)).add_done_callback(partial(self._note, applying))
        except BaseException:
            self._note(applying)
            raise

    async def _apply(self, applying: Applying) -> None:
        try:
            request = applying.request
            registry = self._numbers.get(request.registry)
            if registry is not None:
                applying.is_answered = await apply(self._wire, registry._executor, request)
        finally:
            # And not only when the task has ended, because an interrupt may lose that callback.
            self._note(applying)

    def _note(self, applying: Applying, _: object = None) -> None:
        if not applying.is_noted:
            self._the_worker.applied(applying.request, is_answered=applying.is_answered)
            applying.is_noted = True

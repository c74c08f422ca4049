"""Which host opens which registry, when several hosts share all of them.

Each host computes the same answer from the same rows, so no host coordinates the others: each host
with a valid lease has a share (`shares.py`), whose free registries it opens.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, Protocol, TypeVar

import attrs
from opslifecycle.cluster.shares import Shares, free_registries, looks_apart
from opslifecycle.cluster.worker import Worker
from opslifecycle.errors import OpsLifecycleError, RegistryOwnedError
from opslifecycle.logs import EventLog
from opslifecycle.stores.postgres.claims import OWNER_LIVES
from opslifecycle.stores.postgres.link import Deadline, Link
from opslifecycle.stores.postgres.session import Session, Target, enter, leave
from opslifecycle.values.plain import error_text

_log = EventLog("cluster")
#: The first and the longest pause before a registry is opened again whose handler has failed.
_PAUSE_SECONDS, _PAUSE_SECONDS_MAX = 1.0, 60.0


class _Closable(Protocol):
    async def _close(self) -> None:
        """Close the registry."""


RegistryT = TypeVar("RegistryT", bound=_Closable)


@attrs.frozen
class View:
    """Who shares the registries, and what of this host's share is free."""

    #: The slots of this host.
    slots: frozenset[int]
    #: The names of free registries, with their slots.
    free: dict[str, int]


@attrs.frozen
class _Held:
    """A registry that this host has opened or is about to open."""

    slot: int
    task: asyncio.Task[None]


class Placement(Generic[RegistryT]):
    """The share of one host.

    Args:
        target: The schema.
        worker: The thread of the cluster.
        poll_seconds: The pause between two looks.
    """

    def __init__(self, target: Target, worker: Worker, poll_seconds: float) -> None:
        self._target = target
        self._worker = worker
        self._poll_seconds = poll_seconds
        self._held: dict[str, _Held] = {}
        self._shares = Shares(0)
        #: How long a registry is left alone after its handler has failed, and until when.
        self._pauses: dict[str, tuple[float, float]] = {}

    async def run(
        self,
        open_registry: Callable[[str], Awaitable[RegistryT]],
        handler: Callable[[str, RegistryT], Awaitable[None]],
    ) -> None:
        """Hold this host's share until SIGTERM or cancellation; see `Cluster.run`.

        Args:
            open_registry: Opens a registry here, or raises RegistryOwnedError.
            handler: What runs beside an open registry.
        """
        session = await asyncio.to_thread(enter, self._target)
        stopping = asyncio.Event()
        try:
            with _on_sigterm(stopping.set):
                while not stopping.is_set():
                    session = await self._with_lease(session)
                    await self._look(session.lease.owner, open_registry, handler)
                    pause = self._poll_seconds * looks_apart(len(self._shares.members))
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(stopping.wait(), pause)
        finally:
            await self._release(list(self._held))
            await self._resign(session)

    async def _with_lease(self, session: Session) -> Session:
        """Return a session with a valid lease: this one, or a new one after its lease was lost."""
        if session.lease.is_valid():
            return session
        # The registries were closed with the lease.
        await self._release(list(self._held))
        try:
            new = await asyncio.to_thread(enter, self._target)
        except OpsLifecycleError as error:
            _log.warning("no_lease", "%s: no lease: %s", self._target.name, error)
            return session
        await asyncio.to_thread(leave, session)
        return new

    async def _look(
        self,
        own: int,
        open_registry: Callable[[str], Awaitable[RegistryT]],
        handler: Callable[[str, RegistryT], Awaitable[None]],
    ) -> None:
        """Release the shares of other hosts, and open what is free of this host's own."""
        try:
            view = await asyncio.wrap_future(
                self._worker.ask(lambda link, until: self._view(link, own, until))
            )
        except OpsLifecycleError as error:
            _log.warning("hosts_not_read", "%s: %s", self._target.name, error)
            return
        now = asyncio.get_running_loop().time()
        # Without a valid lease, this host is no member, and nothing is its own.
        await self._release([n for n, held in self._held.items() if held.slot not in view.slots])
        for name, held in list(self._held.items()):
            if held.task.done():
                del self._held[name]
        for name in view.free.keys() - self._held.keys():
            if now >= self._pauses.get(name, (0, 0))[1]:
                holding = asyncio.create_task(self._hold(name, open_registry, handler))
                self._held[name] = _Held(view.free[name], holding)

    async def _hold(
        self,
        name: str,
        open_registry: Callable[[str], Awaitable[RegistryT]],
        handler: Callable[[str, RegistryT], Awaitable[None]],
    ) -> None:
        """Open a registry, and have it handled until this task is cancelled."""
        try:
            registry = await open_registry(name)
        except RegistryOwnedError:
            return
        except OpsLifecycleError as error:
            self._pause(name, f"cannot be opened: {error}")
            return
        try:
            await handler(name, registry)
            self._pauses.pop(name, None)
            await asyncio.Event().wait()
        except Exception as error:
            text = "%s: the handler of %r has failed"
            _log.error("handler_failed", text, self._target.name, name, cause=error)
            self._pause(name, error_text(error, repr))
        finally:
            await asyncio.shield(registry._close())

    def _pause(self, name: str, cause: str) -> None:
        before, _ = self._pauses.get(name, (_PAUSE_SECONDS / 2, 0))
        seconds = min(2 * before, _PAUSE_SECONDS_MAX)
        self._pauses[name] = (seconds, asyncio.get_running_loop().time() + seconds)
        text = "%s: registry %r waits %g s: %s"
        _log.warning("registry_waits", text, self._target.name, name, seconds, cause)

    async def _release(self, names: list[str]) -> None:
        """Cancel the handlers of registries, and close them."""
        tasks = [self._held.pop(name).task for name in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _view(self, link: Link, own: int, until: Deadline) -> View:
        schema, machine = self._target.schema, self._worker.following.machine
        link.run(
            f"INSERT INTO {schema}.members (owner, machine)"
            f" SELECT owner, $2 FROM {schema}.owners WHERE owner = $1::bigint"
            " ON CONFLICT DO NOTHING",
            own, machine, deadline=until,
        )  # fmt: skip
        members = link.run(
            f"SELECT m.owner FROM {schema}.members m JOIN {schema}.owners o USING (owner)"
            f" WHERE m.machine = $1 AND {OWNER_LIVES}",
            machine, deadline=until,
        )  # fmt: skip
        if self._shares.own != own:
            self._shares = Shares(own)
        slots = self._shares.update(frozenset(int(owner or 0) for (owner,) in members))
        return View(slots, free_registries(link, schema, machine, slots, until))

    async def _resign(self, session: Session) -> None:
        """Let the other hosts share what this one has held, at once."""
        statement = (
            f"DELETE FROM {self._target.schema}.members WHERE owner = $1::bigint AND machine = $2"
        )
        values = session.lease.owner, self._worker.following.machine
        try:
            await asyncio.wrap_future(
                self._worker.ask(lambda link, until: link.run(statement, *values, deadline=until))
            )
        except OpsLifecycleError as error:
            _log.warning("host_not_removed", "%s: %s", self._target.name, error)
        await asyncio.to_thread(leave, session)


@contextlib.contextmanager
def _on_sigterm(call: Callable[[], None]) -> Iterator[None]:
    """Have SIGTERM call a function, in the main thread's event loop."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGTERM, call)
    except RecursionError:
        raise
    except (RuntimeError, ValueError, NotImplementedError):
        # Another thread than the main one, or a platform without signals in event loops: a program
        # cancels the call there, as the documentation of `Cluster.run` says.
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)

"""Which host opens which registry, when several hosts share all of them.

Each host computes the same answer from the same rows: of the hosts with a valid lease, the one with
the highest score for a registry opens it (rendezvous hashing). So a host that comes or goes moves
only its own share, and no host coordinates the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import signal
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Generic, Protocol, TypeVar

import attrs
from opslifecycle.cluster.worker import Worker
from opslifecycle.errors import OpsLifecycleError, RegistryOwnedError
from opslifecycle.logs import EventLog
from opslifecycle.stores.postgres.claims import OWNER_LIVES, is_free
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


def winner(members: Collection[int], name: str) -> int:
    """Return the host that opens a registry.

    Args:
        members: The ids of the hosts.
        name: The name of the registry.
    """

    def score(member: int) -> bytes:
        return hashlib.blake2b(f"{member}:{name}".encode(), digest_size=8).digest()

    return max(members, key=score, default=0)


@attrs.frozen
class View:
    """Who shares the registries, and which there are."""

    members: frozenset[int]
    #: The names of the registries, and whether each is free.
    registries: dict[str, bool]


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
        self._held: dict[str, asyncio.Task[None]] = {}
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
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(stopping.wait(), self._poll_seconds)
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
        mine = {name for name in view.registries if winner(view.members, name) == own}
        await self._release([name for name in self._held if name not in mine])
        for name, task in list(self._held.items()):
            if task.done():
                del self._held[name]
        for name in mine - self._held.keys():
            if view.registries[name] and now >= self._pauses.get(name, (0, 0))[1]:
                held = self._hold(name, open_registry, handler)
                self._held[name] = asyncio.create_task(held)

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
        tasks = [self._held.pop(name) for name in names]
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
        registries = link.run(
            f"SELECT name, {is_free(schema)} FROM {schema}.registries WHERE machine = $1",
            machine, deadline=until,
        )  # fmt: skip
        free = {str(name): is_one == "t" for name, is_one in registries}
        return View(frozenset(int(owner or 0) for (owner,) in members), free)

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

"""The calls of a registry that a supervisor needs: start, complete, fail and cancel a record.

The supervisor calls a `Lifecycle` only. `OperationLifecycle` is that of the shipped machine.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import attrs
from opslifecycle import (
    AlreadyRegisteredError,
    AsyncRegistry,
    InvalidTransitionError,
    InvalidValueError,
    OperationCompletionWatch,
    OperationId,
    OperationKind,
    OperationNotFoundError,
    OperationProgressUpdate,
    OperationResult,
    OperationSpec,
    OwnerRetiredError,
    Registry,
    RunId,
    SessionId,
    WaitAll,
)
from opslifecycle.work.cancelling import unbroken

#: The namespace of identifiers from keys (UUIDv5). Never change it: stored ids depend on it.
_KEYS = uuid.UUID("6f1a5f0e-3c0b-5d0c-9a53-0f6c7d1b8e21")
_CALLING_THREADS_MAX = 32


@attrs.frozen
class Label:
    """The description of work in its record."""

    name: str
    owner: SessionId
    kind: OperationKind
    source: str


class Lifecycle(Protocol):
    """The calls of one machine's registry.

    A call that is cancelled may take effect, but not after a later call.
    """

    #: The errors of a record that another caller has finished or erased.
    over: tuple[type[Exception], ...]
    #: The error of an id that a record has already.
    taken: type[Exception]

    def id_of(self, key: str | None) -> OperationId:
        """Return the id of a key, always the same; a new id without a key."""

    def exists(self, id: OperationId) -> bool:
        """Return whether a record has the id."""

    def watch(self, id: OperationId) -> OperationCompletionWatch:
        """Return a watch of the record."""

    def wait_all(self, run_id: RunId, ids: Iterable[OperationId]) -> WaitAll:
        """Return a barrier over the records."""

    def register(self, id: OperationId, label: Label) -> Awaitable[None]:
        """Create the record, which waits for its turn."""

    def start(self, id: OperationId) -> Awaitable[None]:
        """Record that the work runs."""

    def complete(self, id: OperationId, result: OperationResult) -> Awaitable[None]:
        """End the record with a result."""

    def fail(self, id: OperationId, error: str) -> Awaitable[None]:
        """End the record with an error."""

    def cancel(self, id: OperationId, reason: str | None) -> Awaitable[None]:
        """End the record on request, in whatever status it is."""

    def report(self, id: OperationId, update: OperationProgressUpdate) -> Awaitable[None]:
        """Record progress."""

    def discard(self, id: OperationId) -> Awaitable[None]:
        """Erase the record as if it had never been registered."""

    def close(self) -> None:
        """Release what the calls used. The registry stays open."""


class OperationLifecycle:
    """The lifecycle of the shipped machine.

    Calls of a `Registry` are made in threads, so that they do not block the event loop.
    """

    over: tuple[type[Exception], ...] = (
        InvalidTransitionError,
        OperationNotFoundError,
        OwnerRetiredError,
    )
    taken: type[Exception] = AlreadyRegisteredError

    def __init__(self, registry: AsyncRegistry | Registry) -> None:
        if not isinstance(registry, AsyncRegistry | Registry):
            reason = f"expected a Registry or an AsyncRegistry, got {type(registry).__name__}"
            raise InvalidValueError("registry", reason)
        self.registry = registry
        self._threads: ThreadPoolExecutor | None = None
        self._call: Callable[..., Awaitable[None]] = (
            _call_directly if isinstance(registry, AsyncRegistry) else self._call_in_thread
        )

    def id_of(self, key: str | None) -> OperationId:
        """Return the id of a key, always the same; a new id without a key."""
        return OperationId.new() if key is None else OperationId(str(uuid.uuid5(_KEYS, key)))

    def exists(self, id: OperationId) -> bool:
        """Return whether an operation has the id."""
        return self.registry.snapshot(id) is not None

    def watch(self, id: OperationId) -> OperationCompletionWatch:
        """Return a watch of the operation."""
        return self.registry.register_watcher(id)

    def wait_all(self, run_id: RunId, ids: Iterable[OperationId]) -> WaitAll:
        """Return a barrier over the operations."""
        return self.registry.wait_all(run_id, ids)

    def register(self, id: OperationId, label: Label) -> Awaitable[None]:
        """Register the operation."""
        spec = OperationSpec(id, label.kind, label.owner, label.name, label.source)
        return self._call(self.registry.register_operation, spec)

    def start(self, id: OperationId) -> Awaitable[None]:
        """Record that the work runs."""
        return self._call(self.registry.provisioning_succeeded, id)

    def complete(self, id: OperationId, result: OperationResult) -> Awaitable[None]:
        """End the operation with a result."""
        return self._call(self.registry.complete_operation, id, result)

    def fail(self, id: OperationId, error: str) -> Awaitable[None]:
        """End the operation with an error."""
        return self._call(self.registry.fail_operation, id, error)

    def cancel(self, id: OperationId, reason: str | None) -> Awaitable[None]:
        """End the operation on request."""
        return self._call(self.registry.cancel_operation, id, reason)

    def report(self, id: OperationId, update: OperationProgressUpdate) -> Awaitable[None]:
        """Record progress."""
        return self._call(self.registry.report_progress, id, update)

    def discard(self, id: OperationId) -> Awaitable[None]:
        """Erase the operation as if it had never been registered."""
        return self._call(self.registry.rollback_unreturned_operation, id)

    def close(self) -> None:
        """End the threads that made the calls."""
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    async def _call_in_thread(self, method: Callable[..., None], *arguments: object) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_CALLING_THREADS_MAX, "opslifecycle-calls")
        # `unbroken`, because a later call in another thread could overtake one that is abandoned.
        await unbroken(
            asyncio.get_running_loop().run_in_executor(self._threads, method, *arguments)
        )


def _call_directly(method: Callable[..., Awaitable[None]], *arguments: object) -> Awaitable[None]:
    return method(*arguments)

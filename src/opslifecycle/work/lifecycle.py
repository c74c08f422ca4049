"""The calls of a registry that a supervisor needs, which its machine declares in `work`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeAlias

import attrs
from opslifecycle import (
    ChannelClosedError,
    InvalidValueError,
    OperationId,
    OperationProgressUpdate,
    OpsLifecycleError,
    RegistryClosedError,
    SessionId,
    UnsupportedError,
    unstructure,
)
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.work import WorkCall, WorkDefinition
from opslifecycle.sync.waits import Wait
from opslifecycle.values.identifiers import AnyIdentifier, identifier_of_uuid
from opslifecycle.work.cancelling import unbroken
from opslifecycle.work.ends import NotStorableError, content_of
from opslifecycle.work.machines import IdT, OutcomeT, ResultsT, WorkRegistry
from opslifecycle.work.timeouts import is_timeout

#: The namespace of identifiers from keys (UUIDv5). Never change it: stored ids depend on it.
_KEYS = uuid.UUID("6f1a5f0e-3c0b-5d0c-9a53-0f6c7d1b8e21")
_CALLING_THREADS_MAX = 32


@attrs.frozen
class Label:
    """The description of work in its record.

    `owner` takes turns with other owners; `given` are the parameters that the machine declares;
    `call` is what a later process needs to run the work.
    """

    name: str
    source: str
    owner: SessionId
    given: Mapping[str, object]
    call: str | None = None


class Lifecycle(Generic[IdT, OutcomeT, ResultsT]):
    """The calls that record what a supervisor runs.

    A call that is cancelled may take effect, but not after a later call. Calls of a registry for
    threads are made in threads, so that they do not block the event loop.

    Args:
        registry: A generated registry, of either kind.

    Raises:
        InvalidValueError: It is none, or its machine declares no `work`.
    """

    def __init__(self, registry: WorkRegistry[IdT, OutcomeT, ResultsT]) -> None:
        definition = getattr(registry, "_work", None)
        if not isinstance(definition, WorkDefinition):
            reason = "expected a registry whose machine declares `work`"
            raise InvalidValueError("registry", f"{reason}, got {type(registry).__name__}")
        engine = getattr(registry, "_engine", None)
        assert isinstance(engine, Engine)
        self.registry, self._engine = registry, engine
        self.definition: WorkDefinition[IdT, OutcomeT, ResultsT] = definition
        self._threads: ThreadPoolExecutor | None = None
        self._calls = {each.method: self._call_of(each.method) for each in definition.calls()}
        self.given = dict(definition.given)
        self._watch: Callable[[IdT], Wait[OutcomeT]] = getattr(registry, definition.watch.method)
        self._snapshot: Callable[[IdT], object] = getattr(registry, definition.snapshot)

    # Reads --------------------------------------------------------------------------------------

    def new_id(self) -> IdT:
        """Return a new id."""
        kind: type[IdT] = self.definition.id
        return kind.new()

    def id_of(self, key: str, number: int = 1) -> IdT:
        """Return the id of a key's first operation, or of a later one; always the same."""
        kind: type[IdT] = self.definition.id
        first = uuid.uuid5(_KEYS, key)
        return identifier_of_uuid(kind, first if number == 1 else uuid.uuid5(first, str(number)))

    def find(self, id: IdT) -> Wait[OutcomeT] | None:
        """Return a watch of a record; None if there is none."""
        try:
            return self._watch(id)
        except OpsLifecycleError:
            if self._snapshot(id) is None:
                return None
            raise

    def is_over(self, id: IdT) -> bool:
        """Return whether a record has ended or is erased."""
        try:
            watch = self.find(id)
        except RegistryClosedError:
            return False
        return watch is None or watch.done()

    def is_cancelled(self, outcome: OutcomeT) -> bool:
        """Return whether an outcome is that of cancelled work."""
        return _is_one_of(outcome, self.definition.cancelled)

    def has_timed_out(self, outcome: OutcomeT) -> bool:
        """Return whether an outcome is that of work whose timeout has passed.

        Raises:
            UnsupportedError: The machine does not distinguish it from other failures.
        """
        definition = self.definition
        if definition.timed_out:
            return _is_one_of(outcome, definition.timed_out)
        kind: type[AnyIdentifier] = definition.id
        if kind is not OperationId:
            raise UnsupportedError("timed_out")
        return is_timeout(outcome)

    def is_interrupted(self, watch: Wait[OutcomeT]) -> bool:
        """Return whether a record has ended because its process had ended first."""
        if not watch.done():
            return False
        try:
            return _is_one_of(watch.value(), self.definition.interrupted)
        except ChannelClosedError:
            return False

    def left_behind(self) -> list[tuple[IdT, str, bool]]:
        """Return the live records of the last process that store a call, and are not claimed.

        Returns:
            The id, the text of the call and whether the work was still waiting for its turn.

        Raises:
            UnsupportedError: The machine stores no calls.
        """
        call_of = self.definition.call
        if call_of is None:
            raise UnsupportedError("recover")
        found = [(each.id, *call_of(each)) for each in self._engine.unclaimed()]
        return [(id, call, waits) for id, call, waits in found if call is not None]

    def claim(self, id: IdT) -> bool:
        """Claim such a record, which no other caller can do then."""
        return bool(self._engine.interrupted) and self._engine.claim(id)

    def unclaim(self, id: IdT) -> None:
        """Leave a record to the next caller that claims it."""
        self._engine.interrupted.add(id)

    def wait_all(self, key: AnyIdentifier | None, ids: Iterable[IdT]) -> Wait[ResultsT]:
        """Return a barrier over the records.

        Raises:
            UnsupportedError: The machine declares no barrier.
        """
        barrier = self.definition.barrier
        if not barrier.method:
            raise UnsupportedError("gather")
        wait_all: Callable[..., Wait[ResultsT]] = getattr(self.registry, barrier.method)
        return wait_all(key or barrier.key.new(), list(ids))

    def completion(
        self, id: IdT, value: object, duration_ms: int, characters_max: int
    ) -> tuple[object, ...]:
        """Return the arguments of `complete` for a value that work returned.

        A text is recorded as it is, None as the empty text, anything else as JSON; a whole result
        of the machine is recorded as it is.

        Raises:
            NotStorableError: The value is not serialisable or too large.
        """
        definition = self.definition
        if definition.takes_value or (
            definition.result is not None and isinstance(value, definition.result)
        ):
            content_of(unstructure(value), characters_max)
            return id, value
        content = content_of(value, characters_max)
        try:
            return definition.complete.arguments(id, content, duration_ms)
        except InvalidValueError as error:
            raise NotStorableError(f"the result cannot be stored: {error}") from None

    # Calls --------------------------------------------------------------------------------------

    def register(self, id: IdT, label: Label) -> Awaitable[None]:
        """Create the record, which waits for its turn."""
        make = self.definition.register.arguments
        arguments = make(id, label.name, label.source, call=label.call, **label.given)
        return self._calls[self.definition.register.method](*arguments)

    def start(self, id: IdT) -> Awaitable[None]:
        """Record that the work runs."""
        return self._make(self.definition.start, id)

    def complete(self, arguments: tuple[object, ...]) -> Awaitable[None]:
        """End the record with a result."""
        return self._calls[self.definition.complete.method](*arguments)

    def fail(self, id: IdT, error: str) -> Awaitable[None]:
        """End the record with an error."""
        return self._make(self.definition.fail, id, error)

    def time_out(self, id: IdT, error: str) -> Awaitable[None]:
        """End the record of work whose timeout has passed, as failed if the machine has no more."""
        return self._make(self.definition.time_out or self.definition.fail, id, error)

    def cancel(self, id: IdT, reason: str | None) -> Awaitable[None]:
        """End the record on request, in whatever status it is."""
        return self._make(self.definition.cancel, id, reason)

    async def report(self, id: IdT, update: OperationProgressUpdate) -> None:
        """Record progress, if the machine can."""
        progress = self.definition.progress
        if progress is not None:
            await self._make(progress, id, update.message, update.percent)

    async def stop(self, id: IdT, reason: str | None) -> None:
        """Record that the work is asked to stop, if the machine can."""
        stop = self.definition.stop
        if stop is not None:
            await self._make(stop, id, reason)

    def discard(self, id: IdT) -> Awaitable[None]:
        """Erase the record as if it had never been; a machine that cannot cancels it."""
        if self.definition.discard is None:
            return self.cancel(id, "it was not started")
        return self._call_of(self.definition.discard)(id)

    def close(self) -> None:
        """End the threads that made the calls. The registry stays open."""
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def _make(self, call: WorkCall, *arguments: object) -> Awaitable[None]:
        return self._calls[call.method](*call.arguments(*arguments))

    def _call_of(self, name: str) -> Callable[..., Awaitable[None]]:
        """Return a method of the registry as one that can be awaited."""
        if hasattr(self.registry, "__aenter__"):
            method: Callable[..., Awaitable[None]] = getattr(self.registry, name)
            return method
        return partial(self._call_in_thread, getattr(self.registry, name))

    async def _call_in_thread(self, method: Callable[..., None], *arguments: object) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_CALLING_THREADS_MAX, "opslifecycle-calls")
        loop = asyncio.get_running_loop()
        calling: asyncio.Future[None] = loop.run_in_executor(self._threads, method, *arguments)
        # `unbroken`, because a later call in another thread could overtake one that is abandoned.
        await unbroken(calling)

    async def calls_ended(self) -> None:
        """Return once the calls in threads that are now in progress have ended.

        Those are included whose future an interrupt has kept from reaching the caller.
        """
        threads, self._threads = self._threads, None
        if threads is not None:
            await unbroken(asyncio.ensure_future(asyncio.to_thread(threads.shutdown)))


def _is_one_of(outcome: object, kinds: tuple[object, ...]) -> bool:
    return any(
        isinstance(outcome, each) if isinstance(each, type) else outcome is each for each in kinds
    )


#: The lifecycle of whichever machine; a block passes it identifiers of that machine only.
AnyLifecycle: TypeAlias = Lifecycle[AnyIdentifier, object, object]

"""The public reader: a copy of a registry in a store, for processes that do not own it."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Generic, NoReturn, Protocol, Self, TypeVar

from opslifecycle.errors import (
    EpochChangedError,
    InvalidValueError,
    OpsLifecycleError,
    PersistenceError,
    RegistryClosedError,
    StoreDamagedError,
    StoreVersionError,
    UnsupportedError,
)
from opslifecycle.locks import hold, owned_lock
from opslifecycle.logs import EventLog
from opslifecycle.shell.archive import in_thread
from opslifecycle.shell.definitions import AnyDefinition, Definition
from opslifecycle.shell.executor import Executor
from opslifecycle.shell.export import reporting_damage
from opslifecycle.shell.fitting import messages_of
from opslifecycle.shell.replica import Replica, StoredRow, replicate
from opslifecycle.shell.settings import epoch_from
from opslifecycle.stores.base import Store, StoreContents
from opslifecycle.stores.epochs import lacks_feed
from opslifecycle.values.checks import finite, instance
from opslifecycle.values.plain import Data, data_of

if TYPE_CHECKING:
    from opslifecycle.stores.reading import RegistryView, StoredRegistry

ReadsT_co = TypeVar("ReadsT_co", covariant=True)

_log = EventLog("reader")
#: Failures after which the copy cannot follow the store any more.
_LASTING = (EpochChangedError, StoreDamagedError, StoreVersionError)


class Readable(Protocol[ReadsT_co]):
    """A generated registry, of either kind."""

    def _reads(self) -> ReadsT_co: ...


class Reader(Generic[ReadsT_co]):
    """A view of a registry in a store, which another process may own and change.

    Use it as `with Reader(Registry, store) as reader:` or with `async with`. `reader.records` has
    every read and wait of the machine's registries. It follows the store: a thread looks for
    commits. The store is not opened, so its owner is neither delayed nor dispossessed.

    Args:
        machine: The class of the registry, of either kind.
        store: Where the registry is, by its name. A `SqliteStore` or a `PostgresStore`.
        poll_seconds: The time between two looks at the store.

    Raises:
        InvalidValueError: An argument is of the wrong type, or the store cannot be read so.
    """

    def __init__(
        self, machine: type[Readable[ReadsT_co]], store: Store, *, poll_seconds: float = 0.2
    ) -> None:
        definition = getattr(machine, "_definition", None) if isinstance(machine, type) else None
        if not isinstance(definition, Definition) or definition.codec is None:
            reason = "expected the class of a registry that can have a store"
            raise InvalidValueError("machine", f"{reason}, got {machine!r:.80}")
        instance("store", store, Store)
        instance("poll_seconds", poll_seconds, float | int)
        finite("poll_seconds", poll_seconds)
        if poll_seconds <= 0:
            raise InvalidValueError("poll_seconds", f"expected more than 0, got {poll_seconds!r}")
        self._machine = machine
        self._definition: AnyDefinition = definition
        self._codec = definition.codec
        self._store = store
        self._poll_seconds = poll_seconds
        self._look = store.reading(definition.codec.schema)
        self._copy: _Copy[ReadsT_co] | None = None
        self._found: StoredRegistry | None = None
        # Held while the store is read, by the thread or by a caller of `refresh`.
        self._reading = owned_lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: OpsLifecycleError | None = None

    # The block ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._found is not None:
            raise RegistryClosedError
        with reporting_damage(self._store):
            found = self._look()
            self._definition.schema.refuse_unfit(found.version, found.stored, self._store.name)
            self._copy = _Copy(self._machine, self._definition, self._store, found.stored)
        # One for each thread: an opening that was interrupted may have started one.
        stopped = self._stopped = threading.Event()
        thread = threading.Thread(
            target=self._follow, args=(stopped,), name="opslifecycle-reader", daemon=True
        )
        try:
            thread.start()
            self._thread = thread
            self._found = found
            return self
        except BaseException:
            stopped.set()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await in_thread(self.__enter__)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await in_thread(self.close)

    def close(self) -> None:
        """Stop to follow the store, and end every wait here. Reads still work."""
        self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        if self._copy is not None:
            self._copy.close()
        hold(self._reading, self._look.close)

    # Reading ------------------------------------------------------------------------------------

    @property
    def records(self) -> ReadsT_co:
        """The reads and waits of the machine's registries, as of the last look.

        Waits end when the store shows their end. A wait for a record that was erased before the
        reader has seen its end raises ChannelClosedError. A command raises UnsupportedError.
        """
        return self._opened().registry._reads()

    @property
    def owner(self) -> str | None:
        """The process that owns the registry; None if there is none.

        Records that are live without an owner were interrupted: the next owner recovers them.
        """
        return self._seen().holder

    @property
    def owner_responds(self) -> bool:
        """Whether the owner renews its lease; one that does not is suspended, or hangs."""
        return self._seen().responds

    def refresh(self) -> None:
        """Look at the store now: every commit before this call is visible afterwards.

        It blocks for the time of one read. In an event loop: `await asyncio.to_thread(refresh)`.

        Raises:
            PersistenceError: The store cannot be read. What was read before stays visible.
            StoreDamagedError: It cannot be read any more. All waits have ended.
            EpochChangedError: It was restored from a backup. All waits have ended.
            RegistryClosedError: The reader is closed.
        """
        hold(self._reading, self._refresh, self._opened())

    def _refresh(self, copy: _Copy[ReadsT_co]) -> None:
        if self._failure is not None:
            raise self._failure
        if not copy.replica.is_open:
            raise RegistryClosedError
        before = self._found
        try:
            with reporting_damage(self._store):
                # The owner first: a wait that this look ends must not see the one before.
                found = self._found = self._look()
                copy.take(found.stored, self._store.name)
        except _LASTING as error:
            self._failure, self._found = error, before
            copy.replica.end()
            raise

    def _follow(self, stopped: threading.Event) -> None:
        problem = ""
        while not stopped.wait(self._poll_seconds):
            try:
                self.refresh()
                problem = ""
            except _LASTING as error:
                _log.error(
                    "following_ended", "%s is not followed any more: %s", self._store.name, error
                )
                return
            except RegistryClosedError:
                return
            except PersistenceError as error:
                if str(error) != problem:
                    problem = str(error)
                    _log.warning(
                        "store_unreadable", "%s cannot be read now: %s", self._store.name, error
                    )

    def _opened(self) -> _Copy[ReadsT_co]:
        if self._copy is None:
            raise RegistryClosedError
        return self._copy

    def _seen(self) -> StoredRegistry:
        if self._found is None:
            raise RegistryClosedError
        return self._found


class _Copy(Generic[ReadsT_co]):
    """A registry that shows the contents of a store, and takes up what changes in them."""

    def __init__(
        self,
        machine: type[Readable[ReadsT_co]],
        definition: AnyDefinition,
        store: Store,
        contents: StoreContents,
    ) -> None:
        assert definition.codec is not None
        self._definition = definition
        self._contents = contents
        self.registry, self._parts = replicate(
            machine, definition, contents, lambda engine: _Refusing(engine, definition.id_type)
        )
        self.replica = Replica(self._parts.engine, definition.codec)
        self._archived: RegistryView | None = None
        if self._parts.archive is not None:
            # A view of its own, because the thread that follows the store uses the other one.
            self._archived = store.reading(definition.codec.schema)
            archive = self._parts.archive.over(self._archived)
            object.__setattr__(self.registry, "_archive", archive)
        self._restore_outbox(contents)

    def close(self) -> None:
        """End every wait, and release the connection for the archive."""
        self.replica.end()
        if self._archived is not None:
            self._archived.close()

    def take(self, contents: StoreContents, where: str) -> None:
        """Take up the difference between the contents and those of the last call.

        Raises:
            EpochChangedError: The store was restored from a backup.
            StoreDamagedError: The contents are older than those before.
            ValueError, LookupError, TypeError: No registry has written them.
        """
        before = self._contents
        if contents.state is None or contents == before:
            return
        self._check_later(before, contents, where)
        is_smaller = not contents.records.keys() >= before.records.keys()
        current = contents.records if is_smaller else None
        self.replica.advance(_changes(before, contents), current, contents.state)
        self._restore_outbox(contents)
        # Last: what was interrupted before is taken up again.
        self._contents = contents

    def _check_later(self, before: StoreContents, now: StoreContents, where: str) -> None:
        feed, declared = self._parts.feed, self._definition.feed
        if feed is None or declared is None:
            return
        old, new = _state(before), _state(now)
        if lacks_feed(old):
            # Its owner had not written anything yet, or is of a version without a feed.
            if not lacks_feed(new):
                feed.epoch_id = epoch_from(new, declared.epoch)
        elif old["epoch_id"] != new["epoch_id"]:
            raise EpochChangedError(old["epoch_id"], new["epoch_id"])
        elif new["watermark"] < old["watermark"]:
            cause = (
                "it was restored from a backup, and no process has opened it since; open a registry"
            )
            raise PersistenceError(where, cause)

    def _restore_outbox(self, contents: StoreContents) -> None:
        outbox = self._parts.outbox
        if outbox is not None:
            outbox.restore(messages_of(self._definition, contents))


def _state(contents: StoreContents) -> Data:
    return {} if contents.state is None else data_of(contents.state)


def _changes(before: StoreContents, now: StoreContents) -> Iterator[StoredRow]:
    """Yield the rows of a store that make one state of a registry of another."""
    fed: set[str] = set()
    for sequence, (id, body) in now.rows.items():
        if sequence not in before.rows:
            is_current = now.records.get(id) == body
            if is_current:
                fed.add(id)
            yield id, sequence, is_current, body
    for id, body in now.records.items():
        if id not in fed and before.records.get(id) != body:
            yield id, None, True, body


class _Refusing(Executor):
    """The executor of a copy, which has no commands."""

    def act(self, *arguments: object, **options: object) -> NoReturn:
        """Refuse."""
        raise UnsupportedError("commands of a reader")

    run = transact = act

    def act_async(self, *arguments: object, **options: object) -> Awaitable[NoReturn]:
        """Refuse."""
        raise UnsupportedError("commands of a reader")

    run_async = transact_async = act_async

    def close(self) -> None:
        """End every wait."""
        self._engine.end(RegistryClosedError)

    async def close_async(self) -> None:
        """End every wait."""
        self.close()

    def _abandon(self) -> None:
        self.close()

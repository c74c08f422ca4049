"""The construction of a registry from the definition in its generated package."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs
from opslifecycle.clock import SYSTEM_CLOCK, Clock, CommandTime
from opslifecycle.errors import InvalidValueError
from opslifecycle.shell.authority import Authority, IdT, RecordT
from opslifecycle.shell.codec import MachineCodec
from opslifecycle.shell.commands import recovering
from opslifecycle.shell.definitions import Definition, FeedDefinition
from opslifecycle.shell.delivery import Handler, check_handler
from opslifecycle.shell.direct import DirectExecutor
from opslifecycle.shell.effects import EffectRunner, FeedParts
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.executor import Executor
from opslifecycle.shell.export import decode, encode, fill, reporting_damage
from opslifecycle.shell.feed import CompletionFeed, Entry, MachineFeed
from opslifecycle.shell.fitting import messages_of
from opslifecycle.shell.listing import Listing
from opslifecycle.shell.opening import Opening
from opslifecycle.shell.settings import epoch_from
from opslifecycle.shell.staging import Staging, by_slots
from opslifecycle.stores.base import EMPTY, Interrupted, RecordWrite, Store, StoreContents
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.values.checks import instance
from opslifecycle.values.identifiers import Identifier
from opslifecycle.values.plain import Data, data_of

if TYPE_CHECKING:
    from opslifecycle.shell.archive import Archive
    from opslifecycle.shell.outbox import Outbox

RegistryT = TypeVar("RegistryT")


@attrs.frozen(eq=False, repr=False)
class Parts(Generic[RecordT]):
    """The parts of a registry before it is opened."""

    authority: Authority[Hashable, RecordT]
    engine: Engine[Hashable, RecordT]
    executor: Executor
    feed: MachineFeed | None
    outbox: Outbox | None
    archive: Archive[object] | None

    def attributes(self) -> dict[str, object]:
        """Return the attributes of the registry, which has none for a part that it lacks."""
        parts = {"_authority": self.authority, "_engine": self.engine}
        optional = {"_feed": self.feed, "_outbox": self.outbox, "_archive": self.archive}
        present = {name: part for name, part in optional.items() if part is not None}
        # Last: from then on, closing the executor closes the store.
        return {**parts, **present, "_executor": self.executor}


def open_registry(
    registry: object,
    definition: Definition[RecordT],
    /,
    *,
    store: Store | None = None,
    on_effect: Handler | None = None,
    clock: Clock = SYSTEM_CLOCK,
    **given: object,
) -> None:
    """Build the parts of a registry, and recover the contents of its store.

    Args:
        registry: The new registry, which gets its parts as attributes.
        definition: The machine.
        store: A store, which the registry then owns.
        on_effect: The handler of outbox messages.
        clock: The clock of commands.
        **given: The checked arguments of the constructor; UNSET for one that was not passed.

    Raises:
        InvalidValueError: The handler, the store or the clock is of the wrong type, or the store
            has no archive, and the machine archives.
        RegistryOwnedError: Another registry owns the store.
        StoreDamagedError: The store's contents cannot be read.
        StoreVersionError: The contents are of another machine, or of a version without a migration.
        PersistenceError: The store cannot be read or written.
    """
    check_handler(on_effect)
    _check_store(store, definition)
    instance("clock", clock, Clock)
    opening = Opening(store)
    try:
        contents = EMPTY if store is None else store.open(definition.schema)
        executor = _begin(registry, definition, given, store, contents, on_effect, clock)
        if store is not None and contents.state is not None:
            _recover(executor, definition, store.interrupted)
        executor.start_timers()
    except BaseException as error:
        opening.give_up(error, registry)
        raise


def import_registry(
    kind: type[RegistryT], definition: Definition[RecordT], document: object, *, store: Store | None
) -> RegistryT:
    """Return a registry with the state of a document from `export_registry`.

    Args:
        kind: The class of the registry.
        definition: The machine.
        document: The document.
        store: An empty store, which then has the state; None for a registry without a store.

    Raises:
        StoreVersionError: The document is of another machine or version.
        StoreDamagedError: The document was altered.
        InvalidValueError: The store is not empty.
    """
    codec, feed = _codec(definition), definition.feed
    replaced = {} if feed is None else {"epoch_id": str(feed.epoch.new())}
    contents = decode(document, definition.schema, **replaced)
    _check_store(store, definition)
    registry = kind.__new__(kind)
    opening = Opening(store)
    try:
        if store is not None:
            with reporting_damage(None):
                persistent = codec.persistent(contents)
            fill(store, codec.schema, persistent)
        executor = _begin(registry, definition, {}, store, contents, None, SYSTEM_CLOCK)
        _recover(executor, definition, None if store is None else store.interrupted)
        executor.start_timers()
    except BaseException as error:
        opening.give_up(error, registry)
        raise
    return registry


def export_registry(engine: Engine[IdT, RecordT], definition: Definition[RecordT]) -> Data:
    """Return the state of a registry at this instant as a JSON-ready document."""
    codec = _codec(definition)
    return encode(codec.schema, *engine.lock.hold(_exported, engine, codec))


def _exported(
    engine: Engine[IdT, RecordT], codec: MachineCodec[RecordT]
) -> tuple[list[RecordWrite], list[RecordWrite], str]:
    effects, feed = engine.effects, engine.effects.feed
    records = [codec.serialize(each) for each in engine.authority.records.values()]
    if effects.outbox is not None:
        records += effects.outbox.writes()
    rows = [] if feed is None else [codec.row(each) for each in feed.records()]
    epoch_id = "" if feed is None else str(feed.epoch_id)
    serialize_state = codec.serialize_after(engine.messages_before)
    return records, rows, serialize_state(engine.authority, epoch_id)


def broken_invariants(
    engine: Engine[IdT, RecordT], invariants: Mapping[str, Callable[..., bool]]
) -> list[str]:
    """Return the names of the invariants that are false at this instant.

    Args:
        engine: The engine of the registry.
        invariants: By name, functions of the authority, the feed entries and the barriers.
    """
    return engine.lock.hold(_broken, engine, invariants)


def _broken(
    engine: Engine[IdT, RecordT], invariants: Mapping[str, Callable[..., bool]]
) -> list[str]:
    feed = engine.effects.feed
    entries = () if feed is None else feed.entries()
    state = (engine.authority, entries, engine.effects.barriers.all())
    return [name for name, is_true in invariants.items() if not is_true(*state)]


def _codec(definition: Definition[RecordT]) -> MachineCodec[RecordT]:
    assert definition.codec is not None, "a machine without recovery has no store"
    return definition.codec


def _check_store(store: Store | None, definition: Definition[RecordT]) -> None:
    if store is None:
        return
    instance("store", store, Store)
    if definition.codec is not None and definition.codec.schema.archives and not store.archives:
        reason = f"the machine archives what it evicts, and {store.name} has no archive"
        raise InvalidValueError("store", reason)


def _begin(
    registry: object,
    definition: Definition[RecordT],
    given: Mapping[str, object],
    store: Store | None,
    contents: StoreContents,
    on_effect: Handler | None,
    clock: Clock,
) -> Executor:
    with reporting_damage(store):
        parts = parts_of(definition, given, store, contents, on_effect, clock)
        for name, part in parts.attributes().items():
            setattr(registry, name, part)
        parts.executor.start()
        if parts.outbox is not None:
            parts.outbox.restore(messages_of(definition, contents))
    # A registry that is dropped without being closed ends its waits.
    weakref.finalize(registry, parts.executor.abandon).atexit = False
    return parts.executor


def parts_of(
    definition: Definition[RecordT],
    given: Mapping[str, object],
    store: Store | None,
    contents: StoreContents,
    on_effect: Handler | None,
    clock: Clock,
) -> Parts[RecordT]:
    """Return the parts of a registry, with the contents of its store and nothing started.

    A part is imported when a registry needs it, so that those without a store, timers or effects of
    their own start sooner.
    """
    state = data_of(contents.state) if contents.state is not None else {}
    lock = PublicationLock()
    authority: Authority[Hashable, RecordT] = definition.authority(
        **{each.argument: each.value(given, state) for each in definition.settings}
    )
    feed, parts = _feed(lock, authority, definition.feed, store, state)
    outbox = _outbox(lock, definition, on_effect)
    listing = Listing(authority.records, definition.listing_keys, definition.pages)
    effects = EffectRunner(listing, parts, outbox)
    codec, evicted = definition.codec, effects.begin()
    if codec is not None:
        rows = codec.restore(authority, contents, clock, partial(_archived_through, store, codec))
        evicted = effects.restore(authority, rows)
    time = CommandTime(clock, authority.clock_offset_ms + authority.now_ms)
    staging: Staging[Authority[Hashable, RecordT]] = (
        by_slots() if codec is None else Staging(codec.stage, codec.merge)
    )
    engine = Engine(authority, lock, effects, time, staging)
    engine.messages_before = 0 if codec is None else codec.messages_before(state)
    undated: list[RecordT] = []
    if definition.timers is not None:
        from opslifecycle.shell.alarm import Alarm

        undated = definition.timers.begin(authority.records.values(), time.now_ms())
        effects.use_alarm(Alarm(lock, authority, time, definition.timers))
    executor: Executor
    if store is None:
        executor = DirectExecutor(engine, definition.id_type)
    else:
        from opslifecycle.shell.commits import Committer
        from opslifecycle.shell.group_commit import GroupCommit

        epoch = "" if feed is None else str(feed.epoch_id)
        committer = Committer(engine, store, _codec(definition), epoch, contents.state)
        committer.defer(undated)
        committer.defer_evicted(evicted)
        executor = GroupCommit(engine, definition.id_type, committer)
    return Parts(authority, engine, executor, feed, outbox, _archive(engine, definition, store))


def _archived_through(store: Store | None, codec: MachineCodec[RecordT]) -> int:
    """Return the last sequence number in the archive of a store; 0 for none."""
    if store is None or not codec.schema.archives:
        return 0
    return max((sequence for sequence, *_ in store.archived_before(None, 1)), default=0)


def _feed(
    lock: PublicationLock,
    authority: Authority[Hashable, RecordT],
    declared: FeedDefinition[Entry, Identifier] | None,
    store: Store | None,
    state: Data,
) -> tuple[MachineFeed | None, FeedParts | None]:
    if declared is None:
        return None, None
    epoch_id = epoch_from(state, declared.epoch)
    feed = CompletionFeed(lock, authority, declared.entry_of, declared.batch, epoch_id)
    parts = FeedParts(feed, of_transitions=declared.of_transitions)
    if declared.rows_max is not None:
        parts = attrs.evolve(
            parts,
            rows_max=declared.rows_max(authority),
            held_by_cursors=declared.held_by_cursors,
            archives=store is not None and declared.snapshot_of is not None,
        )
    return feed, parts


def _outbox(
    lock: PublicationLock, definition: Definition[RecordT], on_effect: Handler | None
) -> Outbox | None:
    sent = definition.outbox
    if sent is None:
        return None
    from opslifecycle.shell.outbox import Outbox

    return Outbox(lock, sent.snapshot_of, sent.body_of, on_effect, sent.rules)


def _archive(
    engine: Engine[Hashable, RecordT], definition: Definition[RecordT], store: Store | None
) -> Archive[object] | None:
    snapshot_of = None if definition.feed is None else definition.feed.snapshot_of
    if snapshot_of is None:
        return None
    from opslifecycle.shell.archive import Archive, ArchivedForm

    codec, pages = _codec(definition), definition.pages
    form = ArchivedForm(
        schema=codec.schema,
        deserialize=codec.deserialize,
        snapshot_of=snapshot_of,
        filters_of=definition.listing_keys,
        orders_of=pages.keys_of if pages is not None else lambda record: (),
    )
    return Archive(engine, store, form)


def _recover(
    executor: Executor, definition: Definition[RecordT], interrupted: Interrupted | None
) -> None:
    command = recovering(interrupted, definition.terminate, definition.discard)
    if command is not None:
        executor.run(command)
    executor.note_interrupted()

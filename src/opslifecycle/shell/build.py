"""The construction of a registry from the definition that its generated package prints."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

import attrs
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.shell.codec import RecordCodec
from opslifecycle.shell.commands import recovering
from opslifecycle.shell.commits import Committer
from opslifecycle.shell.delivery import check_handler
from opslifecycle.shell.direct import DirectExecutor
from opslifecycle.shell.effects import EffectRunner, FeedParts
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.executor import Executor
from opslifecycle.shell.export import decode, encode, fill, reporting_damage
from opslifecycle.shell.feed import CompletionFeed, FeedBatch
from opslifecycle.shell.group_commit import GroupCommit
from opslifecycle.shell.listing import Listing
from opslifecycle.shell.messages import OutboxRules, restored
from opslifecycle.shell.opening import Opening
from opslifecycle.shell.outbox import Outbox
from opslifecycle.shell.settings import Setting, epoch_from
from opslifecycle.stores.base import EMPTY, Data, Interrupted, RecordWrite, Store, StoreContents
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.values.checks import instance
from opslifecycle.values.conversion import data_of
from opslifecycle.values.identifiers import Identifier

RegistryT = TypeVar("RegistryT")
#: A function or a type of generated code, of whatever types the machine declares.
Generated = Callable[..., Any]


@attrs.frozen(kw_only=True)
class FeedDefinition:
    """The feed of a machine. Without `rows_max`, every entry is retained."""

    entry_of: Generated
    batch: type[FeedBatch[Any]]
    epoch: type[Identifier]
    rows_max: Callable[[Any], int] | None = None
    held_by_cursors: bool = False


@attrs.frozen(kw_only=True)
class OutboxDefinition:
    """The outbox of a machine: its rules, its closed sets, and the contents of a message."""

    rules: OutboxRules
    effects: type[Enum]
    actions: type[Enum]
    snapshot_of: Generated
    body_of: Callable[[Any], str] | None = None


@attrs.frozen(kw_only=True)
class Definition:
    """The parts of a machine that its registries are built from; generated.

    `terminate` and `discard` are the commands by which live records are recovered, and `codec` is
    None for a machine without recovery, which has no store.
    """

    authority: Generated
    listing_keys: Generated
    settings: tuple[Setting, ...] = ()
    feed: FeedDefinition | None = None
    outbox: OutboxDefinition | None = None
    codec: RecordCodec[Any] | None = None
    terminate: Generated | None = None
    discard: Generated | None = None


@attrs.frozen
class _Parts:
    """The parts of a registry, before they work."""

    authority: Any
    engine: Engine[Any, Any]
    executor: Executor
    feed: CompletionFeed[Any, Any] | None
    outbox: Outbox | None


def open_registry(
    registry: object,
    definition: Definition,
    /,
    *,
    store: Store | None = None,
    on_effect: Generated | None = None,
    **given: Any,
) -> None:
    """Build the parts of a registry, and recover what its store holds.

    Args:
        registry: The new registry, which gets its parts as attributes.
        definition: The machine.
        store: A store, which the registry then owns.
        on_effect: The handler of the machine's own effects.
        **given: The settings that the constructor was given, checked; UNSET for nothing.

    Raises:
        InvalidValueError: The handler or the store is of the wrong type.
        RegistryOwnedError: Another registry owns the store.
        StoreDamagedError: The store's contents cannot be read.
        StoreVersionError: They are of another machine, or of a version without a migration.
        PersistenceError: The store cannot be read or written.
    """
    check_handler(on_effect)
    _check_store(store)
    opening = Opening(store)
    try:
        contents = EMPTY if store is None else store.open(_codec(definition).schema)
        _begin(registry, definition, given, store, contents, on_effect)
        if store is not None and contents.state is not None:
            _recover(registry, definition, store.interrupted)
    except BaseException as error:
        opening.give_up(error, registry)
        raise


def import_registry(
    kind: type[RegistryT], definition: Definition, document: object, *, store: Store | None
) -> RegistryT:
    """Return a registry with the state of a document from `export_registry`.

    Raises:
        StoreVersionError: The document is of another machine or version.
        StoreDamagedError: The document was altered.
        InvalidValueError: The store is not empty.
    """
    codec, feed = _codec(definition), definition.feed
    replaced = {} if feed is None else {"epoch_id": str(feed.epoch.new())}
    contents = decode(document, codec.schema, **replaced)
    _check_store(store)
    registry = kind.__new__(kind)
    opening = Opening(store)
    try:
        if store is not None:
            fill(store, codec.schema, contents)
        _begin(registry, definition, {}, store, contents, None)
        _recover(registry, definition, None if store is None else store.interrupted)
    except BaseException as error:
        opening.give_up(error, registry)
        raise
    return registry


def export_registry(engine: Engine[Any, Any], definition: Definition) -> Data:
    """Return the state of this instant as a JSON-ready document."""
    codec = _codec(definition)
    return encode(codec.schema, *engine.lock.hold(_exported, engine, codec))


def _exported(
    engine: Engine[Any, Any], codec: RecordCodec[Any]
) -> tuple[list[RecordWrite], list[RecordWrite], str]:
    effects, feed = engine.effects, engine.effects.feed
    records = [codec.serialize(each) for each in engine.authority.records.values()]
    if effects.outbox is not None:
        records += effects.outbox.writes()
    rows = [] if feed is None else [codec.serialize(each) for each in feed.records()]
    epoch_id = "" if feed is None else str(feed.epoch_id)
    return records, rows, codec.serialize_state(engine.authority, epoch_id)


def broken_invariants(engine: Engine[Any, Any], invariants: Mapping[str, Generated]) -> list[str]:
    """Return the names of the invariants that are false, at one instant."""
    return engine.lock.hold(_broken, engine, invariants)


def _broken(engine: Engine[Any, Any], invariants: Mapping[str, Generated]) -> list[str]:
    feed = engine.effects.feed
    entries = () if feed is None else feed.entries()
    state = (engine.authority, entries, engine.effects.barriers.all())
    return [name for name, is_true in invariants.items() if not is_true(*state)]


def _codec(definition: Definition) -> RecordCodec[Any]:
    assert definition.codec is not None, "a machine without recovery has no store"
    return definition.codec


def _check_store(store: Store | None) -> None:
    if store is not None:
        instance("store", store, Store)


def _begin(
    registry: Any,
    definition: Definition,
    given: Mapping[str, Any],
    store: Store | None,
    contents: StoreContents,
    on_effect: Generated | None,
) -> None:
    with reporting_damage(store):
        parts = _parts(definition, given, store, contents, on_effect)
        registry._authority = parts.authority
        registry._engine = parts.engine
        if parts.feed is not None:
            registry._feed = parts.feed
        if parts.outbox is not None:
            registry._outbox = parts.outbox
        # From here on, closing the executor closes the store.
        registry._executor = parts.executor
        parts.executor.start()
        if parts.outbox is not None:
            _restore_outbox(definition, contents, parts.outbox)
    # A registry that is dropped without being closed leaves no waiter asleep.
    weakref.finalize(registry, parts.executor.abandon).atexit = False


def _parts(
    definition: Definition,
    given: Mapping[str, Any],
    store: Store | None,
    contents: StoreContents,
    on_effect: Generated | None,
) -> _Parts:
    state = data_of(contents.state) if contents.state is not None else {}
    lock = PublicationLock()
    authority = definition.authority(
        **{each.argument: each.value(given, state) for each in definition.settings}
    )
    feed = parts = None
    declared = definition.feed
    if declared is not None:
        epoch_id = epoch_from(state, declared.epoch)
        feed = CompletionFeed(lock, authority, declared.entry_of, declared.batch, epoch_id)
        parts = FeedParts(feed)
        if declared.rows_max is not None:
            parts = FeedParts(feed, declared.rows_max(authority), declared.held_by_cursors)
    outbox = None
    if definition.outbox is not None:
        sent = definition.outbox
        outbox = Outbox(lock, sent.snapshot_of, sent.body_of, on_effect, sent.rules)
    effects = EffectRunner(Listing(authority.records, definition.listing_keys), parts, outbox)
    if definition.codec is not None:
        effects.restore(authority, definition.codec.restore(authority, contents, SYSTEM_CLOCK))
    engine = Engine(authority, lock, effects)
    executor: Executor
    if store is None:
        executor = DirectExecutor(engine)
    else:
        epoch = "" if feed is None else str(feed.epoch_id)
        committer = Committer(engine, store, _codec(definition), epoch, contents.state)
        executor = GroupCommit(engine, committer)
    return _Parts(authority, engine, executor, feed, outbox)


def _restore_outbox(definition: Definition, contents: StoreContents, outbox: Outbox) -> None:
    sent = definition.outbox
    assert sent is not None

    def snapshot(id: str, body: str) -> Any:
        return sent.snapshot_of(_codec(definition).deserialize(id, body), 0)

    outbox.restore(restored(contents.records, sent.effects, sent.actions, sent.rules, snapshot))


def _recover(registry: Any, definition: Definition, interrupted: Interrupted | None) -> None:
    command = recovering(interrupted, definition.terminate, definition.discard)
    if command is not None:
        registry._executor.run(command)

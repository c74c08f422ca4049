"""The commits of one registry: what each writes, and which writes wait for the next one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, cast

from attrs import evolve
from opslifecycle.shell.authority import Authority, IdT, RecordT
from opslifecycle.shell.batch import Batch, NotStorableError
from opslifecycle.shell.codec import RecordCodec
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.messages import OutboxEntry
from opslifecycle.shell.retention import Retention
from opslifecycle.stores.base import ArchivedRow, Commit, RecordWrite, StoreContents


class Writes(Generic[IdT, RecordT]):
    """The record writes of a registry; only the committer's thread uses them.

    Args:
        engine: The engine of the registry.
        codec: The conversion of records.
        epoch_id: The epoch of the feed; empty for a machine without a feed.
        state: The registry's fields in the store; None for a new store.
    """

    def __init__(
        self,
        engine: Engine[IdT, RecordT],
        codec: RecordCodec[Authority[IdT, RecordT], RecordT],
        epoch_id: str,
        state: str | None,
    ) -> None:
        self._engine = engine
        self._authority = engine.authority
        self._codec = codec
        self._epoch_id = epoch_id
        # Whether the store has other fields of the registry, such as other limits, or none yet.
        self._serialize_state = codec.serialize_after(engine.messages_before)
        self._is_stale = self._serialize_state(engine.authority, epoch_id) != state
        # The records with a published change that no commit has written yet.
        self._deferred: dict[IdT, None] = {}
        # The stored ids of records that are no longer persistent, which the next commit erases, and
        # the outbox messages that a delivery has changed, which it writes.
        self._leaving: dict[str, None] = {}
        self._messages: dict[str, OutboxEntry] = {}
        # What opening has evicted for the archive, and no commit has written yet.
        self._archived: list[ArchivedRow] = []
        # The stored ids of records that are persistent in an older version of the machine alone.
        # They stay as they were stored until they change.
        records = engine.authority.records.values()
        self._outlived = {str(each.id) for each in records if not codec.is_persistent(each)}

    @property
    def deferred_count(self) -> int:
        """The number of records with a change that no commit has written yet."""
        return len(self._deferred)

    @property
    def has_archived(self) -> bool:
        """Whether opening has evicted records that the archive does not have yet."""
        return bool(self._archived)

    @property
    def are_due(self) -> bool:
        """Whether a commit is needed without any command."""
        return bool(self._is_stale or self._deferred)

    def defer(self, records: Iterable[RecordT]) -> None:
        """Write records with the next commit that opening has changed."""
        self._deferred.update((record.id, None) for record in records)

    def defer_evicted(self, evicted: Retention) -> None:
        """Erase records with the next commit that opening has evicted."""
        gone = (row.id for row in evicted.evicted if row.id not in self._authority.records)
        self._leaving.update((str(id), None) for id in gone)
        self._archived = self._archived_of(evicted)

    def _archived_of(self, retention: Retention) -> list[ArchivedRow]:
        """Return what a store archives of evicted records."""
        rows: list[ArchivedRow] = []
        for record in retention.left:
            if self._codec.is_persistent(cast("RecordT", record)):
                id, sequence, body = self._codec.row(record)
                assert sequence is not None, "an evicted record has a feed entry"
                rows.append((sequence, id, self._codec.schema.version, body))
        return rows

    def defer_messages(self, entries: Iterable[OutboxEntry]) -> None:
        """Write outbox messages with the next commit that a delivery has changed."""
        self._messages.update((each.id, each) for each in entries)

    def defer_batch(self, decided: Batch[IdT, RecordT]) -> None:
        """Write the changes of a batch with the next commit."""
        self.defer(record for record, _ in decided.changes)
        self._leaving.update(
            (str(record.id), None)
            for record, _ in decided.changes
            if not self._is_persistent(record) and self._may_be_stored(record.id)
        )

    def forget(self) -> None:
        """Forget the deferred writes, because a commit has written them."""
        self._deferred.clear()
        self._leaving.clear()
        self._messages.clear()
        self._archived = []
        self._is_stale = False

    def published(self) -> StoreContents:
        """Return the published state as a store holds it."""
        authority, codec, effects = self._authority, self._codec, self._engine.effects
        records = filter(self._is_persistent, authority.records.values())
        writes = [codec.serialize(each) for each in records]
        if effects.outbox is not None:
            writes += effects.outbox.writes()
        rows = [] if effects.feed is None else [codec.row(each) for each in effects.feed.records()]
        entries = {number: (id, text) for id, number, text in rows if number is not None}
        state = self._serialize_state(authority, self._epoch_id)
        return StoreContents({id: text for id, _, text in writes}, entries, state)

    def of_deferred(self) -> Commit | None:
        """Return a commit of the deferred writes; None if there are none."""
        held = (self._authority.records.get(id) for id in self._deferred)
        persistent = (each for each in held if each is not None and self._is_persistent(each))
        writes = [self._codec.serialize(record) for record in persistent]
        if not (writes or self._leaving or self._messages or self._is_stale):
            return None
        written = {write[0] for write in writes}
        erased = [id for id in self._leaving if id not in written]
        messages = {id: entry.written() for id, entry in self._messages.items()}
        return self._commit_on(self._authority, writes, erased, messages)

    def of_batch(self, decided: Batch[IdT, RecordT]) -> Commit | None:
        """Return the commit of a batch; None if nothing of it must be durable now.

        Raises:
            NotStorableError: A record of the batch cannot be encoded.
        """
        if not decided.durable:
            return None
        staged = decided.staged.records
        # By the object, because a batch may have two records with one id: an erased and a new one.
        writes: dict[int, RecordWrite] = {}
        erased: dict[str, None] = {}
        is_persistent, serialize = self._codec.is_persistent, self._codec.serialize
        feeds_transitions = self._codec.feeds_transitions
        some_left = decided.retention.erased or decided.retention.evicted
        for record, effects in decided.changes:
            persistent = is_persistent(record)
            remains = not some_left or self._is_persistent(staged.get(record.id))
            if not (persistent and remains):
                # A record that is not persistent, or was removed within the batch, is written for
                # its feed entry only; also where a new one has its id, which is not persistent.
                feeds = self._engine.effects.feeds(effects)
                stored = persistent or feeds or self._may_be_stored(record.id)
                if stored and not self._is_persistent(staged.get(record.id)):
                    erased[str(record.id)] = None
                if not feeds:
                    continue
            if id(record) not in writes:
                try:
                    is_row = feeds_transitions and self._engine.effects.feeds(effects)
                    writes[id(record)] = self._codec.row(record) if is_row else serialize(record)
                except Exception as error:
                    raise NotStorableError(record.id) from error
            elif feeds_transitions:
                # The record as it is now comes after its older rows.
                writes[id(record)] = writes.pop(id(record))
        for evicted in decided.retention.evicted:
            if evicted.id not in staged:
                erased[str(evicted.id)] = None
        outbox = self._engine.effects.outbox
        noted = outbox.noted() if outbox is not None else {}
        if not (writes or erased or decided.moved or noted):
            return None
        for deferred in self._deferred:
            current = staged.get(deferred)
            if current is not None and id(current) not in writes and is_persistent(current):
                writes[id(current)] = serialize(current)
        if self._leaving:
            written = {write[0] for write in writes.values()}
            erased.update((id, None) for id in self._leaving if id not in written)
        # A change of a message by a command of the batch comes after those of earlier deliveries.
        changed = {id: entry.written() for id, entry in self._messages.items()}
        commit = self._commit_on(decided.staged, writes.values(), erased, {**changed, **noted})
        if decided.retention.left:
            archived = (*commit.archived, *self._archived_of(decided.retention))
            commit = evolve(commit, archived=archived)
        if decided.replies:
            answers = tuple((each.request, each.text) for each in decided.replies)
            commit = evolve(commit, answers=answers)
        return commit

    def _commit_on(
        self,
        authority: Authority[IdT, RecordT],
        writes: Iterable[RecordWrite],
        erased: Iterable[str],
        messages: Mapping[str, str | None],
    ) -> Commit:
        """Return a commit.

        Args:
            authority: The authority with the registry's fields.
            writes: The record writes.
            erased: The stored ids of the erased records.
            messages: The texts of outbox messages by id; None for those to erase.
        """
        state = self._serialize_state(authority, self._epoch_id)
        texts: list[RecordWrite] = [
            (id, None, text) for id, text in messages.items() if text is not None
        ]
        gone = [id for id, text in messages.items() if text is None]
        # The authority of a machine without a feed has no such field.
        dropped_through = getattr(authority, "dropped_through", 0)
        archived = tuple(self._archived)
        return Commit((*writes, *texts), (*erased, *gone), dropped_through, state, archived)

    def _is_persistent(self, record: RecordT | None) -> bool:
        return record is not None and self._codec.is_persistent(record)

    def _may_be_stored(self, id: IdT) -> bool:
        """Return whether the store may hold a record that is no longer persistent."""
        stored = self._is_persistent(self._authority.records.get(id))
        return stored or str(id) in self._leaving or str(id) in self._outlived

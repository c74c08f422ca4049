"""The conversion of a machine's state to stored data and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import attrs
from opslifecycle.clock import Clock
from opslifecycle.errors import InvalidValueError
from opslifecycle.shell.authority import RecordT
from opslifecycle.stores.base import RecordWrite, StoreContents, is_outbox_key
from opslifecycle.stores.epochs import lacks_feed
from opslifecycle.stores.reading import UNREADABLE
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.values.plain import Data, data_of, text_of

AuthorityT = TypeVar("AuthorityT")

_STATE = "the registry's state"
#: The field of the stored state that counts outbox messages.
_MESSAGES = "effects_given"


class _Positions(Protocol):
    """The positions of a feed, which an authority has."""

    watermark: int
    dropped_through: int


def _placed(place: str, error: Exception) -> InvalidValueError:
    """Return an error of decoding what is at a place."""
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return InvalidValueError(place, reason.removeprefix(": "))


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RecordCodec(Generic[AuthorityT, RecordT]):
    """The generated functions that convert one machine's state.

    Attributes:
        schema: The machine and its version, with the migration of older data.
        stage: Returns an authority on top of another one, for the decisions of a batch.
        merge: Writes the changes of a staged authority into the one below it.
        is_persistent: Returns whether a store holds a record.
        serialize: Returns the write of a record.
        deserialize: Returns a record from its id and body.
        serialize_state: Returns the registry's fields as JSON text.
        restore_state: Sets the registry's fields from stored data.
        recover_fields: Sets the registry's fields that are derived from its records.
        latest_ms_of: Returns the latest time in a record; None if records have no times.
        has_sequence: Whether finished records have a sequence number.
        has_feed: Whether the machine has a feed.
        counter: The field of the registry with the last sequence number of the feed.
        feeds_transitions: Whether records change after their feed entries.
        feeds_milestones: Whether those entries are of milestones and ends alone.
        has_outbox: Whether the stored records include outbox messages.
    """

    schema: SchemaVersion
    stage: Callable[[AuthorityT], AuthorityT]
    merge: Callable[[AuthorityT, AuthorityT], None]
    is_persistent: Callable[[RecordT], bool]
    serialize: Callable[[RecordT], RecordWrite]
    deserialize: Callable[[str, str], RecordT]
    serialize_state: Callable[[AuthorityT, str], str]
    restore_state: Callable[[AuthorityT, Data], None]
    recover_fields: Callable[[AuthorityT], None]
    latest_ms_of: Callable[[RecordT], int] | None = None
    has_sequence: bool = False
    has_feed: bool = False
    counter: str = ""
    feeds_transitions: bool = False
    feeds_milestones: bool = False
    has_outbox: bool = False

    def restore(
        self,
        authority: Any,
        contents: StoreContents,
        clock: Clock,
        archived_through: Callable[[], int] = lambda: 0,
    ) -> list[RecordT]:
        """Set an authority's records and fields from store contents, and its time to the latest.

        Args:
            authority: A new authority of the machine. Which members it has depends on `has_feed`
                and `has_sequence`.
            contents: The contents of a store; those of a new store change nothing.
            clock: The clock of the registry.
            archived_through: Returns the last sequence number in the archive; 0 for none.

        Returns:
            The records of the feed rows, oldest first.

        Raises:
            InvalidValueError: No registry has written such contents.
        """
        if contents.state is None:
            return []
        self.read_state(authority, contents.state)
        by_id: dict[str, RecordT] = {}
        for id, body in contents.records.items():
            if not self._is_message(id):
                record = by_id[id] = self._read(id, body)
                authority.records[record.id] = record
        self.recover_fields(authority)
        rows: list[RecordT] = []
        if self.has_feed and lacks_feed(data_of(contents.state)):
            numbers = (record.sequence or 0 for record in authority.records.values())
            self._begin_feed(authority, [archived_through(), *contents.rows, *numbers])
        elif self.has_feed:
            rows = self._rows(contents, by_id)
            self.check_feed(authority, contents.rows)
        if self.has_feed and not self.feeds_transitions:
            for each in authority.records.values():
                if each.sequence is not None and not each.status.terminal:
                    # An older version has numbered it before its end.
                    each.sequence = None
        self._set_times(authority, [*authority.records.values(), *rows], clock)
        if self.has_sequence:
            records = authority.records.values()
            finished = [each for each in records if each.status.terminal]
            # Oldest first. Without a feed, a machine may leave some without a number.
            finished.sort(key=lambda each: (each.sequence is None, each.sequence or 0, each.id))
            authority.ended.update((record.id, record) for record in finished)
        return rows

    def _begin_feed(self, authority: _Positions, numbers: Iterable[int]) -> None:
        """Begin a feed that the machine has gained since, behind all numbers that were assigned.

        A version without a feed may have numbered its records, or have lost an earlier feed, whose
        rows the next commit drops.
        """
        last = max(0, getattr(authority, self.counter), *numbers)
        setattr(authority, self.counter, last)
        authority.watermark = authority.dropped_through = last
        cursors = getattr(authority, "cursors", {})
        cursors.update((consumer, min(at, last)) for consumer, at in cursors.items())

    def messages_before(self, state: Data) -> int:
        """Return how many outbox messages older versions had, if this one has none.

        Raises:
            InvalidValueError: No registry has written the number.
        """
        number = 0 if self.has_outbox else state.get(_MESSAGES, 0)
        if type(number) is not int or number < 0:
            raise InvalidValueError(_STATE, f"{_MESSAGES}: expected a count, got {number!r:.80}")
        return number

    def serialize_after(self, messages_before: int) -> Callable[[AuthorityT, str], str]:
        """Return `serialize_state`, with the number of an older version's last message.

        A later version with effects goes on behind it, because no number is used twice.
        """
        if not messages_before:
            return self.serialize_state

        def serialize(authority: AuthorityT, epoch_id: str) -> str:
            text = self.serialize_state(authority, epoch_id)
            return text_of({**data_of(text), _MESSAGES: messages_before})

        return serialize

    def read_state(self, authority: AuthorityT, state: str) -> None:
        """Set the registry's fields from stored text.

        Raises:
            InvalidValueError: No registry has written it.
        """
        try:
            self.restore_state(authority, data_of(state))
        except UNREADABLE as error:
            raise _placed(_STATE, error) from error

    def check_feed(self, authority: _Positions, sequences: Iterable[int]) -> None:
        """Check that the positions of a feed fit each other, as those do that a registry writes.

        Args:
            authority: An authority with the fields of the registry.
            sequences: The sequence numbers of feed entries that are retained.

        Raises:
            InvalidValueError: They do not.
        """
        if not self.has_feed:
            return
        watermark, dropped_through = authority.watermark, authority.dropped_through
        given = getattr(authority, self.counter)
        where = f"after {dropped_through} and up to the watermark {watermark}"
        if not dropped_through <= watermark <= given:
            reason = f"no feed goes on {where}, if {given} is the last sequence number"
            raise InvalidValueError(_STATE, reason)
        for each in sequences:
            if not dropped_through < each <= watermark:
                reason = f"the entry {each} is not {where}"
                raise InvalidValueError(_STATE, reason)
        for consumer, at in getattr(authority, "cursors", {}).items():
            if at > watermark:
                reason = f"the cursor {consumer.value} is at {at}, past the watermark {watermark}"
                raise InvalidValueError(_STATE, reason)

    def _read(self, id: str, body: str) -> RecordT:
        try:
            return self.deserialize(id, body)
        except UNREADABLE as error:
            raise _placed(f"the record {id!r:.80}", error) from error

    def persistent(self, contents: StoreContents) -> StoreContents:
        """Return what a store holds of contents: without the records that it never writes.

        Raises:
            InvalidValueError: No registry has written such contents.
        """
        records = {
            id: body
            for id, body in contents.records.items()
            if self._is_message(id) or self.is_persistent(self.deserialize(id, body))
        }
        return attrs.evolve(contents, records=records)

    def row(self, record: Any) -> RecordWrite:
        """Return the write of a record that has a feed entry."""
        id, _, body = self.serialize(record)
        return id, record.sequence, body

    def _is_message(self, id: str) -> bool:
        return self.has_outbox and is_outbox_key(id)

    def _rows(self, contents: StoreContents, by_id: dict[str, RecordT]) -> list[RecordT]:
        rows = []
        for sequence in sorted(contents.rows):
            id, body = contents.rows[sequence]
            # The record of the row may be erased, and a later record may have its id.
            same = contents.records.get(id) == body and not self.feeds_transitions
            # A live record may have a row of an older version, whose feed had transitions.
            same = same and by_id[id].status.terminal
            row: Any = by_id[id] if same else self._read(id, body)
            if row.sequence != sequence:
                reason = f"sequence: expected {sequence} as in the feed, got {row.sequence}"
                raise InvalidValueError(f"the record {id!r:.80}", reason)
            # A feed of ends has none of the transitions that an older version's feed had.
            others = self.feeds_transitions and not self.feeds_milestones
            if others or row.terminal_outcome is not None:
                rows.append(row)
        return rows

    def _set_times(self, authority: Any, records: list[Any], clock: Clock) -> None:
        """Set the times of the authority and its records, so that none is before a stored one."""
        if self.latest_ms_of is None:
            return
        known_ms = authority.clock_offset_ms + authority.now_ms
        latest_ms = max(map(self.latest_ms_of, records), default=known_ms)
        authority.clock_offset_ms, authority.now_ms = max(latest_ms, known_ms), 0
        offset_ms = max(clock.offset_ms(), latest_ms - clock.ticks_ms())
        for record in records:
            record.clock_offset_ms = offset_ms


#: The codec of a machine in the shell, which does not know the class of its authority.
MachineCodec: TypeAlias = RecordCodec[Any, RecordT]

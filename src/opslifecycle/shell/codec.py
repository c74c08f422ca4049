"""The conversion of a machine's state to stored data and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs
from opslifecycle.clock import Clock
from opslifecycle.errors import InvalidValueError
from opslifecycle.stores.base import (
    Data,
    RecordWrite,
    SchemaVersion,
    StoreContents,
    is_outbox_key,
)
from opslifecycle.values.conversion import data_of

AuthorityT = TypeVar("AuthorityT")


@attrs.frozen(kw_only=True)
class RecordCodec(Generic[AuthorityT]):
    """The generated functions that convert one machine's state.

    Attributes:
        schema: The machine and its version, with the migration of older data.
        stage: Returns an authority that decides on top of another.
        merge: Merges what a staged authority has decided.
        is_persistent: Whether a store holds a record.
        serialize: Returns the write of a record.
        deserialize: Returns a record from its id and body.
        serialize_state: Returns the registry's fields as JSON text.
        restore_state: Sets the registry's fields from stored data.
        recover_fields: Sets the registry's fields that are derived from its records.
        latest_ms_of: Returns the latest time in a record; None if records have no times.
        has_sequence: Whether finished records have a sequence number.
        has_feed: Whether the machine has a feed.
        has_outbox: Whether outbox messages stand among the stored records.
    """

    schema: SchemaVersion
    stage: Callable[[AuthorityT], AuthorityT]
    merge: Callable[[AuthorityT, AuthorityT], None]
    is_persistent: Callable[[Any], bool]
    serialize: Callable[[Any], RecordWrite]
    deserialize: Callable[[str, str], Any]
    serialize_state: Callable[[AuthorityT, str], str]
    restore_state: Callable[[AuthorityT, Data], None]
    recover_fields: Callable[[AuthorityT], None]
    latest_ms_of: Callable[[Any], int] | None = None
    has_sequence: bool = False
    has_feed: bool = False
    has_outbox: bool = False

    def restore(self, authority: Any, contents: StoreContents, clock: Clock) -> list[Any]:
        """Set an authority's records and fields from store contents.

        Returns:
            The records of the feed rows, oldest first.

        Raises:
            InvalidValueError: The contents are none that a registry has written.
        """
        if contents.state is None:
            return []
        self.restore_state(authority, data_of(contents.state))
        by_text: dict[str, Any] = {}
        for id, body in contents.records.items():
            if not (self.has_outbox and is_outbox_key(id)):
                record = by_text[id] = self.deserialize(id, body)
                authority.records[record.id] = record
        self.recover_fields(authority)
        rows = self._rows(contents, by_text) if self.has_feed else []
        self._set_offset([*authority.records.values(), *rows], clock)
        if self.has_sequence:
            finished = [each for each in authority.records.values() if each.sequence is not None]
            finished.sort(key=lambda record: int(record.sequence))
            authority.ended.update((record.id, record) for record in finished)
        return rows

    def _rows(self, contents: StoreContents, by_text: dict[str, Any]) -> list[Any]:
        rows = []
        for sequence in sorted(contents.rows):
            id, body = contents.rows[sequence]
            # If the record has gone, another may have its id: the row has the body of the first.
            same = contents.records.get(id) == body
            row = by_text[id] if same else self.deserialize(id, body)
            if row.sequence != sequence:
                raise InvalidValueError("sequence", f"the feed has it as {sequence}")
            rows.append(row)
        return rows

    def _set_offset(self, records: list[Any], clock: Clock) -> None:
        """Continue from the latest stored time if the wall clock is behind it."""
        if self.latest_ms_of is None:
            return
        latest_ms = max(map(self.latest_ms_of, records), default=0)
        offset_ms = max(clock.wall_ms(), latest_ms) - clock.monotonic_ms()
        for record in records:
            record.clock_offset_ms = offset_ms

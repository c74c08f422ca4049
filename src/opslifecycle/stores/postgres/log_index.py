"""Where the rows of a registry are, and which of them a commit replaces.

The log holds a row for the latest body of each record, and one for each feed entry that is still
needed; often they are the same row. The commit that replaces a row deletes it if it is neither.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from opslifecycle.errors import StoreDamagedError
from opslifecycle.stores.base import Commit, RecordWrite, StoreContents
from opslifecycle.stores.postgres.link import Row
from opslifecycle.stores.postgres.schema import POSITION_BITS, POSITION_MASK

#: Where the latest body of a record is, and the sequence number of its feed entry.
Latest = tuple[int, int | None]
#: Rows and columns of the text in which rows travel. JSON text never contains them unescaped.
LINE, COLUMN = "\x1e", "\x1f"


@attrs.define
class Changes:
    """What one commit does to the log."""

    head: int
    dropped_through: int
    #: New rows by position: id, sequence number, body, whether it is the latest of its record.
    rows: dict[int, tuple[str, int | None, str, bool]] = attrs.Factory(dict)
    #: Rows that are needed for the feed alone from now on, and rows that are not needed.
    superseded: list[int] = attrs.Factory(list)
    dead: list[int] = attrs.Factory(list)
    latest: dict[str, Latest | None] = attrs.Factory(dict)
    dropped: list[int] = attrs.Factory(list)

    def encoded(self, number: int) -> str:
        """Return the new rows as one text, which the server splits."""
        first = number << POSITION_BITS
        return LINE.join(
            f"{first + position}{COLUMN}{id}{COLUMN}{'' if sequence is None else sequence}"
            f"{COLUMN}{'t' if current else 'f'}{COLUMN}{body}"
            for position, (id, sequence, body, current) in self.rows.items()
        )


class LogIndex:
    """What a registry's owner knows about its rows."""

    def __init__(self, head: int = 0, dropped_through: int = 0) -> None:
        self.head = head
        self.dropped_through = dropped_through
        self._latest: dict[str, Latest] = {}
        #: The feed entries by sequence number: position and id.
        self._entries: dict[int, tuple[int, str]] = {}

    def load(self, name: str, rows: Iterable[Row], state: str | None) -> StoreContents:
        """Take up the rows of a registry in order, and return them as contents.

        Raises:
            StoreDamagedError: They contradict each other.
        """
        records: dict[str, str] = {}
        feed: dict[int, tuple[str, str]] = {}
        for key, id, number, current, body in rows:
            position = int(key or 0) & POSITION_MASK
            sequence = None if number is None else int(number)
            if id is None or body is None or position > self.head:
                raise StoreDamagedError(name, position, f"a row behind the head {self.head}")
            if current == "t":
                if id in records:
                    raise StoreDamagedError(name, position, f"two current rows of {id!r:.80}")
                records[id] = body
                self._latest[id] = (position, sequence)
            if sequence is not None and sequence > self.dropped_through:
                if sequence in feed:
                    raise StoreDamagedError(name, position, f"two feed entries {sequence}")
                feed[sequence] = (id, body)
                self._entries[sequence] = (position, id)
        if state is None and records:
            raise StoreDamagedError(name, self.head, "records without a state")
        ordered = dict(sorted(feed.items()))
        self._entries = dict(sorted(self._entries.items()))
        return StoreContents(records, ordered, state)

    def plan(self, commit: Commit) -> Changes:
        """Return what a commit does to the log; nothing has changed yet."""
        changes = Changes(self.head, max(self.dropped_through, commit.dropped_through))
        for write in commit.writes:
            self._put(changes, write)
        for id in commit.erased:
            self._supersede(changes, id)
            changes.latest[id] = None
        self._drop(changes)
        if changes.head == self.head:
            # The head tells a commit that was written from one that was not.
            changes.head += 1
        return changes

    def _put(self, changes: Changes, write: RecordWrite) -> None:
        id, sequence, body = write
        self._supersede(changes, id)
        changes.head += 1
        changes.rows[changes.head] = (id, sequence, body, True)
        changes.latest[id] = (changes.head, sequence)

    def _supersede(self, changes: Changes, id: str) -> None:
        latest = changes.latest[id] if id in changes.latest else self._latest.get(id)
        if latest is None:
            return
        position, sequence = latest
        needed = sequence is not None and sequence > changes.dropped_through
        if position > self.head:
            id, sequence, body, _ = changes.rows.pop(position)
            if needed:
                changes.rows[position] = (id, sequence, body, False)
        elif needed:
            changes.superseded.append(position)
        else:
            changes.dead.append(position)

    def _drop(self, changes: Changes) -> None:
        """Let go of feed entries that are no longer needed, which come first."""
        for sequence, (position, id) in self._entries.items():
            if sequence > changes.dropped_through:
                break
            changes.dropped.append(sequence)
            latest = self._latest.get(id)
            if latest is None or latest[0] != position:
                # Its record has a later row, or has gone: it was there for the feed alone.
                changes.dead.append(position)

    def apply(self, changes: Changes) -> None:
        """Take up what was written."""
        self.head, self.dropped_through = changes.head, changes.dropped_through
        for sequence in changes.dropped:
            del self._entries[sequence]
        for position, (id, number, _, _) in changes.rows.items():
            if number is not None and number > changes.dropped_through:
                self._entries[number] = (position, id)
        for id, latest in changes.latest.items():
            if latest is None:
                self._latest.pop(id, None)
            else:
                self._latest[id] = latest

    def rewrite(self, stored: StoreContents) -> Changes:
        """Return the changes that write all contents anew, behind the present head."""
        fresh = LogIndex(self.head, self.dropped_through)
        sequences = {row: sequence for sequence, row in stored.rows.items()}
        writes = [
            (id, sequences.pop((id, body), None), body) for id, body in stored.records.items()
        ]
        changes = fresh.plan(Commit(tuple(writes), (), self.dropped_through, stored.state or ""))
        for (id, body), sequence in sequences.items():
            changes.head += 1
            changes.rows[changes.head] = (id, sequence, body, False)
        return changes

"""This process as the owner of a stored registry: its lock, its lease and its fencing token."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import OwnershipLostError, RegistryOwnedError
from opslifecycle.stores.sqlite import lease as leases
from opslifecycle.stores.sqlite.catalog import RegistryRow
from opslifecycle.stores.sqlite.files import StoreFile
from opslifecycle.stores.sqlite.lease import Lock, Ownership, ownership
from opslifecycle.stores.sqlite.lease_file import LeaseFile, Note
from opslifecycle.stores.sqlite.place import is_copy, may_be_copy, place_of, token_of

_TOKEN_BYTES = 16


class Owner:
    """The ownership of a registry by this process, from `admit` or `begin` to `release`.

    `admit` and `begin` execute statements in the caller's transaction. The caller commits it and
    then calls `confirm`.
    """

    def __init__(self, name: str, file: StoreFile) -> None:
        self._name = name
        self._file = file
        self._locks = LeaseFile.of_owner(file)
        self._lock: str | None = None
        self._token = b""
        self._token_is_new = False
        self._undecided: RegistryRow | None = None
        self.number = 0
        self.fencing_token = 0

    def begin(self, number: int) -> None:
        """Acquire the ownership of a new registry.

        Raises:
            RegistryOwnedError: A process still holds the lock of a former registry with the number.
        """
        self._take_lock(number, None, "a process whose registry was removed")
        self.number, self.fencing_token = number, 1
        self._renumber()

    def admit(self, row: RegistryRow, *, restored: bool) -> bool:
        """Acquire the ownership of an existing registry, and return whether it begins a new epoch.

        Raises:
            RegistryOwnedError: Another process owns it.
        """
        said = self._take_lock(row.number, row.lock, self._holder(row))
        note = self._locks.note_of(row.number)
        copied = is_copy(row, self._file.inode, note)
        if not copied:
            # The owner of the original does not own a copy.
            found = ownership(row.lease, said, SYSTEM_CLOCK.wall_ms())
            if found is not Ownership.FREE:
                self._undecided = row if found is Ownership.UNDECIDED else None
                raise RegistryOwnedError(self._name, str(row.owner))
        self.number = row.number
        noted = note.fencing_token if note is not None else 0
        self.fencing_token = max(row.fencing_token, noted) + 1
        anew = restored or copied or may_be_copy(row, note)
        if anew or not token_of(row):
            self._renumber()
        else:
            self._token = token_of(row)
        return anew

    def _take_lock(self, number: int, owners: str | None, holder: str) -> Lock:
        said = self._locks.take(number, owners)
        if said is Lock.HELD:
            raise RegistryOwnedError(self._name, holder)
        self._lock = self._locks.lock_name if self._locks.holds else None
        return said

    def _holder(self, row: RegistryRow) -> str:
        found = ownership(row.lease, Lock.HELD, SYSTEM_CLOCK.wall_ms())
        words = row.owner or "another process"
        return f"{words}, which does not respond" if found is Ownership.UNRESPONSIVE else words

    def _renumber(self) -> None:
        self._token, self._token_is_new = secrets.token_bytes(_TOKEN_BYTES), True

    @property
    def columns(self) -> tuple[int, str, str, str | None, int]:
        """Return this owner's columns: `fence`, `place`, `owner`, `lock` and `expires_ms`."""
        place = place_of(self._file.inode or 0, self._token)
        return (self.fencing_token, place, leases.this_owner(), self._lock, self._expires_ms())

    def _expires_ms(self) -> int:
        return SYSTEM_CLOCK.wall_ms() + leases.LEASE_MS

    def confirm(self, head: int) -> None:
        """Write the note of the committed lease to the disk.

        Raises:
            OSError: The note cannot be written.
        """
        self._locks.write(self.number, Note(self._token, self.fencing_token, head))
        if self._token_is_new:
            # Flushed, because a power cut may lose a note, but must not leave a wrong one, which
            # would begin a new epoch.
            self._locks.sync()

    def note(self, head: int) -> None:
        """Note how far the registry is written."""
        # The note only helps to recognise copies, so no commit fails because of it.
        with contextlib.suppress(OSError):
            self._locks.write(self.number, Note(self._token, self.fencing_token, head))

    def renew(self, database: sqlite3.Connection, head: int) -> None:
        """Renew the lease, and the lock if its file was removed.

        Raises:
            OwnershipLostError: Another process owns the registry.
        """
        if not self._locks.is_in_place():
            self._lock_anew(head)
        renewed = database.execute(
            "UPDATE registries SET expires_ms = ?, lock = ? WHERE number = ? AND fence = ?",
            (self._expires_ms(), self._lock, self.number, self.fencing_token),
        )
        if renewed.rowcount != 1:
            raise OwnershipLostError

    def _lock_anew(self, head: int) -> None:
        locks = LeaseFile.of_owner(self._file)
        if locks.take(self.number, None) is Lock.HELD:
            # Another process has recreated the file first. The fencing token decides who owns the
            # registry.
            locks.close()
            return
        self._locks.close()
        self._locks = locks
        self._lock = locks.lock_name if locks.holds else None
        self.note(head)
        # Flushed, because a store without a note may be a copy, and would begin a new epoch.
        with contextlib.suppress(OSError):
            locks.sync()

    def shorten(self, database: sqlite3.Connection) -> None:
        """Shorten a lease that ends later than a lease can. A live owner renews it."""
        row = self._undecided
        if row is not None:
            database.execute(
                "UPDATE registries SET expires_ms = ?"
                " WHERE number = ? AND fence = ? AND expires_ms = ?",
                (self._expires_ms(), row.number, row.fencing_token, row.expires_ms),
            )

    def release(self, database: sqlite3.Connection | None) -> None:
        """Release the lock, and then the lease if the store can be written."""
        # In this order: a process that finds the lock free may take the registry over at once.
        self._locks.close()
        if database is not None:
            database.execute(
                "UPDATE registries SET owner = NULL, lock = NULL, expires_ms = 0"
                " WHERE number = ? AND fence = ?",
                (self.number, self.fencing_token),
            )


def ownership_of(file: StoreFile, row: RegistryRow) -> Ownership:
    """Return how a registry is owned, from its lease and its lock at this moment."""
    locks = LeaseFile.of_reader(file)
    if locks is None:
        said, note = Lock.UNKNOWN, None
    else:
        try:
            said, note = locks.probe(row.number, row.lock), locks.note_of(row.number)
        finally:
            locks.close()
    if said is not Lock.HELD and is_copy(row, file.inode, note):
        # The owner of the original does not own a copy.
        return Ownership.FREE
    return ownership(row.lease, said, SYSTEM_CLOCK.wall_ms())

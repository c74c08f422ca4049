"""Whether a file is the one that a registry was last written to, or a copy in its place.

A position in a feed is valid for one numbering. A copy repeats numbers that the original assigned
to other entries, so a registry that is opened from a copy begins a new epoch.

A row names its place: the inode of the file, and a token that the lease file repeats with the last
fencing token and head. Another inode, another token, or a row that is behind the note is a copy.
Without a note it may be one, because file systems use the inode of a removed file again.
A volume that was restored from a snapshot, including the lease file, cannot be recognised. The
program declares it with `SqliteStore(restored=True)`.
"""

from __future__ import annotations

from opslifecycle.stores.sqlite.catalog import RegistryRow
from opslifecycle.stores.sqlite.lease_file import Note

#: The place of a registry in a layout without places.
UNKNOWN = ""
#: The place of a registry that begins a new epoch when it is opened.
RESTORED = "restored"


def place_of(inode: int, token: bytes) -> str:
    """Return the place of a file, in the form of the registry's row."""
    return f"{inode} {token.hex()}"


def token_of(row: RegistryRow) -> bytes:
    """Return the token in a row's place; empty if there is none."""
    try:
        return bytes.fromhex(row.place.partition(" ")[2])
    except ValueError:
        return b""


def is_copy(row: RegistryRow, inode: int | None, note: Note | None) -> bool:
    """Return whether a row was written into another file, or into an older state of this one.

    Its owner, if it has one, does not own this file.
    """
    if row.place == UNKNOWN:
        return False
    token = token_of(row)
    if row.place == RESTORED or not token or row.place != place_of(inode or 0, token):
        return True
    if note is None:
        return False
    return note.token != token or note.fencing_token > row.fencing_token or note.head > row.head


def may_be_copy(row: RegistryRow, note: Note | None) -> bool:
    """Return whether nothing shows that a row, which `is_copy` does not recognise, is no copy.

    It was a copy if the store and its lease file were removed, and the file that was put back got
    the inode of the removed one. If the lease file alone was removed, the file is the same, and its
    owner may live.
    """
    return note is None and row.place != UNKNOWN

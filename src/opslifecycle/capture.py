"""A whole registry as one JSON document, for backups and bug reports."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from opslifecycle.errors import StoreDamagedError, StoreVersionError
from opslifecycle.store import Data, Identity

_FORMAT = 1
_PARTS = ("state", "records", "entries")


def seal(identity: Identity, state: Data, records: list[Data], entries: list[Data]) -> Data:
    """The document, with what it was made by and a checksum."""
    body = {
        "format": _FORMAT,
        "machine": identity.machine,
        "version": identity.version,
        "digest": identity.digest,
        "state": state,
        "records": records,
        "entries": entries,
    }
    return {**body, "checksum": _checksum(body)}


def unseal(document: Any, identity: Identity) -> tuple[Data, list[Data], list[Data]]:
    """State, records and feed entries of a document.

    Raises StoreVersionError for another machine or version, StoreDamagedError for anything altered.
    """
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise StoreVersionError("something else", f"a capture of format {_FORMAT}")
    machine, version = document.get("machine"), document.get("version")
    if (machine, version) != (identity.machine, identity.version):
        raise StoreVersionError(f"{machine} version {version}", str(identity))
    body = {key: value for key, value in document.items() if key != "checksum"}
    if document.get("checksum") != _checksum(body):
        raise StoreDamagedError("the capture", 0, "its checksum does not fit its content")
    state, records, entries = (body[part] for part in _PARTS)
    return state, records, entries


def _checksum(body: Data) -> str:
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

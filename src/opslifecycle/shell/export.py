"""The state of a registry as one JSON document, and its way into a store."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Protocol

from opslifecycle.errors import InvalidValueError, StoreDamagedError, StoreVersionError
from opslifecycle.stores.base import RecordWrite, Store, StoreContents, commit_of
from opslifecycle.stores.reading import UNREADABLE
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.values.plain import Data, text_of


class Named(Protocol):
    """A store, as far as messages name it."""

    @property
    def name(self) -> str:
        """The name of the store."""


_FORMAT = 2
_WHERE = "the capture"


def encode(
    schema: SchemaVersion, records: Sequence[RecordWrite], rows: Sequence[RecordWrite], state: str
) -> Data:
    """Return the document, with the machine, its version and a checksum.

    A feed row is written without its body if that is the body of its record.

    Args:
        schema: The machine and its version.
        records: The writes of the records.
        rows: The writes of the feed rows, oldest first.
        state: The fields of the registry, as JSON.
    """
    held = {id: text for id, _, text in records}
    body = {
        "format": _FORMAT,
        "machine": schema.machine,
        "version": schema.version,
        "digest": schema.digest,
        "state": json.loads(state),
        "records": [{"id": id, **json.loads(text)} for id, _, text in records],
        "rows": [
            {"sequence": sequence, "id": id}
            if held.get(id) == text
            else {"sequence": sequence, "id": id, "body": json.loads(text)}
            for id, sequence, text in rows
        ],
    }
    return {**body, "checksum": _checksum(body)}


def decode(document: object, schema: SchemaVersion, **replaced: str) -> StoreContents:
    """Return the contents of a document, migrated to the current version.

    Args:
        document: A document from `encode`.
        schema: The machine and its version.
        **replaced: Fields of the registry that get another value.

    Raises:
        StoreVersionError: The document is of another machine or version.
        StoreDamagedError: The document was altered.
    """
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise StoreVersionError("something else", f"a capture of format {_FORMAT}")
    schema.refuse_unreadable(document.get("machine"), document.get("version"), _WHERE)
    body = {key: value for key, value in document.items() if key != "checksum"}
    try:
        if document.get("checksum") != _checksum(body):
            raise StoreDamagedError(_WHERE, 0, "its checksum does not fit its content")
        records = {each.pop("id"): text_of(each) for each in map(dict, body["records"])}
        rows = {
            each["sequence"]: (
                each["id"],
                text_of(each["body"]) if "body" in each else records[each["id"]],
            )
            for each in body["rows"]
        }
        stored = StoreContents(records, rows, text_of({**body["state"], **replaced}))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StoreDamagedError(_WHERE, 0, f"its shape is wrong: {error}") from None
    return schema.take_over(int(body["version"]), stored, _WHERE)


def fill(store: Store, schema: SchemaVersion, stored: StoreContents) -> None:
    """Open an empty store and write all contents to it. If this fails, the caller closes the store.

    Raises:
        InvalidValueError: The store is not empty.
    """
    found = store.open(schema)
    if found.state is not None or found.records:
        raise InvalidValueError(
            "store", f"{store.name} holds a registry already; pass an empty one"
        )
    store.append(commit_of(stored))


@contextlib.contextmanager
def reporting_damage(store: Named | None) -> Iterator[None]:
    """Raise StoreDamagedError for an exception that only contents of no registry can cause."""
    try:
        yield
    except UNREADABLE as error:
        where = _WHERE if store is None else store.name
        raise StoreDamagedError(where, 0, str(error)) from error


def _checksum(body: Data) -> str:
    import hashlib  # here, because few programs export a registry, and all import this module

    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

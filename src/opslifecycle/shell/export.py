"""The state of a registry as one JSON document, and the opening of stores."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from opslifecycle.errors import InvalidValueError, StoreDamagedError, StoreVersionError
from opslifecycle.stores.base import Commit, Data, RecordWrite, SchemaVersion, Store, StoreContents
from opslifecycle.values.conversion import data_of, text_of

_FORMAT = 2
_WHERE = "the capture"
#: What decoding raises for data that no registry has written.
_UNREADABLE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError
)  # fmt: skip


def encode(
    schema: SchemaVersion, records: Sequence[RecordWrite], rows: Sequence[RecordWrite], state: str
) -> Data:
    """Return the document, with the machine, its version and a checksum.

    A feed entry whose record still exists is written as its sequence number and id.
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


def decode(document: Any, schema: SchemaVersion, **replaced: str) -> StoreContents:
    """Return the contents of a document, with some fields of the registry replaced.

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
    return schema.adopt(int(body["version"]), stored)


def fill(store: Store, schema: SchemaVersion, stored: StoreContents) -> None:
    """Open an empty store and write everything to it. The caller closes it if this fails.

    Raises:
        InvalidValueError: The store is not empty.
    """
    found = store.open(schema)
    if found.state is not None or found.records:
        raise InvalidValueError("store", f"{store.name} holds a registry already")
    rows = {row: sequence for sequence, row in stored.rows.items()}
    writes = [(id, rows.pop((id, body), None), body) for id, body in stored.records.items()]
    # Rows whose record has gone come first, so that a later record of the same id stands.
    gone = [(id, sequence, body) for (id, body), sequence in rows.items()]
    erased = tuple(id for id, _, _ in gone if id not in stored.records)
    state = stored.state or "{}"
    dropped_through = int(data_of(state).get("dropped_through", 0))
    store.append(Commit((*gone, *writes), erased, dropped_through, state))


@contextlib.contextmanager
def reporting_damage(store: Store | None) -> Iterator[None]:
    """Report damage if the contents of the store cannot be read."""
    try:
        yield
    except _UNREADABLE as error:
        where = _WHERE if store is None else store.name
        raise StoreDamagedError(where, 0, str(error)) from error


def _checksum(body: Data) -> str:
    import hashlib  # here, because few captures are made, and every program imports this module

    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

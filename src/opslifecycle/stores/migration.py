"""Edits of stored data, of which generated migrations consist."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from opslifecycle.errors import StoreVersionError
from opslifecycle.stores.base import StoreContents, is_outbox_key
from opslifecycle.values.plain import Data, Json, json_of, text_of

Edit = Callable[[Data], None]


def migrated(
    stored: StoreContents, record: Edit | None, registry: Edit | None, message: Edit | None = None
) -> StoreContents:
    """Return store contents with every record, the registry's state and every message edited.

    Args:
        stored: The contents.
        record: The edit of each record, also of the record in an outbox message; None for none.
        registry: The edit of the registry's state.
        message: The edit of each outbox message.
    """
    # Many records are stored twice, by id and as a feed row. The cache edits each text once.
    known: dict[tuple[str, Edit], str] = {}

    def whole_message(data: Data) -> None:
        if record is not None:
            record(data["record"])
        if message is not None:
            message(data)

    def edited(text: str, edit: Edit | None) -> str:
        if edit is None:
            return text
        if (text, edit) not in known:
            data = json_of(text)
            edit(data)
            known[text, edit] = text_of(data)
        return known[text, edit]

    return StoreContents(
        {
            id: edited(body, whole_message if is_outbox_key(id) else record)
            for id, body in stored.records.items()
        },
        {sequence: (id, edited(body, record)) for sequence, (id, body) in stored.rows.items()},
        None if stored.state is None else edited(stored.state, registry),
    )


def rename(data: Data, old: str, new: str) -> None:
    """Move the value of one key to another, if it is there."""
    if old in data:
        data[new] = data.pop(old)


def respell(data: Data, key: str, names: Mapping[str, str], gone: tuple[str, ...] = ()) -> None:
    """Replace a member of a closed set by its new name.

    Raises:
        StoreVersionError: The member was removed, and no migration covers it.
    """
    if key in data:
        data[key] = _respelled(data[key], names, gone)


def respell_each(
    data: Data, key: str, names: Mapping[str, str], gone: tuple[str, ...] = ()
) -> None:
    """Replace members in a list, a set or the values of a dict, as `respell` does with one."""
    many = data.get(key)
    if type(many) is list:
        data[key] = [_respelled(each, names, gone) for each in many]
    elif type(many) is dict:
        data[key] = {name: _respelled(each, names, gone) for name, each in many.items()}


def _respelled(value: Json, names: Mapping[str, str], gone: tuple[str, ...]) -> Json:
    if value in gone:
        raise StoreVersionError(f"a version that still had {value!r}", "a machine without it")
    return names.get(value, value) if isinstance(value, str) else value

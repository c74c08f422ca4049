"""Whether a registry can begin with the contents of a store, seen before they are written anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.shell.settings import epoch_from
from opslifecycle.stores.base import StoreContents
from opslifecycle.stores.reading import UNREADABLE
from opslifecycle.values.plain import data_of

if TYPE_CHECKING:
    from opslifecycle.shell.definitions import AnyDefinition
    from opslifecycle.shell.messages import OutboxEntry


def check_contents(definition: AnyDefinition, contents: StoreContents) -> None:
    """Decode contents as the opening of a registry does, and drop what they are.

    Args:
        definition: The machine.
        contents: The contents of a store, migrated to the machine's version.

    Raises:
        ValueError: No registry of the machine can begin with them.
    """
    codec, feed = definition.codec, definition.feed
    assert codec is not None, "a machine without recovery has no store"
    try:
        state = data_of(contents.state) if contents.state is not None else {}
        settings = {each.argument: each.value({}, state) for each in definition.settings}
        if feed is not None:
            epoch_from(state, feed.epoch)
        codec.restore(definition.authority(**settings), contents, SYSTEM_CLOCK)
        if definition.outbox is not None:
            messages_of(definition, contents)
    except ValueError:
        raise
    except UNREADABLE as error:
        raise ValueError(str(error)) from error


def messages_of(definition: AnyDefinition, contents: StoreContents) -> list[OutboxEntry]:
    """Return the outbox messages of a store, in the order of their numbers.

    Raises:
        InvalidValueError: No outbox has written one of them.
    """
    # Here, because most machines have no outbox.
    from opslifecycle.shell.messages import restored

    sent, codec = definition.outbox, definition.codec
    assert sent is not None

    def snapshot(id: str, body: str) -> object:
        assert codec is not None, "a machine without recovery has no store"
        return sent.snapshot_of(codec.deserialize(id, body), 0)

    return restored(contents.records, sent.effects, sent.actions, sent.rules, snapshot)

"""Commands: what each asks of an authority, whichever authority it is run on."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeAlias

import attrs
from opslifecycle.errors import InvalidValueError, OpsLifecycleError

#: A generated function of an authority, which decides a command: its parameters are the machine's.
Decide: TypeAlias = Callable[..., Any]

#: What a command is called with.
Arguments: TypeAlias = tuple[object, ...]

#: A record, and the effects that follow for it.
Change = tuple[Any, tuple[Enum, ...]]

#: The result of a command: its value or its rejection, its changes, and whether these are durable
#: before it is returned, which a rejection need not.
Decision = tuple[Any, tuple[Change, ...] | list[Change], bool]

_NOTHING: tuple[Change, ...] = ()


@attrs.frozen
class Command:
    """A command that changes any number of records, or none.

    `decide` and `arguments` are the function of the authority that it stands for, and what that is
    called with: the outbox says of each message which action it follows.
    """

    run: Callable[[Any], Decision]
    decide: Decide | None = None
    arguments: Arguments = ()


def acting_on_all(decide: Decide, *payload: Any, writes_state: bool = False) -> Command:
    """Return a command that ends many records, or none.

    With `writes_state` it changes stored fields of the registry as well, and so has to be durable
    even where it finds no record to end.
    """

    def run(authority: Any) -> Decision:
        changes = decide(authority, *payload)
        return None, changes, writes_state or bool(changes)

    return Command(run, decide, payload)


def collecting(decide: Callable[[Any], Any], erase: tuple[Enum, ...]) -> Command:
    """Return the command that collects finished records; `erase` is the effect on each."""

    def run(authority: Any) -> Decision:
        records = decide(authority)
        if isinstance(records, OpsLifecycleError):
            return records, _NOTHING, False
        collected = [(record.id, record.terminal_outcome) for record in records]
        return collected, [(record, erase) for record in records], bool(records)

    return Command(run, decide)


def advancing(
    decide: Decide,
    consumer: Any,
    cursor: int,
) -> Command:
    """Return the advance of a cursor."""

    def run(authority: Any) -> Decision:
        before = authority.cursors[consumer]
        result = decide(authority, consumer, cursor)
        moved = not isinstance(result, OpsLifecycleError) and result != before
        return result, _NOTHING, moved

    return Command(run, decide, (consumer, cursor))


def recovering(
    interrupted: str | None,
    terminate: Callable[..., Any] | None,
    discard: Callable[..., Any] | None,
) -> Command | None:
    """Return what becomes of what was live when its process was gone; None if it stays as it is.

    Raises InvalidValueError for something else than the machine has.
    """
    if interrupted is None and terminate is None:
        return None
    chosen = discard if interrupted == "discard" else terminate
    if chosen is None:
        reason = f"this machine does not say how to {interrupted} what was interrupted"
        raise InvalidValueError("interrupted", reason)
    decide = chosen

    def terminating(authority: Any) -> Decision:
        changes = decide(authority)
        return None, changes, bool(changes)

    def discarding(authority: Any) -> Decision:
        live = [each for each in authority.records.values() if each.terminal_outcome is None]
        changes = [(record, decide(authority, record.id)) for record in live]
        return None, changes, bool(changes)

    return Command(discarding if interrupted == "discard" else terminating, decide)

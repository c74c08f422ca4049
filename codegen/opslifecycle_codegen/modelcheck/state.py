"""One state of a registry, as far as a machine's rules read it."""

from __future__ import annotations

from typing import Any, NamedTuple

#: A plain value; the type of its expression determines its form. A member of a closed set is its
#: word, a value is a tuple of its fields, a variant is a tuple that begins with its name,
#: a collection is `Several`.
Value = Any


class Several(tuple[Value, ...]):
    """The elements of a list, or the members of a set in the order of their closed set."""

    __slots__ = ()


class Items(Several):
    """The items of a dict, each a pair of its key and its value, in the order of their keys."""

    __slots__ = ()


#: The fields of a record, of the registry or of a feed entry.
Fields = tuple[Value, ...]
#: The arguments of a command, by parameter.
Arguments = tuple[tuple[str, Value], ...]


class State(NamedTuple):
    """The whole state; ids and barrier keys are identified by their index in the scenario."""

    registry: Fields
    #: The record of each id, or None.
    records: tuple[Fields | None, ...]
    #: The ids of finished records, oldest first.
    ended: tuple[str, ...]
    #: Feed entries, oldest first; after its fields each has the id of its record.
    rows: tuple[Fields, ...]
    cursors: tuple[int, ...]
    #: The active barriers of each key, as their unfinished ids.
    barriers: tuple[tuple[Fields, ...], ...]
    #: Whether a watch of each id is pending.
    watched: tuple[bool, ...]
    #: The time of the last command that reads it.
    time: int = 0


class Refusal(NamedTuple):
    """The rejection of a call: the error, its fields, and the guard."""

    error: str
    fields: Fields
    guard: str


class Answer(NamedTuple):
    """The result of a call; a rejected call has no state, because it changes nothing."""

    state: State | None
    refusal: Refusal | None = None
    #: The effects of each changed record, in order.
    effects: tuple[tuple[str, tuple[str, ...]], ...] = ()
    #: The ids of records that ended.
    ended: tuple[str, ...] = ()
    value: Value = None


class Call(NamedTuple):
    """A call: its method, the id of its record, and its arguments."""

    method: str
    id: str | None
    arguments: Arguments = ()
    #: When it is asked for, where the answer depends on that; no earlier than the call before it.
    time: int | None = None


def at_time(state: State, call: Call) -> State:
    """Return a state when something is asked for: time only rises."""
    if call.time is None or call.time <= state.time:
        return state
    return state._replace(time=call.time)


class Draft:
    """A mutable state, which a call changes."""

    def __init__(self, state: State) -> None:
        self.registry = list(state.registry)
        self.records = list(state.records)
        self.ended = list(state.ended)
        self.rows = list(state.rows)
        self.cursors = list(state.cursors)
        self.barriers = list(state.barriers)
        self.watched = list(state.watched)
        self.time = state.time

    def state(self) -> State:
        """Return the changed state."""
        return State(
            tuple(self.registry), tuple(self.records), tuple(self.ended), tuple(self.rows),
            tuple(self.cursors), tuple(self.barriers), tuple(self.watched), self.time,
        )  # fmt: skip

"""One state of everything that a machine's rules speak about."""

from __future__ import annotations

from typing import Any, NamedTuple

#: A plain value: the type of its expression says what it is. A member of a closed set is its word,
#: a value a tuple of its fields, a variant a tuple that its name begins.
Value = Any
#: The fields of a record, of the registry or of a feed entry.
Fields = tuple[Value, ...]
#: What a command takes, by the names of its parameters.
Arguments = tuple[tuple[str, Value], ...]


class State(NamedTuple):
    """Everything at one instant; ids and barrier keys are known by their place in the scenario."""

    registry: Fields
    #: The record of each id, or None.
    records: tuple[Fields | None, ...]
    #: The ids of the ended, the oldest first.
    ended: tuple[str, ...]
    #: Feed rows, the oldest first; behind its fields each has the id that wrote it.
    rows: tuple[Fields, ...]
    cursors: tuple[int, ...]
    #: The active barriers of each key, as their unfinished ids.
    barriers: tuple[tuple[Fields, ...], ...]
    #: Whether a watch of each id is pending.
    watched: tuple[bool, ...]


class Refusal(NamedTuple):
    """Why a call was refused: the error, its facts, and the guard that gave it."""

    error: str
    fields: Fields
    guard: str


class Answer(NamedTuple):
    """The result of a call; a rejected one has no state, because it changes nothing."""

    state: State | None
    refusal: Refusal | None = None
    #: The effects of each record that changed, in their order.
    effects: tuple[tuple[str, tuple[str, ...]], ...] = ()
    #: The ids that came to an end.
    ended: tuple[str, ...] = ()
    value: Value = None


class Call(NamedTuple):
    """Something that may be asked for: a method, the id it is about, and what it takes."""

    method: str
    id: str | None
    arguments: Arguments = ()


class Draft:
    """A state while a call changes it."""

    def __init__(self, state: State) -> None:
        self.registry = list(state.registry)
        self.records = list(state.records)
        self.ended = list(state.ended)
        self.rows = list(state.rows)
        self.cursors = list(state.cursors)
        self.barriers = list(state.barriers)
        self.watched = list(state.watched)

    def state(self) -> State:
        """Return the state that it has become."""
        return State(
            tuple(self.registry), tuple(self.records), tuple(self.ended), tuple(self.rows),
            tuple(self.cursors), tuple(self.barriers), tuple(self.watched),
        )  # fmt: skip

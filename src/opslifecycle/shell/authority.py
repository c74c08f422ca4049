"""The members of a generated authority and its records that the shell uses."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum
from typing import Any, Protocol, TypeVar

from opslifecycle.clock import Timed
from opslifecycle.sync.waits import Ended

IdT = TypeVar("IdT", bound=Hashable)
#: A record of a machine. The shell does not know the type of its id and outcome.
RecordT = TypeVar("RecordT", bound=Ended[Any, Any])


class Row(Protocol):
    """The record of a feed entry."""

    @property
    def id(self) -> Any:
        """The id of the record."""

    @property
    def sequence(self) -> int:
        """The sequence number of the entry."""


class Authority(Timed, Protocol[IdT, RecordT]):
    """A generated authority, besides the functions that decide.

    The authority of a machine has only the members that its features need. The shell uses those of
    the other features for no such machine.
    """

    records: dict[IdT, RecordT]
    #: The finished records with a sequence number, oldest first.
    ended: dict[IdT, RecordT]
    #: Of the feed: its edges, and the position of each consumer.
    watermark: int
    dropped_through: int
    cursors: dict[Enum, int]
    #: The number of the latest outbox message.
    effects_given: int
    #: The function that a function over several actions has called.
    decided_by: Callable[..., object]

    def erase(self, id: IdT) -> object:
        """Remove a record."""

    def evict(self, sequence: int, id: IdT) -> object:
        """Remove the oldest feed entry, and its record if that is finished."""

"""The queue of the committer's thread. Each command gets an answer, whatever is interrupted."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import TypeAlias

from opslifecycle.errors import OpsLifecycleError
from opslifecycle.shell.messages import OutboxEntry
from opslifecycle.shell.pending import PendingCommand, set_results


class Wake(enum.Enum):
    """The reasons to wake the committer besides commands and messages."""

    #: The store has lost its ownership, which its `heartbeat` raises.
    HEARTBEAT = enum.auto()


#: A command, an outbox message that a delivery has changed, a reason to wake the committer, or None
#: for the end of the queue.
Item: TypeAlias = "PendingCommand | OutboxEntry | Wake | None"
_NEVER = object()


class Mailbox:
    """A queue of items, and the items that were taken out of it and are not answered yet."""

    def __init__(self) -> None:
        # A finalizer may call its `put` at any moment, in which a condition variable may be locked.
        self._queue: SimpleQueue[Item] = SimpleQueue()
        self.put = self._queue.put
        self._taken: list[Item] = []
        self._ended: type[OpsLifecycleError] | None = None

    def submit(self, command: PendingCommand) -> None:
        """Queue a command behind the earlier ones, or raise the error that closed the mailbox."""
        if self._ended is not None:
            raise self._ended
        self._queue.put(command)
        if self._ended is not None:
            # The thread may have emptied the queue for the last time before the command was in it.
            self._refuse([], self._ended)

    def take(self, seconds: float | None) -> list[Item]:
        """Wait at most `seconds` for an item, and return all items that are not answered yet."""
        taken = self._taken
        try:
            # One call, so that an interrupt cannot lose an item between the queue and the list.
            taken.extend(map(self._queue.get, (True,), (seconds,)))
        except Empty:
            return taken
        drain(self._queue, taken)
        return taken

    def answered(self) -> None:
        """Forget the items that were taken: every command has an answer."""
        self._taken.clear()

    def finish(self, reason: type[OpsLifecycleError]) -> None:
        """Close for a reason: every command without an answer raises it; twice is harmless."""
        # First, so that `submit` refuses later commands.
        self._ended = reason
        self._refuse(self._taken, reason)
        # An error that was raised refers to the frames of its caller, and they to the registry.
        self._taken.clear()

    def _refuse(self, rest: list[Item], reason: type[OpsLifecycleError]) -> None:
        try:
            drain(self._queue, rest)
            _refuse_all(rest, reason)
        except BaseException:
            # The thread may be that of one caller, and other callers wait for what it has drained.
            _refuse_all(rest, reason)
            raise


def _refuse_all(items: Iterable[Item], reason: type[OpsLifecycleError]) -> None:
    rest = commands_of(items)
    set_results(rest, [reason() for _ in rest])


def commands_of(items: Iterable[Item]) -> list[PendingCommand]:
    """Return the commands among some items."""
    return [each for each in items if isinstance(each, tuple)]


def drain(queue: SimpleQueue[Item], into: list[Item]) -> None:
    """Move the items that are now in a queue to the end of a list, in one call."""
    try:
        into.extend(iter(queue.get_nowait, _NEVER))
    except Empty:
        # The list has the items before the end.
        pass

"""Commands on their way to the committer's thread. Each is answered, whatever is interrupted."""

from __future__ import annotations

from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import TypeAlias

from opslifecycle.errors import OpsLifecycleError
from opslifecycle.shell.messages import OutboxEntry
from opslifecycle.shell.pending import PendingCommand, set_results

#: A command, an outbox message that a delivery has changed, or None when no more will come.
Item: TypeAlias = "PendingCommand | OutboxEntry | None"
_NEVER = object()


class Mailbox:
    """A queue, and what was taken out of it and is not answered yet."""

    def __init__(self) -> None:
        # Its `put` may be called by a finalizer at any moment, which no condition variable allows.
        self._queue: SimpleQueue[Item] = SimpleQueue()
        self.put = self._queue.put
        self._taken: list[Item] = []
        self._ended: type[OpsLifecycleError] | None = None

    def submit(self, command: PendingCommand) -> None:
        """Queue a command behind all that came before it."""
        if self._ended is not None:
            raise self._ended
        self._queue.put(command)
        if self._ended is not None:
            # The thread may have looked for the last time before this came.
            self._refuse([], self._ended)

    def take(self, seconds: float | None) -> list[Item]:
        """Wait so long for something to come, and return all that is there."""
        taken = self._taken
        try:
            # One call: nothing is lost between the queue and the list.
            taken.extend(map(self._queue.get, (True,), (seconds,)))
        except Empty:
            return taken
        drain(self._queue, taken)
        return taken

    def answered(self) -> None:
        """Forget what was taken: everybody has an answer."""
        self._taken.clear()

    def finish(self, reason: type[OpsLifecycleError]) -> None:
        """Refuse what has no answer yet, and everything that comes; again is fine."""
        # Commands that are queued from here on find this set.
        self._ended = reason
        self._refuse(self._taken, reason)

    def _refuse(self, rest: list[Item], reason: type[OpsLifecycleError]) -> None:
        try:
            drain(self._queue, rest)
            _refuse_all(rest, reason)
        except BaseException:
            # In the thread of one caller, and others wait for what it has drained.
            _refuse_all(rest, reason)
            raise


def _refuse_all(items: Iterable[Item], reason: type[OpsLifecycleError]) -> None:
    rest = commands_of(items)
    set_results(rest, [reason() for _ in rest])


def commands_of(items: Iterable[Item]) -> list[PendingCommand]:
    """The commands among some items."""
    return [each for each in items if isinstance(each, tuple)]


def drain(queue: SimpleQueue[Item], into: list[Item]) -> None:
    """Move what is in a queue now to the end of a list, in one call."""
    try:
        into.extend(iter(queue.get_nowait, _NEVER))
    except Empty:
        # What came before stays in the list.
        pass

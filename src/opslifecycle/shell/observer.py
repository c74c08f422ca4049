"""The interface of an observer of a registry, and the observation of its queue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Sequence

import attrs
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.shell.pending import PendingCommand


@attrs.frozen
class Sight:
    """What an observer sees of a record right after a command.

    Attributes:
        record: The record, to be read only; it may have changed since.
        status: Its status.
        is_ended: Whether it is finished.
    """

    record: object
    status: str
    is_ended: bool


@attrs.frozen
class Act:
    """A record that a command has created or changed.

    Attributes:
        id: The id of the record.
        action: The action, by the name of its function.
        sight: The record; None if it is gone.
    """

    id: Hashable
    action: str
    sight: Sight | None


class Observer(ABC):
    """What is called with everything that happens in a registry. It must not raise."""

    @abstractmethod
    def begin(self, action: str, ids: Sequence[Hashable]) -> object:
        """Return what `end` gets; called before a command, in the thread or task of its caller.

        Args:
            action: The action, or what else the command does.
            ids: The records that it names.
        """

    @abstractmethod
    def end(self, begun: object, acts: Sequence[Act], error: BaseException | None) -> None:
        """Take note of the end of a command.

        Args:
            begun: The result of `begin`.
            acts: What it has changed.
            error: Its rejection, or why it could not be executed; None if it was accepted.
        """

    @abstractmethod
    def batch(self, waits_ns: Sequence[int]) -> None:
        """Take note of commands that are decided together, and how long each was queued."""

    @abstractmethod
    def commit(self, duration_ns: int) -> None:
        """Take note of a commit, and how long the store took for it."""

    @abstractmethod
    def close(self) -> None:
        """Take note of the end of the registry."""


class QueueWatch:
    """Observes the queue of a committer.

    Args:
        observer: The observer.
        submit: Queues a command.
    """

    def __init__(self, observer: Observer, submit: Callable[[PendingCommand], None]) -> None:
        self._observer = observer
        self._submit = submit
        # When commands were queued, in the order of the queue.
        self._arrivals: deque[int] = deque()
        self._since_ns = 0

    def submit(self, command: PendingCommand) -> None:
        """Queue a command."""
        self._arrivals.append(SYSTEM_CLOCK.monotonic_ns())
        self._submit(command)

    def taken(self, count: int) -> None:
        """Observe that commands were taken out of the queue."""
        now_ns = SYSTEM_CLOCK.monotonic_ns()
        # Those that were queued before the observation began have no time.
        arrived = [self._arrivals.popleft() for _ in range(min(count, len(self._arrivals)))]
        self._observer.batch([now_ns - each for each in arrived])

    def appending(self) -> None:
        """Observe that a commit goes to the store."""
        self._since_ns = SYSTEM_CLOCK.monotonic_ns()

    def appended(self) -> None:
        """Observe that the store has it."""
        self._observer.commit(SYSTEM_CLOCK.monotonic_ns() - self._since_ns)

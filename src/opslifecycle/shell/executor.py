"""The interface between a registry's commands and the two executors.

Without a store, `shell/direct.py` decides and publishes a command in the calling thread. With a
store, `shell/group_commit.py` queues it for a thread that decides, commits and publishes several
together.
"""

from __future__ import annotations

import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Hashable, Sequence
from typing import TypeVar

from opslifecycle.errors import OpsLifecycleError
from opslifecycle.shell.commands import Answer, Arguments, Command, Decide, Together
from opslifecycle.shell.engine import AnyEngine

T = TypeVar("T")


class Executor(ABC):
    """The executor of one registry's commands."""

    def __init__(self, engine: AnyEngine, id_type: type[object]) -> None:
        self._engine = engine
        self._id_type = id_type
        _EXECUTORS.add(self)

    def start(self) -> None:  # noqa: B027 - the direct one has nothing to start
        """Start to execute commands. `close` may be called before."""

    def note_interrupted(self) -> None:
        """Note which records of a store that was opened are live."""
        self._engine.note_interrupted()

    def start_timers(self) -> None:
        """Ask for the actions of timers from now on, first of those that are late."""
        alarm = self._engine.effects.alarm
        if alarm is not None:
            alarm.start(list(self._engine.authority.records.values()), self.run_all)

    @abstractmethod
    def act(
        self,
        id: Hashable,
        decide: Decide[Answer],
        arguments: Arguments,
        deferred: bool = False,
    ) -> None:
        """Execute a command that creates or changes one record, or raise its rejection.

        With a store this blocks until the command is durable, also in an event loop.

        Args:
            id: The id of the record.
            decide: The function of the authority that decides.
            arguments: Its arguments.
            deferred: Whether a store writes the change with the next commit, at most one second
                later. The call then returns as soon as the change is published.

        Raises:
            InvalidValueError: The id is of another type than those of this machine's records.
            OpsLifecycleError: The rejection, or why the executor is closed.
            PersistenceError: The store could not write the commit; nothing has changed.
        """

    @abstractmethod
    def act_async(
        self,
        id: Hashable,
        decide: Decide[Answer],
        arguments: Arguments,
        deferred: bool = False,
    ) -> Awaitable[None]:
        """Do what `act` does without blocking the event loop.

        Cancelling the task that awaits the result does not undo the command.
        """

    @abstractmethod
    def run(self, command: Command[T]) -> T:
        """Execute any other command and return its value, or raise its rejection."""

    def run_all(self, commands: Sequence[Command[T]]) -> list[T | OpsLifecycleError]:
        """Execute several such commands in their order; return the value or the error of each."""
        answers: list[T | OpsLifecycleError] = []
        for command in commands:
            try:
                answers.append(self.run(command))
            except OpsLifecycleError as error:
                answers.append(error)
        return answers

    @abstractmethod
    def run_async(self, command: Command[T]) -> Awaitable[T]:
        """Do what `run` does without blocking the event loop."""

    @abstractmethod
    def transact(self, transaction: Together) -> None:
        """Execute all commands of a transaction, or none and raise the rejection of one.

        Raises:
            OpsLifecycleError: The rejection with its `command_index`, or why the executor is
                closed.
            PersistenceError: The store could not write the commit; nothing has changed.
        """

    @abstractmethod
    def transact_async(self, transaction: Together) -> Awaitable[None]:
        """Do what `transact` does without blocking the event loop."""

    @abstractmethod
    def close(self) -> None:
        """Refuse further commands, finish the queued ones, and end every wait."""

    @abstractmethod
    async def close_async(self) -> None:
        """Do what `close` does, without blocking the event loop."""

    def abandon(self) -> None:
        """Close the executor of a registry that was dropped, in a finalizer, without waiting."""
        try:
            self._abandon()
        except BaseException:
            # The interpreter swallows the exception, and no other caller tries again.
            self._abandon()
            raise

    @abstractmethod
    def _abandon(self) -> None:
        """Close without waiting; twice is harmless."""

    def detach_after_fork(self) -> None:
        """Close in a forked child, because the parent owns the store and the threads."""
        self._engine.detach_after_fork()


_EXECUTORS: weakref.WeakSet[Executor] = weakref.WeakSet()


def _detach_all() -> None:
    for executor in list(_EXECUTORS):
        executor.detach_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_detach_all)

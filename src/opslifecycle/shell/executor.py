"""The interface between a registry's commands and the two ways to execute them.

Without a store, `shell/direct.py` decides and publishes a command in the calling thread. With one,
`shell/group_commit.py` queues it for a thread that decides, commits and publishes several together.
"""

from __future__ import annotations

import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Hashable
from typing import Any

from opslifecycle.shell.commands import Arguments, Command, Decide
from opslifecycle.shell.engine import Engine


class Executor(ABC):
    """What executes the commands of one registry."""

    def __init__(self, engine: Engine[Any, Any]) -> None:
        self._engine = engine
        _EXECUTORS.add(self)

    def start(self) -> None:  # noqa: B027 - the direct one has nothing to start
        """Begin to work. `close` may be called before."""

    @abstractmethod
    def act(
        self,
        id: Hashable,
        decide: Decide,
        arguments: Arguments,
        deferred: bool = False,
    ) -> None:
        """Execute a command that creates or changes one record, or raise its rejection.

        With a store this blocks until the command is durable, also in an event loop, unless its
        write is `deferred`: such a command is written with the next commit, at most a second later.
        """

    @abstractmethod
    def act_async(
        self,
        id: Hashable,
        decide: Decide,
        arguments: Arguments,
        deferred: bool = False,
    ) -> Awaitable[None]:
        """Do what `act` does without blocking the event loop.

        Cancelling the task that awaits the result does not undo the command.
        """

    @abstractmethod
    def run(self, command: Command) -> Any:
        """Execute any other command and return its value, or raise its rejection."""

    @abstractmethod
    def run_async(self, command: Command) -> Awaitable[Any]:
        """Do what `run` does without blocking the event loop."""

    @abstractmethod
    def close(self) -> None:
        """Refuse further commands, finish the queued ones, and end every wait."""

    @abstractmethod
    async def close_async(self) -> None:
        """Do what `close` does, without blocking the event loop."""

    def abandon(self) -> None:
        """Close what its owner has dropped; called by a finalizer, so it waits for nothing."""
        try:
            self._abandon()
        except BaseException:
            # The interpreter swallows the exception, and there is no other caller to try again.
            self._abandon()
            raise

    @abstractmethod
    def _abandon(self) -> None:
        """Close without waiting; again is harmless."""

    def detach_after_fork(self) -> None:
        """Refuse to work in a forked child: the parent still owns what is shared."""
        self._engine.detach_after_fork()


_EXECUTORS: weakref.WeakSet[Executor] = weakref.WeakSet()


def _detach_all() -> None:
    for executor in list(_EXECUTORS):
        executor.detach_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_detach_all)

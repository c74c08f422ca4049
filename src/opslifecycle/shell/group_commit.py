"""The executor of a registry with a store: callers queue commands and wait for their results."""

from __future__ import annotations

from collections.abc import Awaitable, Hashable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from opslifecycle.errors import OpsLifecycleError, RegistryClosedError
from opslifecycle.shell.authority import IdT, RecordT
from opslifecycle.shell.commands import Answer, Arguments, Command, Decide, Together
from opslifecycle.shell.commits import Committer
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.executor import Executor
from opslifecycle.shell.pending import PendingCommand, ThreadWaiter, new_future, pending_of
from opslifecycle.values.checks import exact

if TYPE_CHECKING:
    import asyncio

    from opslifecycle.shell.observer import Observer

T = TypeVar("T")


class GroupCommit(Executor, Generic[IdT, RecordT]):
    """Queues each command for the committer, which sets its result once it is durable."""

    def __init__(
        self,
        engine: Engine[IdT, RecordT],
        id_type: type[object],
        committer: Committer[IdT, RecordT],
    ) -> None:
        super().__init__(engine, id_type)
        self._committer = committer
        self._submit = committer.submit
        self._detached = False
        outbox = engine.effects.outbox
        if outbox is not None:
            outbox.changed = committer.note_delivery
            outbox.commit = self.run

    def start(self) -> None:
        """Start the committer's thread."""
        self._committer.start()

    def watch(self, observer: Observer) -> None:
        """Have the queue and the commits observed from now on."""
        self._committer.watch(observer)
        self._submit = self._committer.submit

    def act(
        self,
        id: Hashable,
        decide: Decide[Answer],
        arguments: Arguments,
        deferred: bool = False,
    ) -> None:
        """See `Executor.act`."""
        if type(id) is not self._id_type:
            exact("id", id, self._id_type)
        waiter: ThreadWaiter[None] = ThreadWaiter()
        self._submit((waiter, id, decide, arguments, deferred))
        waiter.join()

    def act_async(
        self,
        id: Hashable,
        decide: Decide[Answer],
        arguments: Arguments,
        deferred: bool = False,
    ) -> Awaitable[None]:
        """See `Executor.act_async`."""
        if type(id) is not self._id_type:
            exact("id", id, self._id_type)
        future: asyncio.Future[None] = new_future()
        self._submit((future, id, decide, arguments, deferred))
        return future

    def run(self, command: Command[T]) -> T:
        """See `Executor.run`."""
        waiter: ThreadWaiter[T] = ThreadWaiter()
        self._submit(pending_of(waiter, command))
        return waiter.join()

    def run_all(self, commands: Sequence[Command[T]]) -> list[T | OpsLifecycleError]:
        """See `Executor.run_all`. The commands go to the store together."""
        waiters: list[ThreadWaiter[T]] = []
        refused: list[T | OpsLifecycleError] = []
        try:
            for command in commands:
                waiter: ThreadWaiter[T] = ThreadWaiter()
                self._submit(pending_of(waiter, command))
                waiters.append(waiter)
        except OpsLifecycleError as error:
            refused += [error.clone() for _ in commands[len(waiters) :]]
        answers: list[T | OpsLifecycleError] = []
        for each in waiters:
            try:
                answers.append(each.join())
            except OpsLifecycleError as error:
                answers.append(error)
        return answers + refused

    def run_async(self, command: Command[T]) -> Awaitable[T]:
        """See `Executor.run_async`."""
        future: asyncio.Future[T] = new_future()
        self._submit(pending_of(future, command))
        return future

    def transact(self, transaction: Together) -> None:
        """See `Executor.transact`."""
        waiter: ThreadWaiter[None] = ThreadWaiter()
        self._submit(pending_of(waiter, transaction))
        waiter.join()

    def transact_async(self, transaction: Together) -> Awaitable[None]:
        """See `Executor.transact_async`."""
        future: asyncio.Future[None] = new_future()
        self._submit(pending_of(future, transaction))
        return future

    def close(self) -> None:
        """See `Executor.close`."""
        self._engine.stop_delivery(wait=True)
        if not self._detached:
            self._committer.close()
        self._engine.end(RegistryClosedError)

    async def close_async(self) -> None:
        """See `Executor.close_async`."""
        import asyncio

        await asyncio.to_thread(self.close)

    def _abandon(self) -> None:
        self._engine.stop_delivery(wait=False)
        if not self._detached:
            self._committer.stop()

    def detach_after_fork(self) -> None:
        """See `Executor.detach_after_fork`: the committer's thread is in the parent."""
        super().detach_after_fork()
        self._detached = True
        self._submit = _refuse


def _refuse(command: PendingCommand) -> None:
    raise RegistryClosedError

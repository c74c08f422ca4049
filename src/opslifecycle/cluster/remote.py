"""The executor of a registry that another host owns: it sends commands and awaits the answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, TypeVar

from opslifecycle.cluster.wire import Wire
from opslifecycle.errors import RegistryClosedError
from opslifecycle.shell.commands import Answer, Arguments, Command, Decide, Together
from opslifecycle.shell.engine import AnyEngine
from opslifecycle.shell.executor import Executor
from opslifecycle.shell.pending import ThreadWaiter, Waiting, new_future
from opslifecycle.values.checks import exact

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class RemoteExecutor(Executor):
    """Has the commands of a registry decided and committed by the host that owns it.

    Args:
        engine: The engine that follows the registry.
        id_type: The type of the ids of records.
        wire: The conversion of commands.
        send: Sends the text of a command; its answer goes to the waiter.
        leave: Called when the registry is closed here.
    """

    def __init__(
        self,
        engine: AnyEngine,
        id_type: type[object],
        wire: Wire,
        send: Callable[[str, Waiting], None],
        leave: Callable[[], None],
    ) -> None:
        super().__init__(engine, id_type)
        self._wire = wire
        self._send = send
        self._leave = leave

    def act(
        self,
        id: Hashable,
        decide: Decide[Answer],
        arguments: Arguments,
        deferred: bool = False,
    ) -> None:
        """See `Executor.act`; the command is durable when this returns, also a deferred one."""
        waiter: ThreadWaiter[None] = ThreadWaiter()
        self._post(self._act(id, decide, arguments), waiter)
        waiter.join()

    def act_async(
        self,
        id: Hashable,
        decide: Decide[Answer],
        arguments: Arguments,
        deferred: bool = False,
    ) -> Awaitable[None]:
        """See `Executor.act_async`."""
        text = self._act(id, decide, arguments)
        future: asyncio.Future[None] = new_future()
        self._post(text, future)
        return future

    def _act(self, id: Hashable, decide: Decide[Answer], arguments: Arguments) -> str:
        if type(id) is not self._id_type:
            exact("id", id, self._id_type)
        return self._wire.of_act((id, decide, arguments))

    def run(self, command: Command[T]) -> T:
        """See `Executor.run`."""
        waiter: ThreadWaiter[T] = ThreadWaiter()
        self._post(self._wire.of_command(command), waiter)
        return waiter.join()

    def run_async(self, command: Command[T]) -> Awaitable[T]:
        """See `Executor.run_async`."""
        text = self._wire.of_command(command)
        future: asyncio.Future[T] = new_future()
        self._post(text, future)
        return future

    def transact(self, transaction: Together) -> None:
        """See `Executor.transact`."""
        waiter: ThreadWaiter[None] = ThreadWaiter()
        self._post(self._wire.of_transaction(transaction), waiter)
        waiter.join()

    def transact_async(self, transaction: Together) -> Awaitable[None]:
        """See `Executor.transact_async`."""
        text = self._wire.of_transaction(transaction)
        future: asyncio.Future[None] = new_future()
        self._post(text, future)
        return future

    def _post(self, text: str, waiting: Waiting) -> None:
        closed = self._engine.closed
        if closed is not None:
            raise closed()
        self._send(text, waiting)

    def close(self) -> None:
        """Stop following the registry, which its owner keeps; end every wait here."""
        self._leave()
        self._engine.end(RegistryClosedError)

    async def close_async(self) -> None:
        """See `close`."""
        self.close()

    def _abandon(self) -> None:
        self.close()

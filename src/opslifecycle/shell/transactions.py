"""Transactions: commands that are recorded in a block and happen together at its end.

In the block, the methods of the registry check their arguments and record. At the end, the executor
decides the commands in their order, in one section, and publishes or drops the whole. The program
therefore runs no code while the registry decides, and a transaction holds nothing while it is open
(ADR 0031).
"""

from __future__ import annotations

from collections.abc import Awaitable, Hashable
from types import TracebackType
from typing import Generic, NoReturn, Protocol, TypeVar, cast

from opslifecycle.errors import TransactionEndedError, UnsupportedError
from opslifecycle.shell.commands import (
    Answer,
    Arguments,
    Command,
    Decide,
    Step,
    Together,
    in_its_arguments,
)
from opslifecycle.shell.executor import Executor
from opslifecycle.shell.pending import ReadyResult
from opslifecycle.values.checks import exact

T = TypeVar("T")

_NESTED = "a transaction in a transaction"


class Recorder(Executor):
    """The executor of a registry's methods in a transaction: it records their commands.

    Args:
        executor: The executor of the registry.
    """

    def __init__(self, executor: Executor) -> None:
        self._engine = executor._engine
        self._id_type = executor._id_type
        self._executor = executor
        self._steps: list[Step[None]] = []
        self._ended = False

    def act(
        self,
        id: Hashable,
        decide: Decide[Answer],
        arguments: Arguments,
        deferred: bool = False,
    ) -> None:
        """Record a command that creates or changes one record."""
        if type(id) is not self._id_type:
            exact("id", id, self._id_type)
        self._record((None, id, decide, arguments, deferred))

    def act_async(
        self,
        id: Hashable,
        decide: Decide[Answer],
        arguments: Arguments,
        deferred: bool = False,
    ) -> Awaitable[None]:
        """Do what `act` does."""
        self.act(id, decide, arguments, deferred)
        return ReadyResult(None)

    def run(self, command: Command[T]) -> T:
        """Record another command. One whose callers use its value is refused."""
        if command.has_value:
            name = getattr(command.decide, "__name__", "a command")
            raise UnsupportedError(f"{name} in a transaction, which has no value before its end")
        self._record((None, None, in_its_arguments, (command,), False))
        nothing: T = cast("T", None)
        return nothing

    def run_async(self, command: Command[T]) -> Awaitable[T]:
        """Do what `run` does."""
        return ReadyResult(self.run(command))

    def transact(self, transaction: Together) -> NoReturn:
        """Refuse a transaction in a transaction."""
        raise UnsupportedError(_NESTED)

    def transact_async(self, transaction: Together) -> NoReturn:
        """Refuse a transaction in a transaction."""
        raise UnsupportedError(_NESTED)

    def _record(self, step: Step[None]) -> None:
        if self._ended:
            raise TransactionEndedError
        self._steps.append(step)

    def end(self) -> Together | None:
        """Record nothing more; return the commands, or None if there are none."""
        self._ended = True
        steps, self._steps = self._steps, []
        return Together(steps) if steps else None

    def close(self) -> NoReturn:
        """Refuse to close the registry."""
        raise UnsupportedError("close in a transaction")

    async def close_async(self) -> NoReturn:
        """Refuse to close the registry."""
        self.close()

    def _abandon(self) -> None:
        self._ended = True


class _Registry(Protocol):
    """A registry, as far as its transactions are concerned."""

    _executor: Executor


RegistryT = TypeVar("RegistryT", bound=_Registry)


class _Block(Generic[RegistryT]):
    """Base of both kinds of transactions.

    Args:
        registry: The registry, which stays in use by others.
    """

    def __init__(self, registry: RegistryT) -> None:
        if isinstance(registry._executor, Recorder):
            raise UnsupportedError(_NESTED)
        # It ends when it is dropped, so it must not be before the commands are queued.
        self._registry = registry
        self._recorder = Recorder(registry._executor)
        self._has_begun = False

    def _begin(self) -> RegistryT:
        if self._has_begun:
            raise TransactionEndedError
        self._has_begun = True
        registry = self._registry
        recording = object.__new__(type(registry))
        vars(recording).update(vars(registry))
        recording._executor = self._recorder
        return recording

    def _end(self, error: BaseException | None) -> Together | None:
        """Return the commands that must happen now; None if there are none."""
        transaction = self._recorder.end()
        return transaction if error is None else None


class Transaction(_Block[RegistryT]):
    """A block whose commands happen together at its end: all of them, in their order, or none.

    `with registry.transaction() as transaction:` gives an object with the methods of the registry.
    Its commands check their arguments and return; the end of the block decides them, in one commit.
    If one is rejected, the end raises the rejection, whose `command_index` says which it was, and
    nothing has happened. The same holds if the block raises an exception. Reads and waits in the
    block are those of the registry, which other callers change meanwhile.
    """

    def __enter__(self) -> RegistryT:
        return self._begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        transaction = self._end(error)
        if transaction is not None:
            self._registry._executor.transact(transaction)


class AsyncTransaction(_Block[RegistryT]):
    """The same for event loops, as `async with`: commands are awaited, as those of the registry.

    The end of the block does not block the loop. Cancelling the task while it waits there does not
    undo the transaction.
    """

    async def __aenter__(self) -> RegistryT:
        return self._begin()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        transaction = self._end(error)
        if transaction is not None:
            await self._registry._executor.transact_async(transaction)

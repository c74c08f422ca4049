"""The executor of a registry without a store: the calling thread decides and publishes."""

from __future__ import annotations

from collections.abc import Awaitable, Hashable
from typing import TypeVar

from opslifecycle.errors import CommandInterruptedError, OpsLifecycleError, RegistryClosedError
from opslifecycle.shell.authority import IdT, RecordT
from opslifecycle.shell.batch import Batch
from opslifecycle.shell.commands import Answer, Arguments, Command, Decide, Together
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.executor import Executor
from opslifecycle.shell.pending import ReadyResult
from opslifecycle.values.checks import exact

T = TypeVar("T")


class DirectExecutor(Executor):
    """Executes each command in one short critical section of the calling thread."""

    def __init__(self, engine: Engine[IdT, RecordT], id_type: type[object]) -> None:
        super().__init__(engine, id_type)
        # The time of the monotonic clock at which the authority's time is outdated.
        self._time_valid_until_ns = 0

    def act(
        self,
        id: Hashable,
        decide: Decide[Answer],
        arguments: Arguments,
        deferred: bool = False,
    ) -> None:
        """See `Executor.act`. This is the hot path: it makes as few calls as possible."""
        if type(id) is not self._id_type:
            exact("id", id, self._id_type)
        engine = self._engine
        lock, now_ns = engine.lock, engine.clock.monotonic_ns
        mutex = lock.mutex
        # `lock.hold`, spelled out, because its calls would make every command slower. No second
        # `try` inside: the bytecodes between the two would have no handler.
        whole = True
        effects: Answer
        try:
            mutex.acquire()
            if lock.dropped:
                lock.forget_dropped()
            if engine.closed is not None:
                # Raised after the release: an interrupt of the handler would leave the lock held.
                effects = engine.closed()
            else:
                authority, runner = engine.authority, engine.effects
                if now_ns() >= self._time_valid_until_ns:
                    self._time_valid_until_ns = engine.time.set_time(authority)
                whole = False
                # Spelled out, because `*arguments` takes far longer.
                if len(arguments) == 1:
                    effects = decide(authority, arguments[0])
                elif len(arguments) == 2:
                    effects = decide(authority, arguments[0], arguments[1])
                else:
                    effects = decide(authority, *arguments)
                if effects.__class__ is tuple and (effects or runner.listing.is_built):
                    runner.apply(authority, authority.records[id], effects, decide, arguments)
            whole = True
            mutex.release()
            if lock.left:
                lock.drain()
        except BaseException:
            if not whole:
                # `Engine.fail`, spelled out, because the stack may have no room for its call.
                engine.closed = CommandInterruptedError
                engine.effects.listing.is_built = False
                lock.left[engine.effects.end] = True
            try:
                mutex.release()
            except RuntimeError:
                pass
            if lock.left:
                lock.drain()
            raise
        if effects.__class__ is tuple:
            return
        assert isinstance(effects, OpsLifecycleError)
        raise effects

    def act_async(
        self,
        id: Hashable,
        decide: Decide[Answer],
        arguments: Arguments,
        deferred: bool = False,
    ) -> Awaitable[None]:
        """See `Executor.act_async`. This executes the command before it returns."""
        self.act(id, decide, arguments, deferred)
        return ReadyResult(None)

    def run(self, command: Command[T]) -> T:
        """See `Executor.run`."""
        value: T | OpsLifecycleError = self._engine.lock.hold(self._run, command)
        if isinstance(value, OpsLifecycleError):
            raise value
        return value

    def _run(self, command: Command[T]) -> T | OpsLifecycleError:
        engine = self._engine
        if engine.closed is not None:
            return engine.closed()
        authority, effects = engine.authority, engine.effects
        # Before the section that closes the registry if it fails: a clock may raise.
        engine.time.set_time(authority)
        try:
            value, changes, _ = command.run(authority)
            for record, given in changes:
                effects.apply(authority, record, given, command.decide, command.arguments)
            effects.evict_passed(authority)
            if effects.outbox is not None:
                effects.outbox.publish()
        except BaseException:
            engine.fail()
            raise
        return value

    def run_async(self, command: Command[T]) -> Awaitable[T]:
        """See `Executor.run_async`. This executes the command before it returns."""
        return ReadyResult(self.run(command))

    def transact(self, transaction: Together) -> None:
        """See `Executor.transact`."""
        rejection = self._engine.lock.hold(self._transact, transaction)
        if rejection is not None:
            raise rejection

    def _transact(self, transaction: Together) -> OpsLifecycleError | None:
        engine = self._engine
        if engine.closed is not None:
            return engine.closed()
        batch = Batch(engine)
        batch.set_time()
        try:
            rejection = batch.decide_together(transaction.steps)
            if rejection is None:
                batch.publish()
            elif engine.effects.outbox is not None:
                engine.effects.outbox.drop()
        except BaseException:
            engine.fail()
            raise
        return rejection

    def transact_async(self, transaction: Together) -> Awaitable[None]:
        """See `Executor.transact_async`. This executes the commands before it returns."""
        self.transact(transaction)
        return ReadyResult(None)

    def close(self) -> None:
        """See `Executor.close`."""
        self._engine.stop_delivery(wait=True)
        self._engine.end(RegistryClosedError)

    async def close_async(self) -> None:
        """See `Executor.close_async`."""
        if self._engine.effects.outbox is None and self._engine.effects.alarm is None:
            self.close()
            return
        import asyncio

        await asyncio.to_thread(self.close)

    def _abandon(self) -> None:
        self._engine.stop_delivery(wait=False)
        self._engine.lock.defer(self._engine.end_locked)

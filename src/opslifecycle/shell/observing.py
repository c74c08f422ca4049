"""Observation of a registry: its commands, and the batches and commits of its store.

An executor that observes takes the place of the registry's own, so that a registry without an
observer pays for nothing but a branch in each batch. The observer is called without a lock: in the
thread of the caller after each command, and in that of the committer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar, cast

import attrs
from opslifecycle.errors import InvalidValueError, OpsLifecycleError
from opslifecycle.shell.commands import (
    COLLECT,
    Answer,
    Arguments,
    Command,
    Decide,
    Decision,
    Step,
    Together,
)
from opslifecycle.shell.direct import DirectExecutor
from opslifecycle.shell.engine import AnyEngine
from opslifecycle.shell.executor import Executor
from opslifecycle.shell.group_commit import GroupCommit
from opslifecycle.shell.observer import Act, Observer, Sight
from opslifecycle.shell.pending import ReadyResult
from opslifecycle.sync.waits import Ended

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


#: A record of any machine.
Seen: TypeAlias = Ended[Hashable, object]

#: The method of each authority that creates a record, and what machines call the command.
_CREATING, _CREATE = "register", "create"
#: What the method of an action begins with, if an authority uses the action's name itself.
_RENAMED = "_do_"


class _Observable(Protocol):
    """The parts of a registry by which it is observed."""

    _executor: Executor
    _engine: AnyEngine


class _Named:
    """A command on one record, which is looked at afterwards."""

    def __init__(self, engine: AnyEngine, id: Hashable, decide: Decide[object]) -> None:
        self._engine = engine
        self._id, self._action = id, _action_of(decide)

    def acts(self) -> list[Act]:
        return [Act(self._id, self._action, self._engine.view(self._id, sight_of))]


class _Recorded(Generic[T]):
    """A command on any records, which notes them when it is decided."""

    def __init__(self, command: Command[T]) -> None:
        self._decide = command.run
        self.action = action_of(command)
        # What it erases had ended before.
        self._collects = command.form == COLLECT
        self._acts: list[Act] = []

    def run(self, authority: object) -> Decision[T, Seen]:
        """Decide, which a batch may do twice."""
        decision = self._decide(authority)
        if not self._collects:
            self._acts = [Act(each.id, self.action, sight_of(each, 0)) for each, _ in decision[1]]
        return decision

    def acts(self) -> list[Act]:
        return self._acts


class _Watched(Protocol):
    """What a command has done is known afterwards."""

    def acts(self) -> list[Act]:
        """Return what it has done."""


def sight_of(record: Seen, watches: int) -> Sight:
    """Return what an observer sees of a record, whatever its number of watches."""
    # Not by the outcome, which a record has at a milestone, too.
    return Sight(record, status_text(record.status), record.status.terminal)


def status_text(status: object) -> str:
    """Return a status as stores spell it."""
    return str(getattr(status, "value", status))


def action_of(command: Command[T]) -> str:
    """Return the name of a command."""
    return command.form if command.decide is None else _action_of(command.decide)


def _action_of(decide: Decide[object]) -> str:
    """Return the name of an action, as the machine calls it."""
    name = decide.__name__
    return _CREATE if name == _CREATING else name.removeprefix(_RENAMED)


class ObservedExecutor(Executor):
    """An executor whose commands are observed.

    Args:
        inner: The executor of the registry.
        engine: The engine of the registry.
        observer: The observer.
    """

    def __init__(self, inner: Executor, engine: AnyEngine, observer: Observer) -> None:
        super().__init__(engine, inner._id_type)
        self._inner = inner
        self._observer = observer

    def act(
        self,
        id: Hashable,
        decide: Decide[Answer],
        arguments: Arguments,
        deferred: bool = False,
    ) -> None:
        """See `Executor.act`."""
        begun = self._observer.begin(_action_of(decide), (id,))
        watched = (_Named(self._engine, id, decide),)
        self._observed(begun, watched, lambda: self._inner.act(id, decide, arguments, deferred))

    def act_async(
        self,
        id: Hashable,
        decide: Decide[Answer],
        arguments: Arguments,
        deferred: bool = False,
    ) -> Awaitable[None]:
        """See `Executor.act_async`."""
        begun = self._observer.begin(_action_of(decide), (id,))
        watched = (_Named(self._engine, id, decide),)
        return self._observed_async(
            begun, watched, lambda: self._inner.act_async(id, decide, arguments, deferred)
        )

    def run(self, command: Command[T]) -> T:
        """See `Executor.run`."""
        begun, watched, observed = self._recorded(command)
        return self._observed(begun, (watched,), lambda: self._inner.run(observed))

    def run_all(self, commands: Sequence[Command[T]]) -> list[T | OpsLifecycleError]:
        """See `Executor.run_all`."""
        recorded = [self._recorded(each) for each in commands]
        try:
            answers = self._inner.run_all([observed for _, _, observed in recorded])
        except BaseException as interrupt:
            for begun, _, _ in recorded:
                self._observer.end(begun, (), interrupt)
            raise
        for (begun, watched, _), answer in zip(recorded, answers, strict=True):
            error = answer if isinstance(answer, OpsLifecycleError) else None
            self._observer.end(begun, () if error else watched.acts(), error)
        return answers

    def run_async(self, command: Command[T]) -> Awaitable[T]:
        """See `Executor.run_async`."""
        begun, watched, observed = self._recorded(command)
        return self._observed_async(begun, (watched,), lambda: self._inner.run_async(observed))

    def transact(self, transaction: Together) -> None:
        """See `Executor.transact`."""
        begun, watched, observed = self._together(transaction)
        self._observed(begun, watched, lambda: self._inner.transact(observed))

    def transact_async(self, transaction: Together) -> Awaitable[None]:
        """See `Executor.transact_async`."""
        begun, watched, observed = self._together(transaction)
        return self._observed_async(begun, watched, lambda: self._inner.transact_async(observed))

    def close(self) -> None:
        """See `Executor.close`."""
        self._inner.close()
        self._observer.close()

    async def close_async(self) -> None:
        """See `Executor.close_async`."""
        await self._inner.close_async()
        self._observer.close()

    def _abandon(self) -> None:
        self._inner._abandon()

    def detach_after_fork(self) -> None:
        """See `Executor.detach_after_fork`: the executor inside is detached by itself."""

    def _recorded(self, command: Command[T]) -> tuple[object, _Recorded[T], Command[T]]:
        watched = _Recorded(command)
        ids = () if command.id is None else (command.id,)
        begun = self._observer.begin(watched.action, ids)
        return begun, watched, attrs.evolve(command, run=watched.run)

    def _together(self, transaction: Together) -> tuple[object, list[_Watched], Together]:
        watched: list[_Watched] = []
        steps: list[Step[None]] = []
        for step in transaction.steps:
            waiting, id, decide, arguments, deferred = step
            if id is not None:
                watched.append(_Named(self._engine, id, decide))
                steps.append(step)
                continue
            (command,) = arguments
            assert isinstance(command, Command), "transactions are not nested"
            recorded = _Recorded(command)
            watched.append(recorded)
            observed = attrs.evolve(command, run=recorded.run)
            steps.append((waiting, id, decide, (observed,), deferred))
        ids = [step[1] for step in steps if step[1] is not None]
        begun = self._observer.begin("transaction", ids)
        return begun, watched, attrs.evolve(transaction, steps=steps)

    def _observed(self, begun: object, watched: Sequence[_Watched], call: Callable[[], T]) -> T:
        try:
            answer = call()
        except BaseException as error:
            self._observer.end(begun, (), error)
            raise
        self._observer.end(begun, _acts(watched), None)
        return answer

    def _observed_async(
        self, begun: object, watched: Sequence[_Watched], call: Callable[[], Awaitable[T]]
    ) -> Awaitable[T]:
        try:
            awaitable = call()
        except BaseException as error:
            self._observer.end(begun, (), error)
            raise
        if isinstance(awaitable, ReadyResult):
            self._observer.end(begun, _acts(watched), None)
            return awaitable

        def end(done: asyncio.Future[T]) -> None:
            # A task that is cancelled does not undo its command, which may be decided later.
            error = None if done.cancelled() else done.exception()
            self._observer.end(begun, () if error else _acts(watched), error)

        cast("asyncio.Future[T]", awaitable).add_done_callback(end)
        return awaitable


def _acts(watched: Sequence[_Watched]) -> list[Act]:
    return [act for each in watched for act in each.acts()]


def observe(registry: object, observer_of: Callable[[AnyEngine], Observer]) -> None:
    """Observe a registry from now on.

    Args:
        registry: An open registry of any machine, which this process owns.
        observer_of: Returns the observer, from the engine of the registry.

    Raises:
        InvalidValueError: It is no such registry, or it is observed already.
    """
    executor = getattr(registry, "_executor", None)
    if isinstance(executor, ObservedExecutor):
        raise InvalidValueError("registry", "it is observed already; instrument it once")
    if not isinstance(executor, DirectExecutor | GroupCommit):
        reason = f"expected an open registry that this process owns, got {registry!r:.80}"
        raise InvalidValueError("registry", reason)
    observable = cast("_Observable", registry)
    engine = observable._engine
    observer = observer_of(engine)
    observed = ObservedExecutor(executor, engine, observer)
    if isinstance(executor, GroupCommit):
        executor.watch(observer)
    if engine.effects.alarm is not None:
        engine.effects.alarm.run_by(observed.run_all)
    observable._executor = observed

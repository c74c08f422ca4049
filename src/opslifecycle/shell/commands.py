"""Commands: the question that each asks of an authority, published or staged."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from typing import Any, Generic, TypeAlias, TypeVar, cast

import attrs
from opslifecycle.errors import InternalError, InvalidValueError, OpsLifecycleError
from opslifecycle.shell.authority import Authority, IdT, RecordT
from opslifecycle.sync.waits import Ended

T = TypeVar("T")
WaitingT = TypeVar("WaitingT")

#: The effects on one record that follow from an accepted command.
Effects: TypeAlias = tuple[Enum, ...]

#: A function of a generated authority that decides a command. Its parameters are the authority and
#: those that the machine declares; its result is a T.
Decide: TypeAlias = Callable[..., T]

#: The arguments of such a function, without the authority.
Arguments: TypeAlias = tuple[object, ...]

#: The result of a function that decides a command on one record.
Answer: TypeAlias = Effects | OpsLifecycleError

#: A record that a command has changed, and the effects on it.
Change: TypeAlias = tuple[RecordT, Effects]

#: The result of a command: its value or its rejection, its changes, and whether they must be
#: durable before the caller gets the result.
Decision: TypeAlias = tuple[T | OpsLifecycleError, Sequence[Change[RecordT]], bool]

#: A finished record, whose outcome has a type of the machine.
Finished: TypeAlias = Ended[IdT, Any]

#: The ids and outcomes of collected records.
Collected: TypeAlias = list[tuple[IdT, Any]]


#: The forms of commands that other processes can request.
ON_ALL, ON_ALL_AND_STATE, COLLECT, ADVANCE = "all", "all_and_state", "collect", "advance"
RETURN = "return"


@attrs.define(eq=False, repr=False)
class Reply:
    """The answer to a command that another host has requested. The commit of the command stores it.

    Attributes:
        request: The id of the request.
        encode: Returns the answer as JSON text, from the value or the rejection of the command and
            the records that it has changed. It never raises.
        text: The answer; empty before the command was decided.
        is_stored: Whether a commit has stored the answer.
    """

    request: str
    encode: Callable[..., str]
    text: str = ""
    is_stored: bool = False


@attrs.frozen(eq=False, repr=False)
class Command(Generic[T]):
    """A command that changes any number of records, or none.

    Attributes:
        run: Decides the command on an authority. The records are of the authority's machine.
        decide: The function of the authority that `run` calls. The outbox finds the action of a
            message by it; None for a command of the shell itself.
        arguments: The arguments of that function.
        has_value: Whether its callers use its value, which is known only after it was decided.
        reply: Where its answer goes; None for a command of this process.
        form: Which function below made the command, for another process to make it again; empty for
            a command that no other process can request.
        id: The id of the one record that the command changes; None for a command on several.
        answer: The function of the authority that returns the value of such a command.
    """

    run: Callable[..., Decision[T, Any]]
    decide: Decide[object] | None = None
    arguments: Arguments = ()
    has_value: bool = attrs.field(default=True, kw_only=True)
    reply: Reply | None = attrs.field(default=None, kw_only=True)
    form: str = attrs.field(default="", kw_only=True)
    id: Hashable = attrs.field(default=None, kw_only=True)
    answer: Callable[..., T] | None = attrs.field(default=None, kw_only=True)

    def acts_on(self, id: Hashable) -> bool:
        """Return whether it is known to change the record with an id, and no other."""
        return self.id is not None and self.id == id


#: One command of a transaction: the id of the one record that it creates or changes, the function
#: that decides it and that function's arguments, and whether its write is deferred. The first item
#: is the waiter of a command in the committer's queue, which is such a tuple, too. Without an id
#: the one argument is a `Command`, or the `Together` of a transaction.
Step: TypeAlias = tuple[WaitingT, Any, Decide[object], Arguments, bool]


@attrs.frozen(eq=False, repr=False)
class Together:
    """The commands of a transaction: all of them happen, in their order, or none."""

    steps: Sequence[Step[None]]
    reply: Reply | None = None

    def acts_on(self, id: Hashable) -> bool:
        """Return whether one of the commands creates or changes the record with an id."""
        return any(step[1] == id for step in self.steps)


def in_its_arguments(*_: object) -> object:
    """Stand for the function of a step that has a `Command` or a `Together`."""
    raise InternalError("the command of a step without an id is its argument")


def acting_on_all(
    decide: Decide[Sequence[Change[RecordT]]], *payload: object, writes_state: bool = False
) -> Command[None]:
    """Return a command that changes any number of records.

    Args:
        decide: The function of the authority, which returns its changes.
        *payload: The arguments of the function.
        writes_state: Whether the function also changes stored fields of the registry. The command
            must then be durable even if it changes no record.
    """

    def run(authority: object) -> Decision[None, RecordT]:
        changes = decide(authority, *payload)
        return None, changes, writes_state or bool(changes)

    form = ON_ALL_AND_STATE if writes_state else ON_ALL
    return Command(run, decide, payload, has_value=False, form=form)


def collecting(
    decide: Decide[Sequence[Finished[IdT]] | OpsLifecycleError], erase: Effects
) -> Command[Collected[IdT]]:
    """Return the command that collects finished records: its value is their ids and outcomes.

    Args:
        decide: The function of the authority, which returns the records.
        erase: The effects on each record.
    """

    def run(authority: object) -> Decision[Collected[IdT], Finished[IdT]]:
        records = decide(authority)
        if isinstance(records, OpsLifecycleError):
            return records, (), False
        collected = [(record.id, record.terminal_outcome) for record in records]
        return collected, [(record, erase) for record in records], bool(records)

    return Command(run, decide, form=COLLECT)


def advancing(decide: Decide[int | OpsLifecycleError], consumer: Enum, cursor: int) -> Command[int]:
    """Return the command that moves the cursor of a consumer: its value is the new position.

    Args:
        decide: The function of the authority, which returns the new position.
        consumer: The consumer.
        cursor: The position to which the consumer has read.
    """

    def run(authority: Authority[IdT, RecordT]) -> Decision[int, RecordT]:
        before = authority.cursors[consumer]
        result = decide(authority, consumer, cursor)
        moved = not isinstance(result, OpsLifecycleError) and result != before
        return result, (), moved

    return Command(run, decide, (consumer, cursor), form=ADVANCE)


def returning(
    decide: Decide[Answer],
    answer: Callable[..., T],
    arguments: Arguments,
    *,
    deferred: bool = False,
) -> Command[T]:
    """Return a command that changes one record and has a value.

    Args:
        decide: The function of the authority that decides.
        answer: The function of the authority that returns the value, once the command is accepted.
        arguments: The arguments of both, first the id of the record.
        deferred: Whether the change is written with the next commit, as in `Executor.act`.
    """

    def run(authority: Authority[IdT, RecordT]) -> Decision[T, RecordT]:
        effects = decide(authority, *arguments)
        if isinstance(effects, OpsLifecycleError):
            return effects, (), False
        value, record = answer(authority, *arguments), authority.records[cast("IdT", arguments[0])]
        return value, [(record, effects)], not deferred

    return Command(run, decide, arguments, form=RETURN, id=arguments[0], answer=answer)


def recovering(
    interrupted: str | None,
    terminate: Decide[Sequence[Change[RecordT]]] | None,
    discard: Decide[Answer] | None,
) -> Command[None] | None:
    """Return the command that recovers the live records of a registry whose process has ended.

    Args:
        interrupted: `terminate` or `discard`, as the store requests; None as the machine declares.
        terminate: The function of the authority that finishes all live records, if there is one.
        discard: The function that rolls one record back, if there is one.

    Returns:
        The command; None if live records stay live.

    Raises:
        InvalidValueError: The machine does not declare what the store requests.
    """
    if interrupted is None and terminate is None:
        return None
    if interrupted == "discard" and discard is not None:
        return _discarding(discard)
    if interrupted != "discard" and terminate is not None:
        return acting_on_all(terminate)
    reason = f"this machine declares no {interrupted!r}; open the store with interrupted=None"
    raise InvalidValueError("interrupted", reason)


def _discarding(discard: Decide[Answer]) -> Command[None]:
    def run(authority: Authority[IdT, RecordT]) -> Decision[None, RecordT]:
        live = [each for each in authority.records.values() if not each.status.terminal]
        changes = []
        for record in live:
            effects = discard(authority, record.id)
            assert not isinstance(effects, OpsLifecycleError), "a live record can be discarded"
            changes.append((record, effects))
        return None, changes, bool(changes)

    return Command(run, discard)

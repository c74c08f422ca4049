"""How a supervisor records what it runs: the calls that a machine declares for it, generated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import attrs
from opslifecycle.sync.waits import Wait
from opslifecycle.values.identifiers import AnyIdentifier, Identifier

IdT = TypeVar("IdT", bound="AnyIdentifier")
OutcomeT = TypeVar("OutcomeT")
ResultsT = TypeVar("ResultsT")


@attrs.frozen(eq=False, repr=False)
class WorkCall:
    """A method of the registry, and the function that makes its arguments."""

    method: str
    arguments: Callable[..., tuple[object, ...]]


@attrs.frozen(eq=False, repr=False)
class WorkWatch(Generic[OutcomeT]):
    """The method that waits for a record, and the class of the wait."""

    method: str
    wait: type[Wait[OutcomeT]]


@attrs.frozen(eq=False, repr=False)
class WorkBarrier(Generic[ResultsT]):
    """The method that waits for several records, the type of its key, and the class of the wait.

    Without a barrier, the method is empty.
    """

    method: str
    key: type[AnyIdentifier]
    wait: type[Wait[ResultsT]]


#: Of a machine that declares no barrier.
NO_BARRIER: WorkBarrier[None] = WorkBarrier("", Identifier, Wait)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WorkDefinition(Generic[IdT, OutcomeT, ResultsT]):
    """The calls of a supervisor for one machine.

    Attributes:
        id: The type of the records' identifiers.
        given: The parameters that callers of `start` give, with their types.
        register: Creates the record of work that waits for its turn.
        start: Records that the work runs.
        complete: Records its result.
        fail: Records its error.
        cancel: Ends its record on request.
        progress: Records its progress, if the machine can.
        stop: Records that the work is asked to stop, if the machine can.
        time_out: Records that its timeout has passed, if the machine distinguishes it from `fail`.
        watch: The method that waits for a record.
        snapshot: The method that reads a record.
        discard: The method that erases a live record, if there is one.
        barrier: The method that waits for several records.
        cancelled: What the outcome of cancelled work is: classes of values, or members.
        timed_out: What the outcome of work is whose timeout has passed, likewise.
        interrupted: What the outcome of work is whose process ended before it, likewise.
        result: The class of a result that work may return as a whole.
        call: Returns the stored text of the call that a record runs, or None, and whether the work
            still waits for its turn; None if the machine stores no calls.
        takes_value: Whether `complete` receives the value that work returned, unchanged.
    """

    id: type[IdT]
    given: tuple[tuple[str, object], ...]
    register: WorkCall
    start: WorkCall
    complete: WorkCall
    fail: WorkCall
    cancel: WorkCall
    watch: WorkWatch[OutcomeT]
    snapshot: str
    barrier: WorkBarrier[ResultsT]
    cancelled: tuple[object, ...]
    interrupted: tuple[object, ...]
    progress: WorkCall | None = None
    stop: WorkCall | None = None
    time_out: WorkCall | None = None
    timed_out: tuple[object, ...] = ()
    discard: str | None = None
    call: Callable[..., tuple[str | None, bool]] | None = None
    result: type[object] | None = None
    takes_value: bool = False

    def calls(self) -> Iterator[WorkCall]:
        """Yield the calls that change a record of work."""
        yield from (self.register, self.start, self.complete, self.fail, self.cancel)
        yield from filter(None, (self.progress, self.stop, self.time_out))

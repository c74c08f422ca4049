"""Supervisors for threads whose calls are interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen
from opslifecycle import Completed, OperationTerminalOutcome, Registry, RegistryClosedError, Store
from opslifecycle.work import Supervisor, SupervisorClosedError, ThreadOperation, current

from tests.support.interrupts.checking import DEADLINE_SECONDS, Helper, interrupted, is_free
from tests.support.interrupts.injecting import Injection
from tests.support.interrupts.trying import MakeStores

_THREAD = "opslifecycle-supervisor"


@define(eq=False)
class Desk:
    """A registry, and a supervisor of it with work that runs and work that has ended."""

    registry: Registry
    supervisor: Any = field(init=False)
    #: The open supervisor; None before the call that opens it.
    work: Any = None
    running: Any = None
    ended: Any = None
    #: Set when the running work may end.
    may_end: threading.Event = field(factory=threading.Event)

    def __attrs_post_init__(self) -> None:
        self.supervisor = Supervisor(self.registry, on_exit="cancel")

    def open(self) -> None:
        """Enter the block of the supervisor."""
        self.work = self.supervisor.__enter__()

    def close(self) -> None:
        """Leave the block."""
        self.supervisor.__exit__(None, None, None)

    def wait(self) -> str:
        """Work until it may end, or is stopped; the work that runs."""
        current().progress("begun")
        while not self.may_end.wait(0.001):
            current().raise_if_stopped()
        return "waited"

    def both_ended(self, call: Callable[[list[Any]], Any]) -> Any:
        """Make a call with two operations, of which one ends meanwhile."""
        self.end_soon()
        return call([self.running, self.ended])

    def end_soon(self) -> None:
        """Let the running work end."""
        self.may_end.set()


@frozen
class DeskCall:
    """A call of a supervisor, by a name."""

    name: str
    make: Callable[[Desk], Any]
    opens: bool = False


def _nothing() -> str:
    return "done"


def _progress(w: Desk) -> None:
    updates = w.running.progress()
    next(updates)
    updates.close()


DESK_CALLS = [
    DeskCall("open", lambda w: w.open(), opens=True),
    DeskCall("close", lambda w: w.close()),
    DeskCall("start", lambda w: w.work.start(_nothing).result()),
    DeskCall("start_with_key", lambda w: w.work.start(_nothing, key="once")),
    DeskCall("cancel", lambda w: w.work.cancel(w.running.id, "why")),
    DeskCall("cancel_with_grace", lambda w: w.running.cancel("why", grace=DEADLINE_SECONDS)),
    DeskCall("recover", lambda w: w.work.recover({"nothing": _nothing})),
    DeskCall("done", lambda w: (w.ended.done(), w.ended.timed_out())),
    DeskCall("result", lambda w: w.ended.result()),
    DeskCall("progress", _progress),
    DeskCall("gather", lambda w: w.both_ended(w.work.gather)),
    DeskCall("as_completed", lambda w: w.both_ended(lambda both: list(w.work.as_completed(both)))),
]


def desk(call: DeskCall, store: Store | None) -> Desk:
    """Make the world of one call."""
    w = Desk(Registry(store=store))
    if not call.opens:
        w.open()
        w.ended = w.work.start(_nothing)
        w.ended.result(DEADLINE_SECONDS)
        w.running = w.work.start(w.wait)
    return w


def check_desk(w: Desk, helper: Helper) -> None:
    """Look at everything that a supervisor owes after an interrupt."""
    assert is_free(w.registry), "the lock is held"
    if w.work is not None and _goes_on(w, helper):
        assert w.registry.broken_invariants() == []
    w.end_soon()
    if w.work is not None:
        helper.ask(w.close)
        assert not serving(), "a thread of the supervisor has not ended"
    assert w.registry.list_operations(terminal=False) == [], "work has not ended"
    # The supervisor can be opened again.
    helper.ask(lambda: _used(w))
    assert not serving()
    w.registry.close()


def _goes_on(w: Desk, helper: Helper) -> bool:
    def start() -> OperationTerminalOutcome:
        operation: ThreadOperation[Any, OperationTerminalOutcome] = w.work.start(_nothing)
        return operation.result(DEADLINE_SECONDS)

    try:
        assert isinstance(helper.ask(start), Completed)
    except (SupervisorClosedError, RegistryClosedError):
        return False
    return True


def _used(w: Desk) -> None:
    if w.registry._engine.closed is not None:
        return
    with w.supervisor as work:
        assert isinstance(work.start(_nothing).result(DEADLINE_SECONDS), Completed)


def serving() -> bool:
    """Return whether a thread of a supervisor is alive, after a moment in which it may end."""
    for each in threading.enumerate():
        if each.name == _THREAD:
            each.join(DEADLINE_SECONDS)
            if each.is_alive():
                return True
    return False


def supervised(
    call: DeskCall, make: MakeStores | None, helper: Helper, injection: Injection
) -> None:
    """Interrupt the caller of a supervisor."""
    store = None if make is None else make()[0]
    w = desk(call, store)
    interrupted(w, call, injection)
    check_desk(w, helper)

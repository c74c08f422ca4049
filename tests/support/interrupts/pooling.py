"""Executors whose calls are interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen
from opslifecycle import OperationStatus, Registry
from opslifecycle.work import OperationExecutor

from tests.support.interrupts.checking import DEADLINE_SECONDS, Helper, interrupted, is_free
from tests.support.interrupts.injecting import Injection
from tests.support.interrupts.supervising import serving
from tests.support.interrupts.trying import MakeStores


@define(eq=False)
class Pool:
    """An executor with a call that waits, and one behind it."""

    registry: Registry
    executor: OperationExecutor | None = None
    may_end: threading.Event = field(factory=threading.Event)
    begun: threading.Event = field(factory=threading.Event)
    waits: Any = None
    behind: Any = None

    def open(self) -> None:
        """Make the executor."""
        self.executor = OperationExecutor(self.registry, 1)

    def wait(self) -> None:
        """Wait until it may end; the first call."""
        self.begun.set()
        self.may_end.wait(DEADLINE_SECONDS)

    def fill(self) -> None:
        """Submit the two calls."""
        self.open()
        assert self.executor is not None
        self.waits = self.executor.submit(self.wait)
        assert self.begun.wait(DEADLINE_SECONDS)
        self.behind = self.executor.submit(_nothing)


def _nothing() -> str:
    return "done"


def _of(w: Pool) -> OperationExecutor:
    assert w.executor is not None
    return w.executor


@frozen
class PoolCall:
    """A call of an executor, by a name."""

    name: str
    make: Callable[[Pool], Any]
    opens: bool = False


def _shut_down(w: Pool, *, cancelling: bool) -> None:
    w.may_end.set()
    _of(w).shutdown(cancel_futures=cancelling)


def _begin(w: Pool) -> None:
    w.open()
    _of(w).submit(_nothing)


POOL_CALLS = [
    PoolCall("open", lambda w: w.open(), opens=True),
    PoolCall("open_and_submit", _begin, opens=True),
    PoolCall("submit", lambda w: _of(w).submit(_nothing)),
    PoolCall("cancel", lambda w: w.behind.cancel()),
    PoolCall("shutdown", lambda w: _shut_down(w, cancelling=False)),
    PoolCall("shutdown_cancelling", lambda w: _shut_down(w, cancelling=True)),
]


def pooling(call: PoolCall, make: MakeStores | None, helper: Helper, injection: Injection) -> None:
    """Interrupt the caller of an executor."""
    w = Pool(Registry(store=None if make is None else make()[0]))
    if not call.opens:
        w.fill()
    interrupted(w, call, injection)
    assert is_free(w.registry), "the lock is held"
    w.may_end.set()
    if w.executor is not None:
        helper.ask(w.executor.shutdown)
        assert w.waits is None or w.waits.done(), "a call that was submitted has no end"
        assert w.behind is None or w.behind.done(), "a call that was submitted has no end"
    assert not serving(), "a thread of the supervisor has not ended"
    if w.registry._engine.closed is None:
        assert w.registry.broken_invariants() == []
        live = w.registry.list_operations(terminal=False)
        assert live == [], "work has not ended"
        ended = w.registry.list_operations(status=OperationStatus.COMPLETED)
        assert len(ended) >= (0 if call.opens else 1)
    helper.ask(w.registry.close)

"""The public calls that are interrupted, and the world that each begins in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from attrs import define, evolve, field, frozen
from opslifecycle import (
    AsyncRegistry,
    CompletionCursorConsumer,
    EpochCursorState,
    OperationId,
    OperationLifecycleAction,
    OperationResult,
    OperationSpec,
    OperationStatus,
    Registry,
    RegistryClosedError,
    RunId,
    SessionId,
    Store,
)

from tests.support.builders import (
    CHILD,
    HANDLE,
    SLOT,
    TOOL,
    UPDATE,
    completed,
    registered,
    result,
    running,
    spec,
)
from tests.support.interrupts.loops import run_in_loop

AGENT = CompletionCursorConsumer.AGENT_APPLIED


@define(eq=False)
class World:
    """A registry with operations in several statuses, and some who wait for them."""

    registry: Registry
    stored: bool
    live: OperationId
    other: OperationId
    waiting: OperationId
    child: OperationId
    slot: OperationId
    ended: OperationId
    run: RunId
    owner: SessionId
    #: Made beforehand, because making identifiers takes more bytecodes than most calls.
    new: OperationSpec = field(factory=spec)
    new_child: OperationSpec = field(factory=lambda: spec(CHILD))
    outcome: OperationResult = field(factory=result)
    again: OperationSpec = field(init=False)
    #: Waits, and whether each was woken.
    waits: list[Any] = field(factory=list)
    woken: list[list[bool]] = field(factory=list)
    #: Whether the registry is being closed, at whatever moment.
    closing: bool = False

    def __attrs_post_init__(self) -> None:
        self.again = spec(id=self.live)

    def wait(self, wait: Any) -> Any:
        """Have a wait noted, with a waiter that notes its waking."""
        woken: list[bool] = []
        self.waits.append(wait)
        self.woken.append(woken)
        wait._lock.hold(wait._enlist, lambda: woken.append(True))
        return wait


def world(store: Store | None) -> World:
    """Make a registry for one call; one without a store evicts what ended first."""
    registry = Registry(store=store, max_completed=2 if store is None else 100)
    owner = SessionId.new()
    made = spec(TOOL, owner=owner)
    # In transactions, which need fewer commits.
    together: Any
    with registry.transaction() as together:
        together.register_operation(made)
        together.provisioning_succeeded(made.id)
        completed(together)
    # From here on changes are noted for the next listing.
    registry.list_operations(terminal=True)
    registry.list_operations(limit=1)
    with registry.transaction() as together:
        found = World(
            registry=registry,
            stored=store is not None,
            live=made.id,
            other=running(together),
            waiting=registered(together),
            child=running(together, CHILD),
            slot=running(together, SLOT),
            ended=completed(together),
            run=RunId.new(),
            owner=owner,
        )
    feed = registry.completion_feed()
    for each in (found.live, found.live, found.slot):
        found.wait(registry.register_watcher(each))
    found.wait(registry.wait_all(RunId.new(), [found.live, found.other]))
    found.wait(registry.wait_all(RunId.new(), [found.live]))
    found.wait(feed.wait_for_advance(feed.watermark))
    return found


def _projected(w: World) -> None:
    w.registry.advance_completion_cursor(AGENT, 2, EpochCursorState())


def _transact(w: World, finished: OperationId) -> None:
    registry: Any = w.registry
    if isinstance(registry, Asynchronous):
        run_in_loop(registry.together(w, finished))
        return
    with registry.transaction() as transaction:
        transaction.register_operation(w.new)
        transaction.complete_operation(finished, w.outcome)


def _consume(w: World) -> None:
    """Receive what is in the feed, and leave by `break`."""
    registry: Any = w.registry
    if isinstance(registry, Asynchronous):
        run_in_loop(registry.consume_all(AGENT))
        return
    consumer = registry.consume(AGENT, wait=False)
    for _ in consumer:
        consumer.succeed()
        break
    for _ in consumer:
        pass


def _consume_batch(w: World) -> None:
    registry: Any = w.registry
    if isinstance(registry, Asynchronous):
        run_in_loop(registry.consume_batch(AGENT))
        return
    with registry.consume(AGENT, wait=False).batch(2):
        pass


def _with(w: World) -> None:
    w.closing = True
    with w.registry:
        pass


def _close(w: World) -> None:
    w.closing = True
    w.registry.close()


def _await_all(w: World) -> Any:
    return w.registry.wait_all(w.run, [w.live, w.other])


def _subscribed(w: World) -> None:
    async def read() -> None:
        async for entry in w.registry.completion_feed().subscribe(after=1):
            if entry.seq >= 2:
                return

    run_in_loop(read())


def _after_close(w: World) -> None:
    """Make calls that a closed registry refuses."""
    w.closing = True
    w.registry.close()
    for call in (
        lambda: w.registry.register_operation(w.new),
        lambda: w.registry.register_watcher(w.live),
        lambda: w.registry.collect_completed(),
        lambda: _transact(w, w.live),
        lambda: w.registry.completion_feed().wait_for_advance(100),
        lambda: w.registry.wait_all(w.run, [w.live]),
    ):
        try:
            call()
        except RegistryClosedError:
            pass


class Asynchronous:
    """The commands of an AsyncRegistry, each in an event loop of its own."""

    def __init__(self, registry: Registry) -> None:
        # Both share their parts, and a world is looked at through a synchronous one.
        self._registry = AsyncRegistry.__new__(AsyncRegistry)
        vars(self._registry).update(vars(registry))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._registry, name)
        return lambda *arguments: run_in_loop(call(*arguments))

    async def together(self, w: World, finished: OperationId) -> None:
        """Do the transaction of `_transact`."""
        async with self._registry.transaction() as transaction:
            await transaction.register_operation(w.new)
            await transaction.complete_operation(finished, w.outcome)

    async def consume_all(self, cursor: CompletionCursorConsumer) -> None:
        """Do what `_consume` does."""
        consumer = self._registry.consume(cursor, wait=False)
        async for _ in consumer:
            await consumer.succeed()
            break
        async for _ in consumer:
            pass

    async def consume_batch(self, cursor: CompletionCursorConsumer) -> None:
        """Do what `_consume_batch` does."""
        async with self._registry.consume(cursor, wait=False).batch(2):
            pass

    async def block(self) -> None:
        """Enter and leave an `async with` statement."""
        async with self._registry:
            pass


@frozen
class Call:
    """A public call, by a name."""

    name: str
    make: Callable[[World], Any]
    #: Whether it erases records.
    erases: bool = False

    def asynchronous(self) -> Call:
        """The same of an AsyncRegistry."""

        def make(w: World) -> Any:
            asynchronous: Any = Asynchronous(w.registry)
            return self.make(evolve(w, registry=asynchronous))

        return Call(f"async_{self.name}", make, self.erases)


def _calls(*made: tuple[str, Callable[[World], Any]]) -> list[Call]:
    return [Call(name, make, name in ("rollback", "collect")) for name, make in made]


COMMANDS = _calls(
    ("register", lambda w: w.registry.register_operation(w.new)),
    ("register_again", lambda w: w.registry.register_operation(w.again)),
    ("register_resumable", lambda w: w.registry.register_resumable_operation(w.new)),
    (
        "register_limited",
        lambda w: w.registry.register_operation_with_admission_limit(w.new_child, 100),
    ),
    ("start", lambda w: w.registry.provisioning_succeeded(w.waiting)),
    ("fail", lambda w: w.registry.fail_operation(w.live, "error")),
    ("provisioning_failed", lambda w: w.registry.provisioning_failed(w.waiting, "error")),
    ("peer_ready", lambda w: w.registry.peer_ready(w.child, HANDLE)),
    ("progress", lambda w: w.registry.report_progress(w.live, UPDATE)),
    ("complete", lambda w: w.registry.complete_operation(w.live, w.outcome)),
    ("complete_slot", lambda w: w.registry.complete_operation(w.slot, w.outcome)),
    ("complete_twice", lambda w: w.registry.complete_operation(w.ended, w.outcome)),
    ("abort", lambda w: w.registry.abort_provisioning(w.waiting, "why")),
    ("cancel", lambda w: w.registry.cancel_operation(w.live)),
    ("request_retire", lambda w: w.registry.request_retire(w.live)),
    ("mark_retired", lambda w: w.registry.mark_retired(w.live)),
    ("terminate_owner", lambda w: w.registry.terminate_owner("why")),
    ("retire_owner", lambda w: w.registry.retire_owner("why")),
    ("seal_owner", lambda w: w.registry.seal_owner()),
    ("rollback", lambda w: w.registry.rollback_unreturned_operation(w.live)),
    ("collect", lambda w: w.registry.collect_completed()),
    ("advance_cursor", _projected),
    ("consume", lambda w: _consume(w)),
    ("consume_batch", lambda w: _consume_batch(w)),
    ("transact", lambda w: _transact(w, w.live)),
    ("transact_in_vain", lambda w: _transact(w, w.ended)),
)

READS = _calls(
    ("snapshot", lambda w: w.registry.snapshot(w.live)),
    ("list", lambda w: w.registry.list_operations()),
    ("list_page", lambda w: w.registry.list_operations(limit=1)),
    ("list_terminal", lambda w: w.registry.list_operations(terminal=False)),
    ("list_owner", lambda w: w.registry.list_operations(owner_session_id=w.owner, kind=TOOL)),
    ("feed", lambda w: w.registry.completion_feed().list_since(0)),
    ("feed_iterate", lambda w: next(w.registry.completion_feed().iterate(after=1))),
    ("feed_subscribe", _subscribed),
    ("cursor", lambda w: w.registry.completion_cursor(AGENT)),
    ("capture", lambda w: w.registry.capture()),
    ("allowed", lambda w: w.registry.allowed(w.live)),
    (
        "classify",
        lambda w: (
            w.registry.classify_operation_terminality(w.live, OperationStatus.RUNNING),
            w.registry.classify_operation_public_result(w.live),
            w.registry.classify_operation_completion_wake(w.live, TOOL),
            w.registry.classify_operation_transition_idempotence(
                w.live, OperationLifecycleAction.START
            ),
        ),
    ),
    ("owner_admission", lambda w: w.registry.owner_admission()),
    ("new_id", lambda w: OperationId.new()),
    ("broken_invariants", lambda w: w.registry.broken_invariants()),
)


def _do_nothing() -> None:
    """A callback, of which only the adding is looked at."""


WAITS = _calls(
    ("watch", lambda w: w.registry.register_watcher(w.other)),
    ("watch_unknown", lambda w: w.registry.register_watcher(w.new.id)),
    ("watch_again", lambda w: w.registry.register_watcher(w.live)),
    ("watch_ended", lambda w: w.registry.register_watcher(w.ended).result()),
    ("wait_all", _await_all),
    ("wait_all_ended", lambda w: w.registry.wait_all(w.run, [w.ended]).result()),
    ("wait_for_advance", lambda w: w.registry.completion_feed().wait_for_advance(100)),
    ("done", lambda w: [each.done() for each in w.waits]),
    ("cancel_watch", lambda w: w.waits[0].cancel()),
    ("cancel_barrier", lambda w: w.waits[3].cancel()),
    ("cancel_advance", lambda w: w.waits[5].cancel()),
    ("add_done_callback", lambda w: w.waits[0].add_done_callback(_do_nothing)),
    ("add_done_callback_late", lambda w: w.waits[-1].add_done_callback(_do_nothing)),
    ("drop_watch", lambda w: w.registry.register_watcher(w.other) and None),
    ("result_in_time", lambda w: _times_out(w.waits[0])),
    ("await", lambda w: _await_in_time(w.waits[0])),
)

CLOSING = _calls(("close", _close), ("with", _with), ("after_close", _after_close))

#: Calls of an AsyncRegistry that are no commands.
ASYNCHRONOUS = _calls(
    ("async_close", lambda w: _close_async(w, "close")),
    ("async_with", lambda w: _close_async(w, "block")),
)


def _close_async(w: World, how: str) -> None:
    w.closing = True
    asynchronous = Asynchronous(w.registry)
    if how == "block":
        run_in_loop(asynchronous.block())
    else:
        asynchronous.close()


CALLS = [*COMMANDS, *READS, *WAITS, *CLOSING, *ASYNCHRONOUS]


def _times_out(wait: Any) -> None:
    try:
        wait.result(0.000_001)
    except TimeoutError:
        pass


def _await_in_time(wait: Any) -> None:
    async def scenario() -> None:
        try:
            await asyncio.wait_for(_awaited(wait), 0.000_001)
        except TimeoutError:
            pass

    run_in_loop(scenario())


async def _awaited(wait: Any) -> Any:
    return await wait

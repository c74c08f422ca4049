"""What has to hold after an interrupt, wherever it came."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NoReturn, Protocol, TypeVar

from opslifecycle import (
    OperationId,
    OperationLifecycleSnapshot,
    OperationStatus,
    OpsLifecycleError,
    OwnerRetiredError,
    OwnerSealedError,
    Registry,
    RegistryClosedError,
    RunId,
    Store,
)

from tests.support.builders import SLOT, result, spec
from tests.support.gate import committer_of
from tests.support.interrupts.calls import AGENT, World
from tests.support.interrupts.injecting import INTERRUPTS, Injection

T = TypeVar("T")
W = TypeVar("W", contravariant=True)

#: Far more than anything here takes; a call that needs it hangs.
DEADLINE_SECONDS = 20.0


class HangsError(AssertionError):
    """A call that does not end."""


class Helper:
    """Another thread, for what must not be done in this one."""

    def ask(self, call: Callable[[], T]) -> T:
        """Return what a call returns in another thread, within the deadline."""
        answers: SimpleQueue[Callable[[], T]] = SimpleQueue()

        def work() -> None:
            try:
                value = call()
            except BaseException as error:
                answers.put(partial(_raise, error))
            else:
                answers.put(lambda: value)

        # A daemon, because a call that hangs must not keep the tests from ending.
        threading.Thread(target=work, daemon=True).start()
        try:
            answer = answers.get(timeout=DEADLINE_SECONDS)
        except Empty:
            raise HangsError(str(call)) from None
        return answer()


def _raise(error: BaseException) -> NoReturn:
    raise error


class Interruptible(Protocol[W]):
    """A public call, in the world that it is made in."""

    @property
    def make(self) -> Callable[[W], Any]: ...


def interrupted(w: W, call: Interruptible[W], injection: Injection) -> None:
    """Interrupt a call in this thread."""
    try:
        injection.during(lambda: call.make(w))
    except INTERRUPTS:
        return
    except OpsLifecycleError:
        # The machine's own refusal, as without an interrupt.
        pass
    assert injection.place is None, f"swallowed: {injection.place}"


def interrupted_behind(
    w: W, registry: Any, call: Interruptible[W], injection: Injection, helper: Helper
) -> bool:
    """Interrupt the committer's thread while it works for a call; gives whether that returned."""
    committer = committer_of(registry)
    assert committer._thread is not None
    returned = False
    with injection.in_thread(committer._thread):
        try:
            helper.ask(lambda: call.make(w))
            returned = True
        except OpsLifecycleError:
            pass
        if injection.place is not None:
            assert committer._done.wait(DEADLINE_SECONDS), "the thread has not finished"
            committer._thread.join(DEADLINE_SECONDS)
    return returned


def check(w: World, helper: Helper) -> None:
    """Look at everything that the world's registry owes after an interrupt."""
    registry = w.registry
    assert is_free(registry), "the lock is held"
    if not w.closing and _is_open(registry):
        assert registry.broken_invariants() == []
        _check_feed(registry)
        _check_counts(w)
        _check_going_on(w)
    _check_listing(registry)
    _check_woken(w)
    if w.stored:
        helper.ask(registry.close)
    else:
        registry.close()
    assert not _is_open(registry)
    _check_listing(registry)
    for wait in w.waits:
        assert wait.done(), f"{wait} is left pending"
    _check_woken(w)


def listed(registry: Registry) -> dict[OperationId, OperationLifecycleSnapshot]:
    """What a store has to keep of a registry."""
    return {each.id: each for each in registry.list_operations() if each.kind is not SLOT}


def check_kept(
    acknowledged: dict[OperationId, OperationLifecycleSnapshot],
    registry: Registry,
    store: Store,
    *,
    erases: bool,
    whole: bool,
) -> None:
    """Look at what a store has kept: what was acknowledged before a call, and with `whole`
    everything that its registry showed in the end."""
    with Registry(store=store) as again:
        found = listed(again)
        assert again.broken_invariants() == []
        for id, before in acknowledged.items():
            if id not in found:
                assert erases, f"{id} is lost"
            elif before.terminal_outcome is not None:
                assert found[id].terminal_outcome == before.terminal_outcome
        if not whole:
            return
        shown = listed(registry)
        assert set(found) == set(shown)
        for id, last in shown.items():
            if last.terminal_outcome is None:
                assert found[id].status is OperationStatus.TERMINATED
            else:
                assert found[id].terminal_outcome == last.terminal_outcome
        assert again.completion_cursor(AGENT) == registry.completion_cursor(AGENT)


def is_free(registry: Any) -> bool:
    """Return whether the lock of a registry is free."""
    mutex: Any = registry._engine.lock.mutex
    # The committer's thread may hold it for a moment.
    if mutex._is_owned() or not mutex.acquire(timeout=DEADLINE_SECONDS):
        return False
    mutex.release()
    return True


def _is_open(registry: Registry) -> bool:
    try:
        registry.advance_completion_cursor(AGENT, 0)
    except RegistryClosedError:
        return False
    except OwnerRetiredError:
        pass
    return True


def _check_feed(registry: Registry) -> None:
    batch = registry.completion_feed().list_since(0)
    sequences = [entry.seq for entry in batch.entries]
    assert sequences == sorted(set(sequences))
    assert all(batch.dropped_through < each <= batch.watermark for each in sequences)
    retained = {o.id for o in registry.list_operations(terminal=True)}
    assert retained <= {entry.operation_id for entry in batch.entries}


def _check_listing(registry: Registry) -> None:
    every = {each.id for each in registry.list_operations()}
    by_status = [registry.list_operations(status=each) for each in OperationStatus]
    assert {each.id for found in by_status for each in found} == every
    for status, found in zip(OperationStatus, by_status, strict=True):
        assert all(each.status is status for each in found)
    by_end = [registry.list_operations(terminal=each) for each in (True, False)]
    assert {each.id for found in by_end for each in found} == every
    page = registry.list_operations(limit=1)
    paged = list(page)
    while page.has_more:
        page = registry.list_operations(limit=1, after=page.cursor)
        paged += page
    # Without their watches, which an interrupted closing may still be ending.
    assert [each.id for each in paged] == [each.id for each in registry.list_operations()]


def _check_counts(w: World) -> None:
    for id in (w.live, w.other):
        found = w.registry.snapshot(id)
        if found is not None and not found.status.terminal:
            watching = [each for each in w.waits[:2] if not each.done()] if id == w.live else []
            assert found.watcher_count == len(watching)
    assert w.registry._engine.effects.barriers.active(w.run) == 0


def _check_going_on(w: World) -> None:
    registry, made = w.registry, spec()
    try:
        registry.register_operation(made)
    except (OwnerRetiredError, OwnerSealedError):
        return
    registry.provisioning_succeeded(made.id)
    watch = registry.register_watcher(made.id)
    barrier = registry.wait_all(RunId.new(), [made.id])
    advance = registry.completion_feed().wait_for_advance(registry.completion_feed().watermark)
    registry.complete_operation(made.id, result())
    for each in (watch, barrier, advance):
        each.result(DEADLINE_SECONDS)
    assert registry.broken_invariants() == []


def _check_woken(w: World) -> None:
    for wait, woken in zip(w.waits, w.woken, strict=True):
        assert woken or not wait.done(), f"nobody has told who waits for {wait}"

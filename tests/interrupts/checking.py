"""What has to hold after an interrupt, wherever it came."""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from opslifecycle import (
    OperationStatus,
    OwnerRetiredError,
    Registry,
    RegistryClosedError,
    RunId,
)

from tests.builders import result, spec
from tests.interrupts.calls import AGENT, Call, World, world
from tests.interrupts.injecting import Injection, Interrupt

T = TypeVar("T")

#: Far more than anything here takes; a call that needs it hangs.
DEADLINE_SECONDS = 20.0


class HangsError(AssertionError):
    """A call that does not end."""


class Helper:
    """Another thread, for what must not be done in this one."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)

    def ask(self, call: Callable[[], T]) -> T:
        """Return what a call returns in the other thread, within the deadline."""
        future: Future[T] = self._pool.submit(call)
        try:
            return future.result(DEADLINE_SECONDS)
        except FutureTimeoutError:
            # The next question gets another thread.
            self._pool = ThreadPoolExecutor(1)
            raise HangsError(str(call)) from None


def interrupted(w: World, call: Callable[[World], Any], at: int) -> str | None:
    """Interrupt a call before its bytecode `at`; gives where that was, None if it has fewer."""
    injection = Injection(at)
    # A collection would finalize the worlds before this one, and count their bytecodes.
    gc.disable()
    try:
        injection.during(lambda: call(w))
    except Interrupt:
        assert injection.place is not None
    except Exception:
        # The machine's own refusal, as without an interrupt.
        assert injection.place is None, f"swallowed: {injection.place}"
    else:
        assert injection.place is None, f"swallowed: {injection.place}"
    finally:
        gc.enable()
    return injection.place


def after_each(call: Call, helper: Helper, step: int = 1) -> int:
    """Interrupt a call before its bytecodes, each in a world of its own; gives how many it has."""
    at = 1
    while True:
        w = world(None)
        place = interrupted(w, call.make, at)
        if place is None:
            w.registry.close()
            return at
        try:
            check(w, helper)
        except BaseException as error:
            text = f"{call.name}, interrupted at {at} ({place}): {error!r}"
            raise AssertionError(text) from error
        at += step


def check(w: World, helper: Helper) -> None:
    """Look at everything that the world's registry owes after an interrupt."""
    registry = w.registry
    assert _is_free(registry), "the lock is held"
    if _is_open(registry):
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


def _is_free(registry: Registry) -> bool:
    mutex = registry._shell.lock.mutex
    if mutex._is_owned() or not mutex.acquire(blocking=False):
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


def _check_counts(w: World) -> None:
    for id in (w.live, w.other):
        found = w.registry.snapshot(id)
        if found is not None and not found.status.terminal:
            watching = [each for each in w.waits[:2] if not each.done()] if id == w.live else []
            assert found.watcher_count == len(watching)
    assert w.registry._shell.effects.barriers.active(w.run) == 0


def _check_going_on(w: World) -> None:
    registry, made = w.registry, spec()
    try:
        registry.register_operation(made)
    except OwnerRetiredError:
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

"""Interrupting calls in an event loop: it goes on, or ends as Ctrl-C ends it, and nothing hangs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Iterator

from opslifecycle import Failed, OpsLifecycleError, Registry
from opslifecycle.work import WorkNotRecordedError, tending

from tests.support.interrupts.checking import DEADLINE_SECONDS, Helper, is_free
from tests.support.interrupts.injecting import INTERRUPTS, Injection
from tests.support.interrupts.looping import Hall, HallCall, goes_on, registry_of
from tests.support.interrupts.trying import MakeStores

_THREADS = ("opslifecycle-calls", "opslifecycle-work")


async def _day(w: Hall, call: HallCall, injection: Injection) -> None:
    """Open a supervisor, make the call, go on, and leave: what a program does."""
    asyncio.get_running_loop().set_exception_handler(w.note)
    try:
        if not call.opens:
            await w.open()
            await w.fill()
        try:
            with injection.here():
                await call.make(w)
        except INTERRUPTS as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            w.reported.append(error)
        except OpsLifecycleError:
            # The machine's own refusal, as without an interrupt.
            pass
        if w.work is None:
            await w.open()
        if not call.closes and await goes_on(w):
            assert w.registry.broken_invariants() == []
            for each in w.handles:
                await each.cancel("the day is over")
    finally:
        if w.supervisor._block is not None:
            await _leave(w)


async def _leave(w: Hall) -> None:
    """End the block: a second time if the call that ends it was interrupted."""
    try:
        await w.close()
    except WorkNotRecordedError as error:
        w.reported.append(error)


def _look_at(w: Hall, injection: Injection, helper: Helper) -> None:
    """Look at everything that registry and supervisor owe when the loop has ended."""
    assert is_free(w.registry), "the lock is held"
    for each in [each for each in threading.enumerate() if each.name.startswith(_THREADS)]:
        each.join(DEADLINE_SECONDS)
        assert not each.is_alive(), f"{each.name} goes on"
    if w.registry._engine.closed is None:
        assert w.registry.broken_invariants() == []
        live = [each.display_name for each in w.registry.list_operations(terminal=False)]
        assert live == [], f"work has not ended: {live}"
    for each in w.handles:
        assert each.done(), "a handle waits for ever"
    if injection.place is not None and not w.reported:
        gc.collect()
    named = any(injection.kind.__name__ in each for each in _texts(w))
    assert injection.place is None or w.reported or named, f"swallowed: {injection.place}"


def _texts(w: Hall) -> Iterator[str]:
    """Yield the errors of what has failed, and of attempts that were followed by another one."""
    for each in w.registry.list_operations():
        if isinstance(each.terminal_outcome, Failed):
            yield each.terminal_outcome.error
        if each.latest_progress is not None:
            yield each.latest_progress.message


@contextlib.contextmanager
def _tended_often() -> Iterator[None]:
    """Have what an interrupt has left undone looked for at once, and not after a second."""
    before, tending.ROUND_SECONDS = tending.ROUND_SECONDS, 0.02
    try:
        yield
    finally:
        tending.ROUND_SECONDS = before


def looped(
    call: HallCall,
    registry: str,
    make: MakeStores | None,
    helper: Helper,
    injection: Injection,
) -> None:
    """Interrupt the loop of a supervisor while a call is made."""
    store, again = (None, None) if make is None else make()
    w = Hall(registry_of(registry, store), store)

    def run() -> None:
        try:
            asyncio.run(_day(w, call, injection))
        except INTERRUPTS as error:
            w.reported.append(error)

    with _tended_often():
        helper.ask(run)
        _look_at(w, injection, helper)
        helper.ask(lambda: _close(w))
        if again is not None:
            _look_at_store(w, again())


def _close(w: Hall) -> None:
    closed = w.registry.close()
    if asyncio.iscoroutine(closed):
        asyncio.run(closed)
    assert w.registry._engine.closed is not None


def _look_at_store(w: Hall, store: object) -> None:
    """What was shown as ended is what the next owner finds."""
    shown = {each.id: each.terminal_outcome for each in w.registry.list_operations(terminal=True)}
    with Registry(store=store) as again:  # type: ignore[arg-type]
        assert again.broken_invariants() == []
        found = {each.id: each.terminal_outcome for each in again.list_operations()}
    assert all(found.get(id) == outcome for id, outcome in shown.items()), "an end is lost"

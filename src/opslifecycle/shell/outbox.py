"""Effects that a machine declares: handed to the program after the commit, in order, at least once.

What is not delivered yet is kept with the registry. A delivery is marked as done once the handler
has returned, with the next commit; a process that ends in between delivers again.
"""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from enum import Enum
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs
from opslifecycle.errors import InvalidValueError
from opslifecycle.stores.base import Put
from opslifecycle.sync.publication import PublicationLock

if TYPE_CHECKING:
    import asyncio

EffectT = TypeVar("EffectT", bound=Enum)
SnapshotT = TypeVar("SnapshotT")

_PREFIX = "effect-"
_RETRY_SECONDS_MIN, _RETRY_SECONDS_MAX = 0.1, 30.0
_log = logging.getLogger("opslifecycle")

#: The loop that opens a registry in a worker thread, where no loop runs.
opening_loop: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar(
    "opening_loop", default=None
)


@attrs.frozen
class EffectCall(Generic[EffectT, SnapshotT]):
    """One effect to carry out: which, and the record as it was right after the action.

    Numbers rise by one within a registry; the same call may come twice, with the same number.
    """

    number: int
    effect: EffectT
    snapshot: SnapshotT


def is_effect(id: str) -> bool:
    """Whether a stored id is that of an effect and not of a record."""
    return id.startswith(_PREFIX)


class Hooks:
    """The effects of one registry that are not delivered yet, and the thread that delivers them.

    Noted by whoever decides, published with the lock held, delivered by a thread of its own.
    """

    def __init__(
        self,
        lock: PublicationLock,
        snapshot_of: Callable[[Any, int], Any],
        body_of: Callable[[Any], str] | None,
        handler: Callable[[Any], object] | None,
    ) -> None:
        self._lock = lock
        self._snapshot_of = snapshot_of
        self._body_of = body_of
        self._handler = handler
        self._loop = _loop_for(handler)
        self._noted: list[tuple[EffectCall[Any, Any], str]] = []
        self._pending: dict[int, tuple[EffectCall[Any, Any], str]] = {}
        self._queue: SimpleQueue[EffectCall[Any, Any] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        #: Told of each effect that was delivered, by its stored id.
        self.delivered: Callable[[str], None] = lambda id: None

    # For whoever decides ------------------------------------------------------------------------

    def note(
        self, authority: Any, record: Any, effects: Iterable[Enum], watcher_count: int
    ) -> None:
        """Remember effects of a record as it is now, until they are published or dropped."""
        for effect in effects:
            authority.effects_given += 1
            number = authority.effects_given
            call: EffectCall[Any, Any] = EffectCall(
                number, effect, self._snapshot_of(record, watcher_count)
            )
            body = self._body_of(record) if self._body_of is not None else "null"
            text = f'{{"effect":"{effect.value}","record_id":"{record.id}","record":{body}}}'
            self._noted.append((call, text))

    def noted(self) -> list[Put]:
        """What of the effects has to be kept."""
        return [(f"{_PREFIX}{call.number}", None, text) for call, text in self._noted]

    def drop(self) -> None:
        """What was noted has not happened."""
        self._noted.clear()

    # For everybody ------------------------------------------------------------------------------

    def publish(self) -> None:
        """What was noted has happened. Called with the publication lock held."""
        noted, self._noted = self._noted, []
        for call, text in noted:
            self._add(call, text)

    def restore(self, pending: Iterable[tuple[EffectCall[Any, Any], str]]) -> None:
        """Take over what an earlier process has not delivered."""
        for call, text in pending:
            self._add(call, text)

    def _add(self, call: EffectCall[Any, Any], text: str) -> None:
        self._pending[call.number] = (call, text)
        if self._handler is None:
            return
        self._queue.put(call)
        if self._thread is None:
            name = "opslifecycle-effects"
            self._thread = threading.Thread(target=self._deliver, name=name, daemon=True)
            self._thread.start()

    def pending(self) -> tuple[EffectCall[Any, Any], ...]:
        """What is not delivered yet, in order. Called with the publication lock held."""
        return tuple(call for call, _ in self._pending.values())

    def puts(self) -> list[Put]:
        """What is not delivered yet, for a store. Called with the publication lock held."""
        return [(f"{_PREFIX}{n}", None, text) for n, (_, text) in self._pending.items()]

    def stop(self, *, wait: bool) -> None:
        """Deliver nothing more; what is not delivered stays pending.

        Waits for a call in progress, unless that would wait for the loop that runs here.
        """
        self._stopped.set()
        self._queue.put(None)
        thread = self._thread
        if not wait or thread is None or thread is threading.current_thread():
            return
        if self._loop is None or self._loop is not _running_loop():
            thread.join()

    # The thread ---------------------------------------------------------------------------------

    def _deliver(self) -> None:
        while (call := self._queue.get()) is not None and self._try(call):
            with self._lock:
                self._pending.pop(call.number, None)
            self.delivered(f"{_PREFIX}{call.number}")

    def _try(self, call: EffectCall[Any, Any]) -> bool:
        """Call the handler until it returns; False if there is no more time for it."""
        seconds = _RETRY_SECONDS_MIN
        while not self._stopped.is_set():
            try:
                self._call(call)
            except Exception:
                # Order is kept: nothing behind it is delivered before it.
                _log.exception("effect %d (%s) will be tried again", call.number, call.effect.value)
                self._stopped.wait(seconds)
                seconds = min(2 * seconds, _RETRY_SECONDS_MAX)
            else:
                return True
        return False

    def _call(self, call: EffectCall[Any, Any]) -> None:
        assert self._handler is not None
        result: Any = self._handler(call)
        if self._loop is not None:
            import asyncio

            asyncio.run_coroutine_threadsafe(result, self._loop).result()
        elif inspect.isawaitable(result):
            raise TypeError("the handler gave something to await, and is no coroutine function")


def check_handler(handler: Callable[[Any], object] | None) -> None:
    """Raise InvalidValueError for what cannot be called, or not from here."""
    if handler is not None and not callable(handler):
        reason = f"expected a function of one call, got {type(handler).__name__}"
        raise InvalidValueError("on_effect", reason)
    _loop_for(handler)


def _loop_for(handler: Callable[[Any], object] | None) -> asyncio.AbstractEventLoop | None:
    """The running loop, for a handler that is a coroutine function."""
    called = getattr(handler, "__call__", None)  # noqa: B004 - its own, not whether it has one
    if not (inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(called)):
        return None
    loop = _running_loop() or opening_loop.get()
    if loop is None:
        reason = "a coroutine function needs a running event loop when the registry is made"
        raise InvalidValueError("on_effect", reason)
    return loop


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread; asyncio is not imported to find that there is none."""
    asyncio = sys.modules.get("asyncio")
    return None if asyncio is None else asyncio._get_running_loop()

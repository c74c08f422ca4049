"""Threads, tasks and time of which a schedule decides who goes on: one at a time, the same again.

The shell's locks, queues and threads are replaced by ones that ask the schedule at every point at
which another thread could come in between; the event loop asks it which callback runs next. The
choice that is numbered 0 is the one that nothing disturbs: whoever runs goes on, callbacks in their
order. A schedule is the list of its choices, so it can be printed, and carried out again.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from queue import Empty
from types import SimpleNamespace
from typing import Any, TypeVar, TypeVarTuple, Unpack

import opslifecycle.locks
import opslifecycle.shell.commits
import opslifecycle.shell.mailbox
import opslifecycle.shell.pending
import opslifecycle.sync.waking
import pytest
from attrs import define, field, frozen

CHOICES_MAX = 2_000

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: Picks one of so many: 0 is undisturbed.
Picker = Callable[[int], int]


class ScheduleError(AssertionError):
    """Nobody can go on, somebody goes on for ever, or the same choices led elsewhere."""


class Abandoned(BaseException):
    """The run is over, and whoever is left in it has to go."""


@frozen
class Choice:
    """Who could have gone on, and who was picked."""

    labels: tuple[str, ...]
    picked: int

    def __str__(self) -> str:
        return f"{self.labels[self.picked]} (of {', '.join(self.labels)})"


@define(eq=False)
class _Agent:
    """A thread that runs only when it is its turn."""

    name: str
    gate: threading.Lock = field(factory=threading.Lock)
    ready: Callable[[], bool] = lambda: True
    until: float | None = None
    done: bool = False

    def __attrs_post_init__(self) -> None:
        self.gate.acquire()


class Schedule:
    """One run: `prefix` is followed first, then `pick` decides."""

    def __init__(self, prefix: Sequence[int] = (), pick: Picker = lambda count: 0) -> None:
        self.taken: list[Choice] = []
        self.now = 0.0
        self._prefix = prefix
        self._pick = pick
        self._agents = [_Agent("main")]
        self._current = self._agents[0]
        self._broken: BaseException | None = None
        self._undisturbed = False

    @property
    def over(self) -> bool:
        """Whether nobody is to go on any more."""
        return self._broken is not None

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Choose nothing meanwhile: for what comes before and after what is looked at."""
        self._undisturbed = True
        try:
            yield
        finally:
            self._undisturbed = False

    def choose(self, labels: Sequence[str]) -> int:
        """Pick one of several; one alone is no choice."""
        if len(labels) == 1 or self._undisturbed:
            return 0
        step = len(self.taken)
        if step >= CHOICES_MAX:
            raise ScheduleError(f"still going on after {CHOICES_MAX} choices")
        picked = self._prefix[step] if step < len(self._prefix) else self._pick(len(labels))
        if picked >= len(labels):
            raise ScheduleError(f"choice {step} has only {', '.join(labels)} this time")
        self.taken.append(Choice(tuple(labels), picked))
        return picked

    # Threads ------------------------------------------------------------------------------------

    def switch(self) -> None:
        """Let somebody else go on, or not."""
        self.block(lambda: True)

    def block(self, ready: Callable[[], bool], seconds: float | None = None) -> bool:
        """Go on when `ready`, or when so much time has passed; gives whether it is ready."""
        me = self._current
        me.ready = ready
        me.until = None if seconds is None else self.now + seconds
        self._pass_on(me)
        if self._broken is not None:
            raise Abandoned
        return ready()

    def _pass_on(self, me: _Agent) -> None:
        try:
            chosen = self._next(me)
        except ScheduleError as error:
            self._break(error)
            chosen = self._agents[0]
        if chosen is not me:
            self._current = chosen
            chosen.gate.release()
            if not me.done:
                me.gate.acquire()

    def _next(self, me: _Agent) -> _Agent:
        waiting = [each for each in self._agents if not each.done]
        waiting.sort(key=lambda each: each is not me)
        able = [each for each in waiting if each.ready()]
        if not able:
            # Time passes only when nobody has anything to do.
            timed = [each for each in waiting if each.until is not None]
            if not timed:
                names = ", ".join(each.name for each in waiting)
                raise ScheduleError(f"nobody can go on: {names}")
            able = [min(timed, key=lambda each: each.until or 0.0)]
            self.now = max(self.now, able[0].until or 0.0)
        return able[self.choose([each.name for each in able])]

    def _break(self, error: BaseException) -> None:
        if self._broken is None:
            self._broken = error

    def start(self, name: str, work: Callable[[], None]) -> _Agent:
        """Have a thread do something from its first turn on."""
        agent = _Agent(name)

        def body() -> None:
            agent.gate.acquire()
            try:
                if self._broken is None:
                    work()
            except Abandoned:
                pass
            except BaseException as error:
                self._break(error)
            agent.done = True
            self._pass_on(agent)

        self._agents.append(agent)
        threading.Thread(target=body, name=name, daemon=True).start()
        return agent

    # Runs ---------------------------------------------------------------------------------------

    def apply(self, work: Callable[[], None]) -> None:
        """Do something in the main thread, and see every other one off."""
        failure: BaseException | None = None
        try:
            with self._replaced():
                work()
        except BaseException as error:
            failure = error
        first = self._broken
        self._break(Abandoned())
        for agent in self._agents[1:]:
            while not agent.done:
                self._current = agent
                agent.gate.release()
                self._agents[0].gate.acquire()
        if first is not None:
            raise first
        if failure is not None:
            raise failure

    @contextlib.contextmanager
    def _replaced(self) -> Iterator[None]:
        """The shell's locks, queues and threads, in the schedule's hands."""
        lock: Callable[[], Any] = lambda: _Lock(self)  # noqa: E731
        thread: Callable[..., Any] = lambda **how: _Thread(self, **how)  # noqa: E731
        # Sections do not nest, so nothing depends on an owner that takes it twice.
        owned: Callable[[], Any] = lambda: _OwnedLock(self)  # noqa: E731
        locks = SimpleNamespace(Lock=lock, RLock=owned)
        threads = SimpleNamespace(Thread=thread, Lock=lock, current_thread=lambda: self._current)
        with pytest.MonkeyPatch.context() as patch:
            for module in (
                opslifecycle.locks,
                opslifecycle.shell.pending,
                opslifecycle.sync.waking,
            ):
                patch.setattr(module, "threading", locks)
            patch.setattr(opslifecycle.shell.commits, "threading", threads)
            patch.setattr(opslifecycle.shell.mailbox, "SimpleQueue", lambda: _Queue(self))
            yield

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in an event loop of this schedule."""
        loop = _Loop(self)
        try:
            loop.run_until_complete(coroutine)
        finally:
            coroutine.close()
            loop.close()


class _Lock:
    """A lock that others may get first."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._held = False
        self._owner: _Agent | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if blocking:
            free: Callable[[], bool] = lambda: not self._held  # noqa: E731
            self._schedule.switch()
            if not free():
                self._schedule.block(free, None if timeout < 0 else timeout)
        if self._held:
            return False
        self._held = True
        self._owner = self._schedule._current
        return True

    def release(self) -> None:
        if not self._held:
            raise RuntimeError("release unlocked lock")
        self._held = False
        self._owner = None

    def locked(self) -> bool:
        return self._held


class _OwnedLock(_Lock):
    """A lock that only its owner releases."""

    def release(self) -> None:
        if not self._is_owned():
            raise RuntimeError("cannot release un-acquired lock")
        super().release()

    def _is_owned(self) -> bool:
        return self._owner is self._schedule._current


class _Queue:
    """A queue whose reader waits for its turn."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._items: deque[Any] = deque()

    def put(self, item: Any) -> None:
        # A finalizer may come when the run is over already.
        if not self._schedule.over:
            self._schedule.switch()
        self._items.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        self._schedule.block(lambda: bool(self._items), timeout)
        return self.get_nowait()

    def get_nowait(self) -> Any:
        if not self._items:
            raise Empty
        return self._items.popleft()


class _Thread:
    """A thread that takes turns."""

    def __init__(self, schedule: Schedule, *, target: Any, name: str, daemon: bool) -> None:
        self._schedule = schedule
        self._target = target
        self._name = name
        self._agent: _Agent | None = None

    def start(self) -> None:
        self._agent = self._schedule.start(self._name, self._target)


class _Loop(asyncio.BaseEventLoop):
    """An event loop without a selector, which asks its schedule what to run next."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self._schedule = schedule
        self._agent = schedule._current

    def time(self) -> float:
        return self._schedule.now

    def run_in_executor(
        self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """A thread of its own for each call."""
        future: asyncio.Future[T] = self.create_future()

        def work() -> None:
            answer = func(*args)
            self.call_soon_threadsafe(future.set_result, answer)

        self._schedule.start("executor", work)
        return future

    def _write_to_self(self) -> None:
        # Whoever called from another thread may be overtaken by what it has called.
        if self._schedule._current is not self._agent:
            self._schedule.switch()

    def _run_once(self) -> None:
        queue: deque[Any] = self._ready  # type: ignore[attr-defined]
        timers: list[Any] = self._scheduled  # type: ignore[attr-defined]
        timers[:] = sorted(each for each in timers if not each._cancelled)
        seconds = timers[0]._when - self.time() if timers else None
        self._schedule.block(lambda: bool(queue), seconds)
        while timers and timers[0]._when <= self.time():
            queue.append(timers.pop(0))
        handles = [each for each in queue if not each._cancelled]
        queue.clear()
        if handles:
            chosen = handles.pop(self._schedule.choose([_label(each) for each in handles]))
            queue.extend(handles)
            chosen._run()


def _label(handle: Any) -> str:
    owner = getattr(handle._callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return owner.get_name()
    return str(getattr(handle._callback, "__name__", handle._callback))

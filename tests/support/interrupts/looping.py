"""Supervisors in an event loop, whose calls are interrupted; the loop itself is asyncio's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field, frozen
from opslifecycle import AsyncRegistry, Completed, Registry, Store
from opslifecycle.work import Retry, Supervisor, SupervisorClosedError, current

from tests.support.interrupts.checking import DEADLINE_SECONDS
from tests.support.interrupts.injecting import INTERRUPTS


@define(eq=False)
class Hall:
    """A registry, and a supervisor of it in the running loop, with work that runs and has ended."""

    registry: Any
    store: Store | None
    supervisor: Any = field(init=False)
    #: The open supervisor; None before the call that opens it.
    work: Any = None
    running: Any = None
    queued: Any = None
    ended: Any = None
    #: Every handle that `start` has returned.
    handles: list[Any] = field(factory=list)
    may_end: asyncio.Event = field(factory=asyncio.Event)
    #: What the loop was given by callbacks that have raised.
    reported: list[BaseException] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.supervisor = Supervisor(self.registry, on_exit="cancel", max_running=2)

    async def open(self) -> None:
        """Enter the block of the supervisor."""
        self.work = await self.supervisor.__aenter__()

    async def close(self) -> None:
        """Leave the block."""
        await self.supervisor.__aexit__(None, None, None)

    async def fill(self) -> None:
        """Start what every call finds: work that has ended, work that runs, work that waits."""
        self.ended = await self.start(nothing)
        await self.ended
        self.running = await self.start(self.wait)
        await self.start(self.wait)
        self.queued = await self.start(nothing)

    async def start(self, work: Any, *arguments: object, **options: Any) -> Any:
        """Start work, and note its handle."""
        handle = await self.work.start(work, *arguments, **options)
        self.handles.append(handle)
        return handle

    async def wait(self) -> str:
        """Work until it may end; the work that runs."""
        current().progress("begun")
        await self.may_end.wait()
        return "waited"

    def note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Note what a callback has raised; the loop's handler of exceptions."""
        if "exception" in context:
            self.reported.append(context["exception"])


async def nothing() -> str:
    """Do nothing; work in the loop."""
    return "done"


def in_a_thread() -> str:
    """Do nothing; work in a thread."""
    return "done"


async def too_long() -> None:
    """Work that only its timeout ends."""
    await asyncio.sleep(DEADLINE_SECONDS)


async def at_the_second_attempt() -> str:
    """Fail once."""
    if current().attempt == 1:
        raise OSError("first")
    return "done"


async def until_stopped() -> str:
    """Work that stops by itself when it is asked to."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not current().stop_requested:
            await asyncio.sleep(0.001)
    return "stopped"


@frozen
class HallCall:
    """A call of a supervisor in a loop, by a name."""

    name: str
    make: Callable[[Hall], Awaitable[object]]
    opens: bool = False
    closes: bool = False
    #: The kinds of exceptions that interrupt it.
    kinds: tuple[type[BaseException], ...] = INTERRUPTS


async def _outcome(w: Hall, work: Any, **options: Any) -> None:
    w.may_end.set()
    await (await w.start(work, **options))


async def _start_twice(w: Hall) -> None:
    await asyncio.gather(*(w.start(nothing, key="once") for _ in range(2)))


async def _cancel_gently(w: Hall) -> None:
    w.may_end.set()
    await w.running
    handle = await w.start(until_stopped)
    await handle.cancel("why", grace=DEADLINE_SECONDS)


async def _progress(w: Hall) -> None:
    async for _ in w.running.progress():
        w.may_end.set()


async def _gather(w: Hall) -> None:
    w.may_end.set()
    await w.work.gather([w.running, w.ended])


async def _as_completed(w: Hall) -> None:
    w.may_end.set()
    async for _ in w.work.as_completed([w.running, w.queued, w.ended]):
        pass


async def _awaited_twice(w: Hall) -> None:
    async def awaited() -> None:
        await w.running

    w.may_end.set()
    await asyncio.gather(awaited(), awaited())


async def _look(w: Hall) -> None:
    assert w.ended.done()
    assert not w.ended.timed_out()


async def _finish(w: Hall) -> None:
    w.may_end.set()
    await w.close()


HALL_CALLS = [
    HallCall("open", lambda w: w.open(), opens=True),
    HallCall("close", lambda w: w.close(), closes=True),
    HallCall("close_waiting", _finish, closes=True),
    HallCall("start", lambda w: _outcome(w, nothing)),
    HallCall("start_thread", lambda w: _outcome(w, in_a_thread)),
    # Without Ctrl-C: `asyncio.run` hangs if that comes while a process is starting (ADR 0019).
    HallCall("start_process", lambda w: _outcome(w, ["true"]), kinds=INTERRUPTS[1:]),
    HallCall("start_key", _start_twice),
    HallCall("start_timeout", lambda w: _outcome(w, too_long, timeout=0.01)),
    HallCall(
        "start_retry",
        lambda w: _outcome(w, at_the_second_attempt, retry=Retry(2, 0.001)),
    ),
    HallCall("cancel", lambda w: w.work.cancel(w.running.id, "why")),
    HallCall("cancel_queued", lambda w: w.queued.cancel("why")),
    HallCall("cancel_with_grace", _cancel_gently),
    HallCall("recover", lambda w: w.work.recover({"nothing": nothing})),
    HallCall("done", _look),
    HallCall("await", _awaited_twice),
    HallCall("progress", _progress),
    HallCall("gather", _gather),
    HallCall("as_completed", _as_completed),
]


async def goes_on(w: Hall) -> bool:
    """Start work and await its end; return False if registry or supervisor are closed."""
    if w.registry._engine.closed is not None:
        return False
    try:
        w.may_end.set()
        assert isinstance(await (await w.start(nothing)), Completed)
    except SupervisorClosedError:
        return False
    return True


def registry_of(kind: str, store: Store | None) -> Any:
    """Make the registry of a hall."""
    return AsyncRegistry(store=store) if kind == "async" else Registry(store=store)

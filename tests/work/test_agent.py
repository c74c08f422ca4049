"""The example's agent, killed at every step of its loop and by a signal, loses nothing."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    CompletionCursorConsumer,
    Delivery,
    MemoryStore,
    OwnershipLostError,
    Registry,
    SqliteStore,
)
from opslifecycle.shell.consuming import _Position
from opslifecycle.stores.base import Commit
from opslifecycle.work import Supervisor

from tests.support.audit import Audit, AuditedLoop, audit
from tests.support.scale import whole_or

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/work/agent.py"
STAGES = ("observed", "injected", "applied")
STEPS_MAX = 2_000


class Killed(BaseException):
    """Raised by the loop itself, which no code of the program sees."""


class Mortal(MemoryStore):
    """A store that outlives the registry which writes to it."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._dead = False

    def append(self, commit: Commit) -> None:
        with self._lock:
            if self._dead:
                raise OwnershipLostError
            super().append(commit)

    def survivor(self) -> Mortal:
        """Let the owner write no more, and return a store with what it has written."""
        other = Mortal()
        with self._lock:
            self._dead = True
            other._records, other._rows = dict(self._records), dict(self._rows)
            other._state, other._schema = self._state, self._schema
        return other


class Deliveries:
    """Whether each repetition was announced, across processes."""

    def __init__(self) -> None:
        self.seen: set[tuple[CompletionCursorConsumer, int]] = set()
        self.repeated = 0

    def note(self, cursor: CompletionCursorConsumer, item: Any) -> None:
        if isinstance(item, Delivery):
            place = cursor, item.entry.seq
            if place in self.seen:
                self.repeated += 1
                assert item.maybe_redelivered, place
            self.seen.add(place)


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> Deliveries:
    found = Deliveries()
    real = _Position._take

    def take(self: _Position[Any]) -> Any:
        item = real(self)
        found.note(self._cursor.args[0], item)  # type: ignore[attr-defined]
        return item

    monkeypatch.setattr(_Position, "_take", take)
    return found


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example, with every tool under an audit."""
    spec = importlib.util.spec_from_file_location("agent_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    audits: list[Audit] = []

    class Audited(Supervisor):
        async def __aenter__(self) -> Audited:
            await super().__aenter__()
            registry = self._lifecycle.registry
            assert isinstance(registry, AsyncRegistry)
            audits.append(audit(registry, self))
            return self

    def audited(tool: Any) -> Any:
        async def run(question: str) -> Any:
            with audits[-1].inside():
                return await tool(question)

        return run

    module.Supervisor = Audited  # type: ignore[attr-defined]
    module.TOOLS = {name: audited(tool) for name, tool in module.TOOLS.items()}  # type: ignore[attr-defined]
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    monkeypatch.setattr(logging.getLogger("asyncio"), "disabled", True)
    return module


def run_until(agent: ModuleType, store: Mortal, path: Path, step: int | None) -> bool:
    """Run the agent, killed in that round of its loop; return whether it came to its end."""
    # A process that is killed collects nothing. What is left of it here complains that its loop is
    # closed.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda _: None)
        came_to_its_end = _run_until(agent, store, path, step)
        # Twice: what is cleaned up leaves some objects of its own.
        gc.collect()
        gc.collect()
    return came_to_its_end


def _run_until(agent: ModuleType, store: Mortal, path: Path, step: int | None) -> bool:
    memory = agent.Memory(path)
    rounds = 0

    async def main() -> None:
        # Not closed by a block: a process that is killed closes nothing.
        registry = AsyncRegistry(store=store)
        await agent.run(registry, memory)
        await registry.close()

    class Loop(AuditedLoop):
        def _run_once(self) -> None:
            nonlocal rounds
            rounds += 1
            if rounds == step:
                raise Killed
            super()._run_once()

    loop = Loop()
    try:
        loop.run_until_complete(main())
    except Killed:
        # Here and not by the garbage collector, which comes late where a thread holds one of them.
        for task in asyncio.all_tasks(loop):
            with suppress(BaseException):
                task.get_coro().close()
        return False
    else:
        return True
    finally:
        loop.close()
        memory.close()


def check(memory: Any, entries: Any) -> None:
    """Everything that has ended was observed, injected and applied, and each question answered."""
    assert memory.of("answer") == {
        question: f"{question} are fruit" for question in ("apples", "pears", "plums")
    }
    for stage in STAGES:
        noted = memory.of(stage)
        assert noted == {str(each.seq): each.display_name for each in entries}, stage


def finish(agent: ModuleType, store: Mortal, path: Path) -> None:
    assert run_until(agent, store, path, None)
    with Registry(store=store) as registry:
        feed = registry.completion_feed()
        for cursor in CompletionCursorConsumer:
            assert registry.completion_cursor(cursor) == feed.watermark
        memory = agent.Memory(path)
        check(memory, feed.list_since(0).entries)
        memory.close()


@pytest.fixture
def quick_collections() -> Iterator[None]:
    """Keep the garbage collector from looking at what was there before the test."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("quick_collections")
def test_the_agent_is_killed_at_every_step(
    agent: ModuleType, deliveries: Deliveries, tmp_path: Path
) -> None:
    step = 0
    came_to_its_end = False
    while not came_to_its_end:
        step += whole_or(1, 6)
        assert step < STEPS_MAX
        path = tmp_path / f"{step}.jsonl"
        deliveries.seen.clear()
        store = Mortal()
        came_to_its_end = run_until(agent, store, path, step)
        store = store.survivor()
        # Once more while it recovers.
        run_until(agent, store, path, step // 2 + 1)
        finish(agent, store.survivor(), path)
    assert step > 20
    assert deliveries.repeated > whole_or(20, 4)


KILLED = """
import asyncio, os, runpy, signal, sys
rounds = 0
class Loop(asyncio.SelectorEventLoop):
    def _run_once(self):
        global rounds
        rounds += 1
        if rounds == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        super()._run_once()
example = runpy.run_path(sys.argv[1])
from pathlib import Path
with asyncio.Runner(loop_factory=Loop) as runner:
    runner.run(example["main"](Path(sys.argv[2])))
"""


def test_the_agent_is_killed_by_a_signal(agent: ModuleType, tmp_path: Path) -> None:
    for round in (30, 46, 4, 9, 17, 70)[: whole_or(6, 2)]:
        run = [sys.executable, "-c", KILLED, str(EXAMPLE), str(tmp_path), str(round)]
        done = subprocess.run(run, capture_output=True, text=True, check=False)
        assert done.returncode in (-signal.SIGKILL, 0), done.stderr
    run = [sys.executable, str(EXAMPLE), str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{question}: {question} are fruit" for question in ("apples", "pears", "plums")
    ]
    memory = agent.Memory(tmp_path / "memory.jsonl")
    with Registry(store=SqliteStore(tmp_path / "agent.db")) as registry:
        check(memory, registry.completion_feed().list_since(0).entries)
    memory.close()

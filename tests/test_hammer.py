"""Threads and event loops on one registry: one end each, every watcher woken once, reads whole."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import (
    CompletionFeedGapError,
    MemoryStore,
    OperationId,
    OpsLifecycleError,
    Registry,
    RunId,
    SqliteStore,
    Store,
)
from opslifecycle import OperationTerminalOutcome as Outcome

from tests.support.builders import ACTIONS, CHILD, SLOT, TOOL, spec
from tests.support.scale import whole_or

THREADS, LOOPS, OPERATIONS = 8, 4, whole_or(400, 25)
ATTEMPTS = [name for name in ACTIONS if name != "terminate"]


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("kept", ["nowhere", "memory", "sqlite"])
def test_eight_threads_and_four_loops(kept: str, tmp_path: Path) -> None:
    stores: dict[str, Callable[[], Store | None]] = {
        "nowhere": lambda: None,
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "store.db"),
    }
    with Registry(max_completed=OPERATIONS * 2, store=stores[kept]()) as registry:
        hammer(registry)


def hammer(registry: Registry) -> None:
    specs = [spec([CHILD, TOOL][n % 2], name=str(n)) for n in range(OPERATIONS)]
    for made in specs:
        registry.register_operation(made)
    ids = [made.id for made in specs]
    stop = threading.Event()
    start = threading.Barrier(THREADS + LOOPS + 1)

    def act(seed: int) -> Counter[OperationId]:
        """Act at random; count the ends that were accepted."""
        chance = random.Random(seed)
        ends: Counter[OperationId] = Counter()
        start.wait(30)
        for _ in range(OPERATIONS * 4):
            id, action = chance.choice(ids), chance.choice(ATTEMPTS)
            try:
                ACTIONS[action](registry, id)
            except OpsLifecycleError:
                continue
            if action in ("fail", "complete", "abort", "cancel", "retire_completed"):
                ends[id] += 1
        return ends

    async def watch(seed: int) -> list[tuple[OperationId, Outcome]]:
        """Watch every operation twice; each await must end exactly once."""
        start.wait(30)
        woken: list[tuple[OperationId, Outcome]] = []

        async def one(id: OperationId) -> None:
            woken.append((id, await registry.register_watcher(id)))

        barrier = registry.wait_all(RunId.new(), ids)
        await asyncio.gather(*(one(id) for id in ids), *(one(id) for id in ids))
        outcomes = (await barrier).outcomes
        assert [id for id, _ in outcomes] == ids
        assert dict(outcomes) == dict(woken)
        return woken

    def read() -> int:
        feed, reads = registry.completion_feed(), 0
        while not stop.is_set():
            batch = feed.list_since(0)
            seqs = [entry.seq for entry in batch.entries]
            assert seqs == list(range(1, len(seqs) + 1))
            assert batch.watermark == len(seqs)
            listed = registry.list_operations(terminal=True)
            assert len(listed) >= len(seqs)
            assert all(snapshot.terminal_outcome is not None for snapshot in listed)
            reads += 1
        return reads

    with ThreadPoolExecutor(THREADS + LOOPS + 2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        actors = [pool.submit(act, seed) for seed in range(THREADS)]
        loops = [pool.submit(asyncio.run, watch(seed)) for seed in range(LOOPS)]
        try:
            start.wait(30)
            ends: Counter[OperationId] = sum((actor.result(60) for actor in actors), Counter())
            for id in ids:
                snapshot = registry.snapshot(id)
                assert snapshot is not None
                if not snapshot.terminal:
                    registry.cancel_operation(id)
                    ends[id] += 1
            watched = [loop.result(60) for loop in loops]
        finally:
            stop.set()
        assert all(reader.result(60) > 0 for reader in readers)

    assert ends == Counter(dict.fromkeys(ids, 1))
    rows = registry.completion_feed().list_since(0).entries
    outcomes = {row.operation_id: row.terminal_outcome for row in rows}
    assert len(rows) == len(outcomes) == OPERATIONS
    for woken in watched:
        assert Counter(id for id, _ in woken) == Counter(dict.fromkeys(ids, 2))
        assert all(outcomes[id] == outcome for id, outcome in woken)
    assert registry.broken_invariants() == []


def test_registrations_collections_and_owners_at_once() -> None:
    registry = Registry(max_completed=50, max_concurrent=40)
    feed = registry.completion_feed()
    collected: list[OperationId] = []
    lock = threading.Lock()

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(300):
            made = spec(chance.choice([CHILD, TOOL, SLOT]))
            try:
                registry.register_operation(made)
                for action in chance.sample(ATTEMPTS, 6):
                    ACTIONS[action](registry, made.id)
            except OpsLifecycleError:
                pass
            if chance.random() < 0.02:
                registry.terminate_owner("sweep")
            if chance.random() < 0.05:
                with lock:
                    collected.extend(id for id, _ in registry.collect_completed())

    def follow() -> int:
        seen, after = 0, 0
        while True:
            try:
                for entry in feed.iterate(after=after, timeout=1):
                    assert entry.seq > after
                    seen, after = seen + 1, entry.seq
            except CompletionFeedGapError as gap:
                after = gap.gap.dropped_through
            except TimeoutError:
                return seen

    with ThreadPoolExecutor(THREADS + 1) as pool:
        follower = pool.submit(follow)
        workers = [pool.submit(work, seed) for seed in range(THREADS)]
        for worker in workers:
            worker.result(60)
        assert follower.result(60) > 0
    assert len(collected) == len(set(collected)) > 0
    assert registry.broken_invariants() == []
    registry.terminate_owner("end")
    assert registry._authority.active_count == 0
    assert registry._engine.effects.watchers.cells == {}


def test_one_end_wins_when_all_come_at_once() -> None:
    for _ in range(100):
        registry = Registry()
        made = spec()
        registry.register_operation(made)
        registry.provisioning_succeeded(made.id)
        start = threading.Barrier(4)

        def end(
            action: str, id: OperationId = made.id, r: Registry = registry, b: Any = start
        ) -> bool:
            b.wait(30)
            try:
                ACTIONS[action](r, id)
            except OpsLifecycleError:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(end, ["complete", "fail", "cancel", "retire_completed"]))
        assert won.count(True) == 1
        assert registry.completion_feed().watermark == 1

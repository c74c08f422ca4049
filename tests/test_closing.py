"""How a registry ends: closed, dropped, broken in the middle, or forked."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from opslifecycle import (
    ChannelClosedError,
    CompletionCursorConsumer,
    MemoryStore,
    Registry,
    RegistryClosedError,
    RunId,
)

from tests.support.builders import (
    ACTIONS,
    completed,
    running,
    spec,
)

_CONSUMER = CompletionCursorConsumer.AGENT_APPLIED


REFUSED, NOT_REFUSED = 7, 1


def forked(call: Callable[[], object]) -> int:
    """How a child ends that calls something of its parent's, within some seconds."""
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            call()
        except RegistryClosedError:
            os._exit(REFUSED)
        os._exit(NOT_REFUSED)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


class TestClosing:
    def test_reads_go_on_and_nothing_else(self) -> None:
        registry = Registry()
        live, ended = running(registry), completed(registry)
        watch = registry.register_watcher(live)
        registry.close()
        registry.close()
        found = registry.snapshot(live)
        assert found is not None
        assert watch.done()
        assert found.watcher_count == 0
        assert len(registry.list_operations()) == 2
        assert registry.completion_feed().watermark == 1
        assert registry.completion_cursor(_CONSUMER) == 0
        calls: list[Any] = [
            lambda: registry.register_operation(spec()),
            lambda: registry.terminate_owner("x"),
            lambda: registry.retire_owner("x"),
            lambda: registry.collect_completed(),
            lambda: registry.advance_completion_cursor(_CONSUMER, 0),
            lambda: registry.rollback_unreturned_operation(live),
            lambda: registry.register_watcher(live),
            lambda: registry.register_watcher(ended),
            lambda: registry.wait_all(RunId.new(), [live]).result(0),
            lambda: registry.completion_feed().wait_for_advance(1),
            *(lambda act=act: act(registry, live) for act in ACTIONS.values()),
        ]
        for call in calls:
            with pytest.raises(RegistryClosedError):
                call()

    def test_the_context_manager_closes(self) -> None:
        with Registry() as registry:
            watch = registry.register_watcher(running(registry))
        with pytest.raises(ChannelClosedError):
            watch.result(0)

    def test_a_lost_registry_ends_its_waits(self) -> None:
        registry = Registry()
        id = running(registry)
        watch = registry.register_watcher(id)
        barrier = registry.wait_all(RunId.new(), [id])
        advance = registry.completion_feed().wait_for_advance(0)
        del registry
        gc.collect()
        with pytest.raises(ChannelClosedError):
            watch.result(0)
        with pytest.raises(RegistryClosedError):
            barrier.result(0)
        with pytest.raises(RegistryClosedError):
            advance.result(0)

    def test_who_awaits_a_watch_of_a_lost_registry_is_woken(self) -> None:
        async def scenario() -> None:
            registry = Registry()
            watch = registry.register_watcher(running(registry))
            waiting = asyncio.ensure_future(watch)
            await asyncio.sleep(0)
            del registry
            gc.collect()
            with pytest.raises(ChannelClosedError):
                await asyncio.wait_for(waiting, 30)

        asyncio.run(scenario())

    def test_a_broken_command_closes_the_registry(self) -> None:
        registry = Registry()
        id, other = running(registry), running(registry)
        watch = registry.register_watcher(other)
        registry._authority.records[id].kind = None  # type: ignore[assignment]
        with pytest.raises(AttributeError):
            registry.mark_retired(id)
        with pytest.raises(RegistryClosedError):
            registry.mark_retired(other)
        with pytest.raises(ChannelClosedError):
            watch.result(0)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_a_forked_child_refuses_to_work(self) -> None:
        registry = Registry()
        id = running(registry)
        assert forked(lambda: registry.mark_retired(id)) == REFUSED
        registry.mark_retired(id)

    def test_a_forked_child_leaves_the_store_to_its_parent(self) -> None:
        with Registry(store=MemoryStore()) as registry:
            id = running(registry)
            assert forked(lambda: registry.mark_retired(id)) == REFUSED
            registry.mark_retired(id)

    def test_a_child_forked_in_the_middle_of_something_does_not_hang(self) -> None:
        registry = Registry()
        id = running(registry)
        status = registry._engine.lock.hold(forked, lambda: registry.mark_retired(id))
        assert status == REFUSED

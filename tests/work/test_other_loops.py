"""A supervisor under event loops that are not of asyncio: refused clearly, or used in threads."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import pytest
from opslifecycle import Completed, Registry
from opslifecycle.work import NoEventLoopError, Supervisor


async def give(value: str) -> str:
    return value


async def enter(registry: Registry) -> str:
    async with Supervisor(registry) as work:
        outcome = await (await work.start(give, "it"))
        assert isinstance(outcome, Completed)
        return outcome.result.content


def test_without_an_event_loop_the_error_says_what_to_use() -> None:
    with Registry() as registry:
        steps = enter(registry)
        with pytest.raises(NoEventLoopError, match="with Supervisor"):
            steps.send(None)
        # Nothing is left open.
        with Supervisor(registry) as work:
            assert isinstance(work.start(give, "it").result(30), Completed)


def test_anyio_on_asyncio() -> None:
    anyio: Any = pytest.importorskip("anyio")
    with Registry() as registry:
        assert anyio.run(enter, registry, backend="asyncio") == "it"


def test_trio_is_refused() -> None:
    trio: Any = pytest.importorskip("trio")
    with Registry() as registry, pytest.raises(NoEventLoopError):
        trio.run(enter, registry)


def test_trio_with_threads() -> None:
    trio: Any = pytest.importorskip("trio")

    async def main(registry: Registry) -> str:
        with Supervisor(registry) as work:
            in_thread = trio.to_thread.run_sync
            operation = await in_thread(partial(work.start, give, "it"))
            outcome = await in_thread(operation.result)
            assert isinstance(outcome, Completed)
            return outcome.result.content

    with Registry() as registry:
        assert trio.run(main, registry) == "it"


def test_the_error_is_one_of_python_as_well() -> None:
    assert issubclass(NoEventLoopError, RuntimeError)
    assert importlib.import_module("opslifecycle.work").NoEventLoopError is NoEventLoopError

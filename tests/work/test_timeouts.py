"""A timeout is distinguished from a failure without reading a text, also in a later process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    Cancelled,
    Completed,
    Failed,
    Registry,
    SqliteStore,
    UnsupportedError,
)
from opslifecycle.work import Process, Retry, Supervisor, current, is_timeout

from tests.support.audit import run
from tests.support.codegen.projects import package

MACHINE = Path(__file__).parents[2] / "examples/download/machine/download.yaml"
AT = {"address": "a.example"}
TIMED_OUT = "TimeoutError: timed out after 0.01 s"


async def sleep_for_ever() -> None:
    await asyncio.Event().wait()


async def own_timeout() -> None:
    # The whole text of a recorded timeout, as an exception.
    raise TimeoutError("timed out after 0.01 s")


def own_timeout_in_a_thread() -> None:
    raise TimeoutError("timed out after 0.01 s")


def wait_in_a_thread() -> None:
    current().wait_for_stop(30)


async def give(value: str) -> str:
    return value


def ended(work: Any, **options: Any) -> tuple[object, bool]:
    """Return the outcome of some work, and whether its operation says that it has timed out."""

    async def main() -> tuple[object, bool]:
        async with AsyncRegistry() as registry, Supervisor(registry) as supervisor:
            operation = await supervisor.start(work, **options)
            assert not operation.timed_out()
            outcome = await operation
            snapshot = registry.snapshot(operation.id)
            assert snapshot is not None
            assert is_timeout(snapshot.terminal_outcome) == operation.timed_out()
            return outcome, operation.timed_out()

    return run(main())


@pytest.mark.parametrize(
    "work", [sleep_for_ever, wait_in_a_thread, Process(["sleep", "30"], grace_seconds=0.01)]
)
def test_a_timeout_says_so(work: Any) -> None:
    assert ended(work, timeout=0.01) == (Failed(TIMED_OUT), True)


async def fail_when_cancelled() -> None:
    try:
        await sleep_for_ever()
    finally:
        raise LookupError("the lock is not mine")


def fail_when_stopped() -> None:
    wait_in_a_thread()
    raise LookupError("the lock is not mine")


@pytest.mark.parametrize("work", [fail_when_cancelled, fail_when_stopped])
def test_what_interrupted_work_raises_is_in_its_record(work: Any) -> None:
    outcome, timed_out = ended(work, timeout=0.01)
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith(f"{TIMED_OUT}\n\nInterrupted, it raised LookupError: the lock")
    assert timed_out


def test_the_last_attempt_decides() -> None:
    retry = Retry(attempts=2, backoff=0.0)
    assert ended(sleep_for_ever, timeout=0.01, retry=retry) == (Failed(TIMED_OUT), True)

    async def slow_once() -> None:
        if current().attempt == 1:
            await sleep_for_ever()
        raise LookupError("gone")

    outcome, timed_out = ended(slow_once, timeout=0.01, retry=retry)
    assert isinstance(outcome, Failed)
    assert not timed_out


@pytest.mark.parametrize("work", [own_timeout, own_timeout_in_a_thread])
def test_an_exception_of_the_work_is_no_timeout(work: Any) -> None:
    outcome, timed_out = ended(work, timeout=30)
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith(TIMED_OUT)
    assert not timed_out


def test_what_a_program_prints_is_no_timeout() -> None:
    command = f"echo '{TIMED_OUT}' >&2; exit 1"
    outcome, timed_out = ended(["sh", "-c", command], timeout=30)
    assert isinstance(outcome, Failed)
    assert not timed_out


def test_other_ends_are_no_timeouts() -> None:
    async def main() -> None:
        async with AsyncRegistry() as registry, Supervisor(registry) as work:
            completed = await work.start(give, TIMED_OUT, timeout=30)
            cancelled = await work.start(sleep_for_ever, timeout=30)
            await cancelled.cancel(TIMED_OUT)
            assert isinstance(await completed, Completed)
            assert await cancelled == Cancelled(TIMED_OUT)
            assert not completed.timed_out()
            assert not cancelled.timed_out()
            erased = await work.start(sleep_for_ever)
            await registry.rollback_unreturned_operation(erased.id)
            assert not erased.timed_out()

    run(main())


@pytest.mark.parametrize("seconds", [0.001, 1, 30, 1234567, 1e-7, 1e20])
@pytest.mark.parametrize("raised", ["", "LookupError: gone\n\nTraceback: …"])
def test_every_recorded_timeout_is_recognised(seconds: float, raised: str) -> None:
    from opslifecycle.work.timeouts import timeout_error

    assert is_timeout(Failed(timeout_error(seconds, raised)))


@pytest.mark.parametrize(
    "outcome",
    [
        None,
        Failed(""),
        Failed(f"{TIMED_OUT}\n"),
        Failed(f"x {TIMED_OUT}"),
        TIMED_OUT,
        Failed(f"{TIMED_OUT}\n\nTraceback (most recent call last):"),
    ],
)
def test_anything_else_is_not(outcome: object) -> None:
    assert not is_timeout(outcome)


def test_a_later_process_knows_it(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            Registry(store=SqliteStore(tmp_path / "timeouts.db")) as registry,
            Supervisor(registry) as work,
        ):
            operation = work.start(sleep_for_ever, key="slow", timeout=0.01)
            assert operation.result(timeout=30) == Failed(TIMED_OUT)
            assert operation.timed_out()


# Machines of users -------------------------------------------------------------------------------


@pytest.fixture
def late(tmp_path: Path) -> Any:
    return package(
        tmp_path,
        MACHINE,
        "late",
        ("    dropped:", "    late: {summary: It took too long., terminal: true}\n    dropped:"),
        (
            "  drop:\n",
            "  expire:\n    summary: Note that it took too long.\n    methods: [expire]\n"
            "    params: {reason: str}\n    from: live\n    to: late\n"
            "    update: {download.reason: reason}\n  drop:\n",
        ),
        ("  cancel: drop\n", "  cancel: drop\n  time_out: {do: expire, with: {reason: error}}\n"),
    )


def test_a_machine_has_an_action_for_it(late: Any) -> None:
    async def main() -> None:
        async with late.AsyncDownloadRegistry() as registry, Supervisor(registry) as work:
            slow = await work.start(sleep_for_ever, given=AT, timeout=0.01)
            broken = await work.start(own_timeout, given=AT, timeout=30)
            assert await slow is late.DownloadStatus.LATE
            assert registry.snapshot(slow.id).reason == TIMED_OUT
            assert slow.timed_out()
            assert await broken is late.DownloadStatus.BROKEN
            assert not broken.timed_out()

    run(main())


def test_without_it_the_machine_cannot_say(tmp_path: Path) -> None:
    download = package(tmp_path, MACHINE, "plain_download")

    async def main() -> None:
        async with download.AsyncDownloadRegistry() as registry, Supervisor(registry) as work:
            slow = await work.start(sleep_for_ever, given=AT, timeout=0.01)
            assert await slow is download.DownloadStatus.BROKEN
            with pytest.raises(UnsupportedError, match="timed_out"):
                slow.timed_out()

    run(main())

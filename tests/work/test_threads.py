"""The supervisor for threads: the same semantics, with calls that block."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    Cancelled,
    Completed,
    EventLoopBlockedError,
    Failed,
    MemoryStore,
    OperationStatus,
    Registry,
)
from opslifecycle.work import (
    AlreadyFinished,
    Supervisor,
    SupervisorClosedError,
    ThreadOperation,
    ThreadSupervisor,
    WorkCancelled,
    WorkNotRecordedError,
    current,
)

from tests.support.waiting import until

DEADLINE_SECONDS = 30.0


def content_of(operation: ThreadOperation) -> str:
    outcome = operation.result(DEADLINE_SECONDS)
    assert isinstance(outcome, Completed), outcome
    return outcome.result.content


async def give(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


def wait_for_stop() -> None:
    assert current().wait_for_stop(DEADLINE_SECONDS)
    current().raise_if_stopped()


def fail() -> None:
    raise ValueError("no")


@pytest.mark.parametrize("registry_class", [Registry, AsyncRegistry])
@pytest.mark.parametrize("stored", [True, False])
def test_all_sorts_of_work(registry_class: type[Any], stored: bool) -> None:
    registry = registry_class(store=MemoryStore() if stored else None)
    with Supervisor(registry, max_running=3) as work:
        operations = [
            work.start(str.upper, "thread"),
            work.start(give, "loop", key="key"),
            work.start(["echo", "program"]),
        ]
        assert [content_of(each) for each in operations] == ["THREAD", "loop", "program\n"]
        assert work.start(give, "again", key="key").id == operations[1].id
        result = work.gather(operations, timeout=DEADLINE_SECONDS)
        assert result.satisfied.operation_ids == tuple(each.id for each in operations)
        failed = work.start(fail)
        outcome = failed.result(DEADLINE_SECONDS)
        assert isinstance(outcome, Failed)
        assert outcome.error.startswith("ValueError: no")
        assert failed.done()
        assert failed.cancel() == AlreadyFinished(outcome)
    assert all(each.terminal for each in registry.list_operations())


def test_it_has_the_options_of_the_other_one() -> None:
    ours = inspect.signature(ThreadSupervisor.start)
    assert ours.parameters == inspect.signature(Supervisor.start).parameters
    for name in ("start", "cancel", "gather", "as_completed"):
        assert hasattr(ThreadSupervisor, name)


def test_waiting_cancelling_and_timeouts() -> None:
    with Registry(store=MemoryStore()) as registry, Supervisor(registry) as work:
        operation = work.start(wait_for_stop)
        with pytest.raises(TimeoutError):
            operation.result(0.01)
        with pytest.raises(TimeoutError):
            work.gather([operation], timeout=0.01)
        assert operation.cancel("enough") == WorkCancelled(Cancelled("enough"))
        late = work.start(asyncio.Event().wait, timeout=0.01)
        assert late.result(DEADLINE_SECONDS) == Failed("TimeoutError: timed out after 0.01 s")
        other = work.start(wait_for_stop)
        assert work.cancel(other.id) == WorkCancelled(Cancelled(None))


def test_operations_come_as_they_end() -> None:
    with Registry(store=MemoryStore()) as registry, Supervisor(registry) as work:
        gates = [threading.Event() for _ in range(3)]
        operations = [work.start(gate.wait, DEADLINE_SECONDS) for gate in gates]
        ended = work.as_completed(operations, timeout=DEADLINE_SECONDS)
        for number in (2, 0, 1):
            gates[number].set()
            assert next(ended) is operations[number]
        assert list(ended) == []
        stuck = work.start(wait_for_stop)
        with pytest.raises(TimeoutError):
            list(work.as_completed([stuck, operations[0]], timeout=0.01))
        stuck.cancel()


def test_a_thread_reports_progress() -> None:
    with Registry(store=MemoryStore()) as registry, Supervisor(registry) as work:
        go_on = threading.Event()

        def busy() -> None:
            current().progress("half", 50)
            go_on.wait(DEADLINE_SECONDS)

        seen = []
        for update in work.start(busy).progress():
            seen.append((update.message, update.percent))
            go_on.set()
        assert seen == [("half", 50)]


def test_work_that_starts_work() -> None:
    with Registry(store=MemoryStore()) as registry, Supervisor(registry) as work:

        def parent() -> str:
            return content_of(work.start(give, "from below"))

        async def careless() -> None:
            work.start(give, 1)

        assert content_of(work.start(parent)) == "from below"
        outcome = work.start(careless).result(DEADLINE_SECONDS)
        assert isinstance(outcome, Failed)
        assert EventLoopBlockedError.__name__ in outcome.error


def leave(on_exit: Any, error: BaseException | None) -> tuple[Any, Any]:
    with Registry(store=MemoryStore()) as registry:
        go_on = threading.Event()

        def patient() -> str:
            while not current().wait_for_stop(0.01):
                if go_on.is_set():
                    return "whole"
            current().raise_if_stopped()
            raise AssertionError

        raised = None
        try:
            with Supervisor(registry, on_exit=on_exit) as work:
                operation = work.start(patient)
                if error is not None:
                    raise error
                threading.Timer(0.05, go_on.set).start()
        except BaseException as caught:
            raised = caught
        with pytest.raises(SupervisorClosedError):
            work.start(patient)
        assert operation.done()
        return operation.result(0), raised


def test_a_block_that_nothing_has_used_is_replaced() -> None:
    with Registry() as registry:
        supervisor = Supervisor(registry)
        left = supervisor.__enter__()
        with supervisor as work:
            assert not left._thread.is_alive()
            assert isinstance(work.start(lambda: 1).result(5), Completed)
            with pytest.raises(SupervisorClosedError):
                supervisor.__enter__()


def test_leaving_the_block() -> None:
    outcome, raised = leave("wait", None)
    assert isinstance(outcome, Completed)
    assert raised is None
    outcome, raised = leave("cancel", None)
    assert (outcome, raised) == (Cancelled("the supervisor's block has ended"), None)
    for error in (ValueError("mine"), KeyboardInterrupt()):
        outcome, raised = leave("wait", error)
        assert (outcome, raised) == (Cancelled("the supervisor's block has ended"), error)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_exit_in_a_coroutine_reaches_the_block(kind: type[BaseException]) -> None:
    async def leave() -> None:
        raise kind("enough")

    with Registry(store=MemoryStore()) as registry:
        with pytest.raises(kind, match="enough"):
            with Supervisor(registry) as work:
                other = work.start(wait_for_stop)
                leaving = work.start(leave)
        outcome = leaving.result(0)
        assert isinstance(outcome, Failed)
        assert outcome.error.startswith(f"{kind.__name__}: enough")
        assert other.result(0) == Cancelled(f"other work raised {kind.__name__}")


def test_a_lost_registry_is_reported() -> None:
    registry = Registry(store=MemoryStore())
    with pytest.raises(WorkNotRecordedError, match="the registry is closed"):
        with Supervisor(registry) as work:
            work.start(wait_for_stop)
            until(lambda: registry.list_operations(status=OperationStatus.RUNNING))
            registry.close()


def test_no_thread_is_left_behind() -> None:
    before = set(threading.enumerate())
    with Registry() as registry, Supervisor(registry) as work:
        content_of(work.start(str.upper, "a"))
        content_of(work.start(["true"]))
    # Threads that wait for ended processes end by themselves.
    for thread in set(threading.enumerate()) - before:
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive()


INTERRUPTED = """
import os, signal, sys, threading
from opslifecycle import *
from opslifecycle.work import *

def patient():
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    current().wait_for_stop()
    current().raise_if_stopped()

with Registry() as registry:
    try:
        with Supervisor(registry) as work:
            operation = work.start(patient)
            if sys.argv[1] == "inside":
                operation.result()
    except KeyboardInterrupt:
        print("interrupted", operation.result(0))
"""


@pytest.mark.parametrize("where", ["inside", "at the end"])
def test_ctrl_c_ends_the_work(where: str) -> None:
    run = [sys.executable, "-c", INTERRUPTED, where]
    done = subprocess.run(
        run, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("interrupted Cancelled(reason=\"the supervisor's block")

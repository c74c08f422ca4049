"""Functions in threads and executors, and programs: what they return, and how they are stopped."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    Cancelled,
    Completed,
    Failed,
    MemoryStore,
    OperationTerminalOutcome,
)
from opslifecycle.work import (
    NoCurrentOperationError,
    Operation,
    Process,
    Retry,
    Supervisor,
    WorkCancelled,
    current,
)

from tests.support.audit import run
from tests.support.waiting import eventually

DEADLINE_SECONDS = 30.0


def outcome_of(
    work: Any,
    *arguments: Any,
    executor: Executor | None = None,
    result_characters_max: int = 1000,
    **how: Any,
) -> OperationTerminalOutcome:
    async def main() -> OperationTerminalOutcome:
        async with (
            AsyncRegistry(store=MemoryStore()) as registry,
            Supervisor(
                registry, executor=executor, result_characters_max=result_characters_max
            ) as supervisor,
        ):
            return await (await supervisor.start(work, *arguments, **how))

    return run(main())


def content_of(outcome: OperationTerminalOutcome) -> str:
    assert isinstance(outcome, Completed), outcome
    return outcome.result.content


def error_of(outcome: OperationTerminalOutcome) -> str:
    assert isinstance(outcome, Failed), outcome
    return outcome.error


# Threads -----------------------------------------------------------------------------------------


def double(number: int) -> int:
    return 2 * number


def test_a_function_runs_in_a_thread_of_its_own_with_its_operation() -> None:
    def where() -> list[Any]:
        return [threading.current_thread() is threading.main_thread(), str(current().id)]

    content = content_of(outcome_of(where))
    assert content.startswith("[false, ")
    assert content_of(outcome_of(functools.partial(double, 4))) == "8"


def test_as_many_threads_run_as_there_are_places() -> None:
    async def main() -> None:
        everybody = threading.Barrier(50, timeout=DEADLINE_SECONDS)

        def meet() -> int:
            return everybody.wait()

        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:
            operations = [await work.start(meet) for _ in range(50)]
            met = {content_of(await each) for each in operations}
            assert len(met) == 50

    run(main())


@pytest.mark.parametrize("kind", [ValueError, StopIteration, SystemExit, KeyboardInterrupt])
def test_whatever_a_thread_raises_is_a_failure(kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind("no")

    assert error_of(outcome_of(fail)).startswith(f"{kind.__name__}: no")


def test_a_function_that_returns_a_coroutine_is_a_mistake() -> None:
    async def inner() -> None: ...

    assert "pass the coroutine function itself" in error_of(outcome_of(lambda: inner()))


def test_a_callable_instance_with_a_coroutine_method_runs_in_the_loop() -> None:
    class Work:
        async def __call__(self) -> bool:
            return threading.current_thread() is threading.main_thread()

    assert content_of(outcome_of(Work())) == "true"


def test_a_thread_is_asked_to_stop_and_runs_until_it_has() -> None:
    async def main() -> None:
        begun = threading.Event()

        def patient() -> None:
            begun.set()
            assert current().wait_for_stop(DEADLINE_SECONDS)
            current().raise_if_stopped()

        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:
            operation = await work.start(patient)
            await eventually(begun.is_set)
            assert await operation.cancel("enough") == WorkCancelled(Cancelled("enough"))

    run(main())


def test_a_thread_that_has_timed_out_is_recorded_as_running_until_it_ends() -> None:
    async def main() -> None:
        asked, go_on = threading.Event(), threading.Event()

        def deaf() -> str:
            current().wait_for_stop(DEADLINE_SECONDS)
            asked.set()
            go_on.wait(DEADLINE_SECONDS)
            return "late"

        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:
            operation = await work.start(deaf, timeout=0.01)
            await eventually(asked.is_set)
            assert not operation.done()
            assert [each.id for each in registry.list_operations(terminal=False)] == [operation.id]
            go_on.set()
            assert error_of(await operation) == "TimeoutError: timed out after 0.01 s"

    run(main())


# Executors ---------------------------------------------------------------------------------------


def die(_: int) -> None:
    os._exit(3)


def raise_local(_: int) -> None:
    class Local(LookupError):
        pass

    raise Local("only here")


def ask(_: int) -> None:
    current()


def give_a_lock(_: int) -> Any:
    return threading.Lock()


@pytest.fixture(scope="module")
def processes() -> Any:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        yield pool


def test_functions_run_in_other_processes(processes: ProcessPoolExecutor) -> None:
    assert content_of(outcome_of(double, 21, executor=processes)) == "42"
    error = error_of(outcome_of(raise_local, 1, executor=processes))
    assert error.splitlines()[0].endswith("Local: only here")
    assert "in raise_local" in error
    error = error_of(outcome_of(ask, 1, executor=processes))
    assert NoCurrentOperationError.__name__ in error
    assert "Error" in error_of(outcome_of(give_a_lock, 1, executor=processes))
    assert "local object" in error_of(outcome_of(lambda: 1, executor=processes))


def test_an_exception_of_another_process_is_tried_again_by_its_class(
    processes: ProcessPoolExecutor,
) -> None:
    async def main() -> None:
        async with (
            AsyncRegistry(store=MemoryStore()) as registry,
            Supervisor(registry, executor=processes) as work,
        ):
            again = Retry(attempts=3, on=(LookupError,))
            await (await work.start(raise_local, 1, name="again", retry=again))
            await (await work.start(double, name="once", retry=again))
            snapshots = {each.display_name: each for each in registry.list_operations()}
            latest = snapshots["again"].latest_progress
            assert latest is not None
            assert latest.message.startswith("attempt 2 of 3 failed: ")
            assert snapshots["once"].latest_progress is None

    run(main())


def test_a_worker_that_dies_ends_its_operation_as_failed() -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert "BrokenProcessPool" in error_of(outcome_of(die, 1, executor=pool))


def test_an_executor_that_is_shut_down_ends_its_operations_as_failed() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    assert "shutdown" in error_of(outcome_of(double, 1, executor=pool))


def test_threads_of_the_callers_know_their_operation() -> None:
    def report() -> str:
        current().progress("here")
        return threading.current_thread().name

    with ThreadPoolExecutor(1, "mine") as pool:
        assert content_of(outcome_of(report, executor=pool)) == "mine_0"
        assert pool.submit(double, 2).result() == 4


class Deceitful(ThreadPoolExecutor):
    """As Dask: cancelling says that it worked, and the code goes on."""

    def submit(self, *arguments: Any, **how: Any) -> Any:
        future = super().submit(*arguments, **how)
        future.cancel = lambda: pytest.fail("it was asked to cancel")  # type: ignore[method-assign]
        return future


def test_an_executor_is_never_asked_to_cancel() -> None:
    async def main() -> None:
        begun, go_on = threading.Event(), threading.Event()

        def deaf() -> str:
            begun.set()
            go_on.wait(DEADLINE_SECONDS)
            return "whole"

        with Deceitful(1) as pool:
            async with (
                AsyncRegistry(store=MemoryStore()) as registry,
                Supervisor(registry, executor=pool) as work,
            ):
                operation = await work.start(deaf)
                await eventually(begun.is_set)
                asking = asyncio.create_task(operation.cancel("enough"))
                await asyncio.sleep(0.01)
                assert not operation.done()
                go_on.set()
                assert (await asking).outcome == await operation  # type: ignore[union-attr]
                assert content_of(await operation) == "whole"

    run(main())


# Programs ----------------------------------------------------------------------------------------


def test_a_program_gives_its_output() -> None:
    assert content_of(outcome_of(["sh", "-c", "echo hello; echo ignored >&2"])) == "hello\n"
    assert content_of(outcome_of(Process(["pwd"], cwd="/"))) == "/\n"
    only = Process(["/bin/sh", "-c", "echo $A"], env={"A": "b"})
    assert content_of(outcome_of(only)) == "b\n"
    assert content_of(outcome_of(["cat"])) == ""
    assert content_of(outcome_of(["printf", "\\377"])) == "\ufffd"


def test_a_program_fails_with_its_status_and_its_errors() -> None:
    error = error_of(outcome_of(["sh", "-c", "echo why >&2; exit 3"]))
    assert error == "exit status 3\n\nwhy"
    assert error_of(outcome_of(["sh", "-c", "kill -9 $$"])) == "killed by SIGKILL"
    assert "FileNotFoundError" in error_of(outcome_of(["/no/such/program"]))


def test_the_output_of_a_program_is_limited() -> None:
    program = ["sh", "-c", "head -c 100000 /dev/zero"]
    assert "more than 1000 bytes" in error_of(outcome_of(program))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("how", ["cancel", "timeout", "exit"])
def test_a_program_ends_with_what_it_has_started(how: str, tmp_path: Path) -> None:
    async def main() -> None:
        noted = tmp_path / "pids"
        # The child ignores the polite request.
        child = f"trap '' TERM; echo $$ >> {noted}; sleep 1000"
        script = f'sh -c "{child}" & echo $$ >> {noted}; '
        script += f"while [ $(wc -l < {noted}) -lt 2 ]; do :; done; "
        script += "exit 0" if how == "exit" else "wait"
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:
            process = Process(["sh", "-c", script], grace_seconds=0.2)
            timeout = 2.0 if how == "timeout" else None
            operation: Operation = await work.start(process, timeout=timeout)
            await eventually(lambda: noted.exists() and noted.read_text().count("\n") == 2)
            if how == "cancel":
                await operation.cancel("enough")
            outcome = await operation
            pids = [int(line) for line in noted.read_text().split()]
            assert not any(alive(pid) for pid in pids)
            assert type(outcome) is {"cancel": Cancelled, "timeout": Failed, "exit": Completed}[how]

    run(main())


def test_what_has_left_the_group_does_not_hold_up_the_operation() -> None:
    leaving = "subprocess.Popen(['sleep', '60'], start_new_session=True)"
    script = f"import subprocess; print({leaving}.pid)"
    began = time.monotonic()
    content = content_of(outcome_of([sys.executable, "-c", script]))
    assert time.monotonic() - began < DEADLINE_SECONDS
    os.kill(int(content), signal.SIGKILL)

"""What a supervisor does with coroutines: outcomes, cancelling, queueing, leaving the block."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    Cancelled,
    Completed,
    Failed,
    InvalidTransitionError,
    InvalidValueError,
    MaxConcurrentExceededError,
    MemoryStore,
    OperationKind,
    OperationResult,
    OperationStatus,
    OperationTerminalOutcome,
    SessionId,
    Terminated,
)
from opslifecycle.work import (
    AlreadyFinished,
    NoCurrentOperationError,
    Retry,
    Supervisor,
    SupervisorClosedError,
    UnknownOperation,
    WorkCancelled,
    current,
)

from tests.support.audit import Audit, audit, run
from tests.support.waiting import eventually


async def give(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def sleep_for_ever() -> None:
    await asyncio.Event().wait()


def outcome_of(work: Any, *arguments: Any, **how: Any) -> OperationTerminalOutcome:
    """Return how one operation ends."""

    async def main() -> OperationTerminalOutcome:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry) as supervisor:
                audit(registry, supervisor)
                operation = await supervisor.start(work, *arguments, **how)
                outcome = await operation
            assert operation.done()
            return outcome

    return run(main())


def content_of(outcome: OperationTerminalOutcome) -> str:
    assert isinstance(outcome, Completed), outcome
    assert not outcome.result.is_error
    return outcome.result.content


def error_of(outcome: OperationTerminalOutcome) -> str:
    assert isinstance(outcome, Failed), outcome
    return outcome.error


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (None, ""),
        ("text", "text"),
        (12, "12"),
        ({"pages": [1, 2], "é": None}, '{"pages": [1, 2], "é": null}'),
        (SessionId("00000000-0000-7000-8000-000000000001"), "00000000-0000-7000-8000-000000000001"),
    ],
)
def test_a_result_is_text_or_json(value: Any, content: str) -> None:
    assert content_of(outcome_of(give, value)) == content


def test_work_can_return_a_whole_result() -> None:
    async def judge() -> OperationResult:
        return OperationResult(current().id, "no", True, 1, 77)

    outcome = outcome_of(judge)
    assert isinstance(outcome, Completed)
    assert (outcome.result.content, outcome.result.is_error) == ("no", True)
    assert outcome.result.tokens_used == 77


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (object(), "not serialisable as JSON"),
        (float("nan"), "not serialisable as JSON"),
        ({1, 2} and {"a": {object()}}, "not serialisable as JSON"),
        ("x" * 1_000_001, "1000001 characters, more than the 1000000"),
        ("\ud800", "cannot be stored"),
    ],
)
def test_a_result_that_cannot_be_stored_is_a_failure_with_the_reason(value: Any, why: str) -> None:
    assert why in error_of(outcome_of(give, value))


def test_a_result_that_contains_itself_is_a_failure() -> None:
    value: list[Any] = []
    value.append(value)
    # A finalizer of an earlier test's registry would fail at the end of the stack.
    gc.collect()
    assert "not serialisable" in error_of(outcome_of(give, value))


def test_an_exception_is_a_failure_with_type_message_and_a_short_traceback() -> None:
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise LookupError("no such page")

    async def fetch() -> None:
        try:
            deep(100)
        except LookupError as error:
            raise ValueError("bad url") from error

    error = error_of(outcome_of(fetch))
    assert error.startswith("ValueError: bad url\n")
    assert "LookupError: no such page" in error
    assert 'raise LookupError("no such page")' in error
    assert "opslifecycle/work/" not in error
    assert error.count("in deep") <= 8


def test_an_exception_that_cannot_be_printed_is_a_failure_all_the_same() -> None:
    class Awkward(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    async def fail() -> None:
        raise Awkward

    async def fail_with_half_a_character() -> None:
        raise ValueError("\udcff" * 20_000)

    assert "Awkward" in error_of(outcome_of(fail))
    error = error_of(outcome_of(fail_with_half_a_character))
    assert error.startswith("ValueError: \\udcff")
    assert len(error) < 9_000


def test_wrong_arguments_are_a_failure() -> None:
    assert "TypeError" in error_of(outcome_of(give))


def test_work_that_raises_cancelled_error_is_cancelled() -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    async def cancel_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    for work in (give_up, cancel_itself):
        assert outcome_of(work) == Cancelled("the work raised CancelledError")


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_exit_is_a_failure_and_reaches_the_caller_of_the_loop(kind: type[BaseException]) -> None:
    async def leave() -> None:
        raise kind("enough")

    registry = AsyncRegistry(store=MemoryStore())

    async def main() -> None:
        async with Supervisor(registry) as supervisor:
            await supervisor.start(leave, name="leaving")
            await supervisor.start(sleep_for_ever, name="other")

    with pytest.raises(kind, match="enough"):
        run(main())
    other, leaving = sorted(registry.list_operations(), key=lambda each: each.display_name)[::-1]
    assert isinstance(leaving.terminal_outcome, Failed)
    assert leaving.terminal_outcome.error.startswith(f"{kind.__name__}: enough")
    assert isinstance(other.terminal_outcome, Cancelled)


def test_a_timeout_is_a_failure() -> None:
    assert outcome_of(sleep_for_ever, timeout=0.01) == Failed(
        "TimeoutError: timed out after 0.01 s"
    )


def test_work_that_returns_after_its_timeout_has_timed_out_nevertheless() -> None:
    async def stubborn() -> str:
        try:
            await sleep_for_ever()
        except asyncio.CancelledError:
            pass
        return "late"

    assert "timed out" in error_of(outcome_of(stubborn, timeout=0.01))


def test_a_timeout_of_the_works_own_is_an_exception_like_any_other() -> None:
    async def own() -> None:
        async with asyncio.timeout(0):
            await sleep_for_ever()

    assert error_of(outcome_of(own)).startswith("TimeoutError")


def cancelling(work: Any, **how: Any) -> tuple[Any, OperationTerminalOutcome]:
    """Return the answer to cancelling work that has begun, and its outcome."""

    async def main() -> tuple[Any, OperationTerminalOutcome]:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work_:
            audit(registry, work_)
            operation = await work_.start(work, **how)
            await eventually(lambda: registry.list_operations(status=OperationStatus.RUNNING))
            await asyncio.sleep(0.01)
            answer = await operation.cancel("enough")
            return answer, await operation

    return run(main())


def test_cancelling_ends_work_and_record_together() -> None:
    answer, outcome = cancelling(sleep_for_ever)
    assert outcome == Cancelled("enough")
    assert answer == WorkCancelled(Cancelled("enough"))


@pytest.mark.parametrize("timeout", [None, 0.01])
def test_cleaning_up_is_not_interrupted_by_later_requests(timeout: float | None) -> None:
    async def main() -> None:
        cleaning, clean = asyncio.Event(), asyncio.Event()

        async def careful() -> None:
            try:
                await sleep_for_ever()
            finally:
                cleaning.set()
                await asyncio.sleep(0.05)
                clean.set()

        async with AsyncRegistry(store=MemoryStore()) as registry:
            with pytest.raises(ZeroDivisionError):
                async with Supervisor(registry) as work:
                    operation = await work.start(careful, timeout=timeout)
                    await asyncio.sleep(0.005)
                    if timeout is None:
                        requests = [asyncio.create_task(operation.cancel()) for _ in range(2)]
                    await cleaning.wait()
                    if timeout is not None:
                        requests = [asyncio.create_task(operation.cancel()) for _ in range(2)]
                        await asyncio.sleep(0)
                    raise ZeroDivisionError
            assert clean.is_set()
            outcome = await operation
            assert isinstance(outcome, Cancelled)
            assert [await each for each in requests] == [WorkCancelled(outcome)] * 2

    run(main())


def test_cancelling_the_block_again_interrupts_work_that_has_ignored_it() -> None:
    async def main() -> None:
        ignored = asyncio.Event()

        async def deaf() -> None:
            try:
                await sleep_for_ever()
            except asyncio.CancelledError:
                ignored.set()
            await sleep_for_ever()

        async with AsyncRegistry(store=MemoryStore()) as registry:

            async def block() -> None:
                async with Supervisor(registry, on_exit="cancel") as work:
                    await work.start(deaf)
                    await asyncio.sleep(0.01)

            task = asyncio.create_task(block())
            await ignored.wait()
            task.cancel()
            async with asyncio.timeout(30):
                await asyncio.wait([task])
            assert task.cancelled()
            (snapshot,) = registry.list_operations()
            assert isinstance(snapshot.terminal_outcome, Cancelled)

    run(main())


def test_work_that_returns_when_it_is_cancelled_has_completed() -> None:
    async def saves_what_it_has() -> str:
        try:
            await sleep_for_ever()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
        return "half"

    answer, outcome = cancelling(saves_what_it_has)
    assert content_of(outcome) == "half"
    assert answer == AlreadyFinished(outcome)


def test_work_that_raises_when_it_is_cancelled_has_failed() -> None:
    async def breaks() -> None:
        try:
            await sleep_for_ever()
        finally:
            raise OSError("cannot clean up")

    answer, outcome = cancelling(breaks)
    assert error_of(outcome).startswith("OSError: cannot clean up")
    assert answer == AlreadyFinished(outcome)


def test_cancelling_goes_before_a_timeout() -> None:
    async def slow_to_stop() -> None:
        try:
            await sleep_for_ever()
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            raise

    _answer, outcome = cancelling(slow_to_stop, timeout=0.03)
    assert outcome == Cancelled("enough")


def test_cancelling_ended_and_unknown_operations() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:
            operation = await work.start(give, 1)
            outcome = await operation
            assert await operation.cancel() == AlreadyFinished(outcome)
            assert await work.cancel(operation.id) == AlreadyFinished(outcome)
            await registry.collect_completed()
            # The handle knows how it ended; the registry no longer does.
            assert await operation.cancel() == AlreadyFinished(outcome)
            assert await work.cancel(operation.id) == UnknownOperation()

    run(main())


def test_an_operation_that_cancels_itself() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:

            async def oneself() -> None:
                await work.cancel(current().id, "my own wish")

            assert await (await work.start(oneself)) == Cancelled("my own wish")

    run(main())


def test_cancelling_the_caller_of_cancel_keeps_the_request() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:
            operation = await work.start(sleep_for_ever)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(operation.cancel("enough"), 0)
            request = asyncio.create_task(operation.cancel("enough"))
            await asyncio.sleep(0)
            request.cancel()
            assert await operation == Cancelled("enough")

    run(main())


def test_what_ends_in_the_registry_ends_in_fact() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:
            watch = audit(registry, work)

            async def observed() -> None:
                with watch.inside():
                    await sleep_for_ever()

            operations = [await work.start(observed) for _ in range(3)]
            await eventually(lambda: len(watch.running) == 3)
            watch.ended_outside = set(watch.running)
            await registry.cancel_operation(operations[0].id, "by hand")
            await registry.rollback_unreturned_operation(operations[1].id)
            await registry.terminate_owner("all of them")
            await eventually(lambda: not watch.running)
            assert await operations[0] == Cancelled("by hand")
            assert await operations[2] == Terminated("all of them")
            assert await operations[1].cancel() == UnknownOperation()
            later = await work.start(give, "later")
            assert content_of(await later) == "later"

    run(main())


def test_a_registry_that_closes_ends_the_work() -> None:
    from opslifecycle import ChannelClosedError
    from opslifecycle.work import WorkNotRecordedError

    async def main() -> None:
        registry = AsyncRegistry(store=MemoryStore())
        running: list[bool] = []

        async def observed() -> None:
            running.append(True)
            try:
                await sleep_for_ever()
            finally:
                running.clear()

        with pytest.raises(WorkNotRecordedError, match="the registry is closed") as caught:
            async with Supervisor(registry) as work:
                operation = await work.start(observed)
                await eventually(lambda: running)
                await registry.close()
                with pytest.raises(ChannelClosedError):
                    await operation
        assert caught.value.ids == (str(operation.id),)
        assert not running

    run(main())


def test_no_more_than_max_running_run_at_once_and_all_run() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry, max_running=3) as work:
                watch = audit(registry, work)
                most = 0
                gate = asyncio.Event()

                async def observed() -> None:
                    nonlocal most
                    with watch.inside():
                        await gate.wait()
                        most = max(most, len(watch.running))

                operations = [await work.start(observed) for _ in range(20)]
                statuses = [each.status for each in registry.list_operations(terminal=False)]
                assert statuses.count(OperationStatus.PROVISIONING) >= 17
                gate.set()
                result = await work.gather(operations)
            assert most == 3
            assert [id for id, _ in result.outcomes] == [each.id for each in operations]
            assert result.satisfied.operation_ids == tuple(each.id for each in operations)
            watch.check_end()

    run(main())


def test_a_queued_operation_is_cancelled_without_running() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry, max_running=1) as work:
                watch = audit(registry, work)

                async def observed() -> None:
                    with watch.inside():
                        await sleep_for_ever()

                first, second = await work.start(observed), await work.start(observed)
                await eventually(lambda: watch.running)
                assert await second.cancel("no") == WorkCancelled(Cancelled("no"))
                assert await first.cancel() == WorkCancelled(Cancelled(None))
                assert watch.begun == [first.id]

    run(main())


def test_priorities_and_turns_of_owners() -> None:
    async def main() -> None:
        order: list[str] = []

        async def note(name: str) -> None:
            order.append(name)

        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry, max_running=1) as work:
                gate = asyncio.Event()
                await work.start(gate.wait)
                ann, bob = SessionId.new(), SessionId.new()
                for name in ("a1", "a2", "a3"):
                    await work.start(note, name, owner=ann)
                for name in ("b1", "b2"):
                    await work.start(note, name, owner=bob)
                await work.start(note, "urgent", priority=1, owner=ann)
                await work.start(note, "idle", priority=-1, owner=bob)
                gate.set()
        assert order == ["urgent", "a1", "b1", "a2", "b2", "a3", "idle"]

    run(main())


def test_the_limit_of_the_registry_refuses() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore(), max_concurrent=1) as registry:
            async with Supervisor(registry, on_exit="cancel") as work:
                await work.start(sleep_for_ever)
                with pytest.raises(MaxConcurrentExceededError):
                    await work.start(give, 1)

    run(main())


def leaving(on_exit: Any, error: type[BaseException] | None = None) -> OperationTerminalOutcome:
    async def main() -> OperationTerminalOutcome:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            supervisor = Supervisor(registry, on_exit=on_exit, max_running=1)
            watch = Audit(registry, supervisor)
            try:
                async with supervisor as work:
                    watch = audit(registry, supervisor)

                    async def observed() -> str:
                        with watch.inside():
                            await asyncio.sleep(0.02)
                            return "whole"

                    operation = await work.start(observed)
                    queued = await work.start(observed)
                    await asyncio.sleep(0)
                    if error is not None:
                        raise error
            except (ValueError, asyncio.CancelledError) as raised:
                assert type(raised) is error
            watch.check_end()
            with pytest.raises(SupervisorClosedError):
                await supervisor.start(give, 1)
            assert type(await queued) is type(await operation)
            return await operation

    return run(main())


def test_a_block_that_nothing_has_used_is_replaced() -> None:
    async def main() -> None:
        async with AsyncRegistry() as registry:
            supervisor = Supervisor(registry)
            # An interrupt that comes as this returns keeps the statement's block from beginning.
            await supervisor.__aenter__()
            async with supervisor as work:
                assert isinstance(await (await work.start(give, 1)), Completed)
                with pytest.raises(SupervisorClosedError):
                    await supervisor.__aenter__()

    run(main())


def test_leaving_the_block_waits_or_cancels_as_asked() -> None:
    assert content_of(leaving("wait")) == "whole"
    assert leaving("cancel") == Cancelled("the supervisor's block has ended")
    for error in (ValueError, asyncio.CancelledError):
        assert leaving("wait", error) == Cancelled("the supervisor's block has ended")


def test_cancelling_a_block_that_waits_cancels_the_work() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            operations = []

            async def block() -> None:
                async with Supervisor(registry) as work:
                    operations.append(await work.start(sleep_for_ever))

            with pytest.raises(TimeoutError):
                await asyncio.wait_for(block(), 0.05)
            assert await operations[0] == Cancelled("the supervisor was cancelled")

    run(main())


def test_work_that_starts_work_while_the_block_waits() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry) as work:

                async def parent() -> str:
                    child = await work.start(give, "from below")
                    return content_of(await child)

                operation = await work.start(parent)
            assert content_of(await operation) == "from below"

    run(main())


def test_a_task_is_not_collected() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:

            async def fragile() -> str:
                # Nothing but its own frame refers to the future that it waits for.
                future = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_later(0.02, future.set_result, None)
                del future
                await asyncio.sleep(0.03)
                return "alive"

            operation = await work.start(fragile)
            for _ in range(5):
                gc.collect()
                await asyncio.sleep(0.005)
            assert content_of(await operation) == "alive"

    run(main())


def test_work_runs_in_the_context_of_its_caller() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    async def read() -> str:
        return variable.get()

    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry, max_running=1) as work:
                operations = []
                for value in ("one", "two"):
                    variable.set(value)
                    operations.append(await work.start(read))
                assert [content_of(await each) for each in operations] == ["one", "two"]

    run(main())


def test_names_and_labels() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry, source="agent") as work:
                owner = SessionId.new()
                slot = OperationKind.MOB_MEMBER_CHILD
                await work.start(functools.partial(give, 1))
                await work.start(give, 1, name="named", owner=owner, kind=slot)
            named, plain = sorted(registry.list_operations(), key=lambda each: each.kind.value)[
                ::-1
            ]
            assert (named.display_name, named.owner_session_id) == ("named", owner)
            assert (plain.display_name, plain.source_label) == ("give", "agent")

    run(main())


def test_a_capacity_slot_can_be_work() -> None:
    slot = OperationKind.BACKGROUND_TOOL_CAPACITY_SLOT
    assert content_of(outcome_of(give, "gone", kind=slot)) == "gone"


def test_mistakes_of_the_caller_are_errors() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            for wrong in ({"max_running": 0}, {"max_running": True}, {"on_exit": "perhaps"}):
                with pytest.raises(InvalidValueError):
                    Supervisor(registry, **wrong)
            with pytest.raises(InvalidValueError, match="expected a registry whose machine"):
                Supervisor("registry")  # type: ignore[arg-type]
            with pytest.raises(SupervisorClosedError):
                await Supervisor(registry).start(give, 1)
            async with Supervisor(registry) as work:
                with pytest.raises(InvalidValueError, match="write start\\(fetch, url\\)"):
                    await work.start(give(1))  # type: ignore[arg-type]
                for argument in (None, 3, [], [1], ["true", 1], "true"):
                    with pytest.raises(InvalidValueError):
                        await work.start(argument)  # type: ignore[arg-type]
                with pytest.raises(InvalidValueError, match="list"):
                    await work.start(["true"], "more")
                for timeout in (-1, "1", float("nan"), True):
                    with pytest.raises(InvalidValueError, match="timeout"):
                        await work.start(give, 1, timeout=timeout)  # type: ignore[arg-type]
                with pytest.raises(InvalidValueError, match="key"):
                    await work.start(give, 1, key=7)  # type: ignore[arg-type]
                with pytest.raises(InvalidValueError, match="'requeue' needs a key"):
                    await work.start(give, 1, on_interrupt="requeue")
                with pytest.raises(InvalidValueError, match="expected 'return' or 'requeue'"):
                    await work.start(give, 1, key="k", on_interrupt="again")  # type: ignore[arg-type]
                for priority in ("high", 1.5, None, True):
                    with pytest.raises(InvalidValueError, match="priority"):
                        await work.start(give, 1, priority=priority)  # type: ignore[arg-type]
                with pytest.raises(InvalidValueError, match="retry"):
                    await work.start(give, 1, retry=3)  # type: ignore[arg-type]
            assert registry.list_operations() == []

    with pytest.raises(NoCurrentOperationError):
        current()
    for attempts in (0, 1.5, True):
        with pytest.raises(InvalidValueError):
            Retry(attempts=attempts)  # type: ignore[arg-type]
    for on in ((), (BaseException,), ValueError, (3,)):
        if on != ():
            with pytest.raises(InvalidValueError):
                Retry(on=on)  # type: ignore[arg-type]
    run(main())


def test_a_stale_handle_of_the_registry_is_no_danger() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:
            operation = await work.start(give, 1)
            await operation
            with pytest.raises(InvalidTransitionError):
                await registry.cancel_operation(operation.id)

    run(main())

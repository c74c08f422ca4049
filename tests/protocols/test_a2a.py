"""The stores for A2A: what the SDK asks of its own, that two writers never both win, replay."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("a2a", reason="SKIPPED: the extra `a2a` is not installed")

from a2a.auth.user import User
from a2a.server.cluster import (
    ConcurrentTaskModificationError,
    TaskVersion,
    VersionedEvent,
)
from a2a.server.context import ServerCallContext
from a2a.types.a2a_pb2 import (
    ListTasksRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from a2a.utils.errors import InvalidParamsError
from opslifecycle import MemoryStore, RegistryClosedError, SqliteStore, Store
from opslifecycle.cluster import Cluster
from opslifecycle.protocols.a2a.server import (
    RegistryEventStream,
    RegistryPushConfigStore,
    RegistryTaskStore,
    VersionedRegistryTaskStore,
    fail_interrupted,
)
from opslifecycle.protocols.a2a.wire import task_id_of

from opslifecycle.protocols.a2a.configs import AsyncA2aPushConfigRegistry
from opslifecycle.protocols.a2a.tasks import AsyncA2aTaskRegistry
from tests.support.postgres.databases import Database
from tests.support.waiting import eventually

DEADLINE_SECONDS = 20
MISSING = TaskVersion.MISSING
SUBMITTED = TaskState.TASK_STATE_SUBMITTED
WORKING = TaskState.TASK_STATE_WORKING
COMPLETED = TaskState.TASK_STATE_COMPLETED
CANCELED = TaskState.TASK_STATE_CANCELED


class Named(User):
    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def user_name(self) -> str:
        return self._name


ANN = ServerCallContext(user=Named("ann"))
BOB = ServerCallContext(user=Named("bob"))


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, DEADLINE_SECONDS))


def task(name: str, state: int = SUBMITTED, day: int | None = None, context: str = "c") -> Task:
    made = Task(id=name, context_id=context, status=TaskStatus(state=state))  # type: ignore[arg-type]
    if day is not None:
        made.status.timestamp.FromDatetime(datetime(2026, 1, day, tzinfo=UTC))
    return made


def said(name: str, state: int) -> TaskStatusUpdateEvent:
    status = TaskStatus(state=state)  # type: ignore[arg-type]
    return TaskStatusUpdateEvent(task_id=name, context_id="c", status=status)


async def opened(store: Store | None = None, **settings: int) -> AsyncA2aTaskRegistry:
    return await AsyncA2aTaskRegistry.open(store=store or MemoryStore(), **settings)


class Agent:
    """Saves the states of one task, one after another."""

    def __init__(self, store: VersionedRegistryTaskStore, name: str) -> None:
        self._store, self._name = store, name
        self.version = MISSING

    async def reach(self, *states: int) -> None:
        for state in states:
            event = said(self._name, state)
            self.version = await self._store.save(
                task(self._name, state), event=event, prev=None, prev_version=self.version,
                context=ANN,
            )  # fmt: skip


def state_of(versioned: VersionedEvent) -> int:
    event = versioned.event
    assert isinstance(event, TaskStatusUpdateEvent | Task)
    return event.status.state


# Tasks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", TaskState.values()[1:])
def test_a_task_is_found_as_it_was_saved_also_by_the_next_process(
    tmp_path: Path, state: int
) -> None:
    async def test() -> None:
        saved = task("t", state, day=3)
        saved.metadata.update({"nested": {"list": [1, "two"]}})
        async with await opened(SqliteStore(tmp_path / "tasks.db")) as registry:
            await RegistryTaskStore(registry).save(saved, ANN)
            assert await RegistryTaskStore(registry).get("t", ANN) == saved
        async with await opened(SqliteStore(tmp_path / "tasks.db")) as registry:
            store = RegistryTaskStore(registry)
            assert await store.get("t", ANN) == saved
            await store.delete("t", ANN)
            assert await store.get("t", ANN) is None

    run(test())


def filled(message: Any, depth: int = 4) -> Any:
    """Set every field of a message, and of what it consists of."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None:
            texts = field.type == field.TYPE_STRING
            value = f"a {field.name}" if texts else b"x" if field.type == field.TYPE_BYTES else 1
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
        elif field.message_type.full_name == "google.protobuf.Struct":
            getattr(message, field.name).update({"nested": {"list": [1, "two"]}})
        elif field.message_type.full_name == "google.protobuf.Timestamp":
            getattr(message, field.name).FromDatetime(datetime(2026, 1, 3, tzinfo=UTC))
        elif depth and field.is_repeated and not field.message_type.GetOptions().map_entry:
            filled(getattr(message, field.name).add(), depth - 1)
        elif depth and not field.is_repeated:
            filled(getattr(message, field.name), depth - 1)
    return message


def test_every_field_comes_back_and_has_a_row(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/howto/a2a.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `Task")]
    for kind in (Task, TaskPushNotificationConfig):
        names = {field.name for field in kind.DESCRIPTOR.fields}
        own = [row for row in rows if f"`{kind.__name__}." in row]
        assert names == set(re.findall(r"\.(\w+)`", " ".join(own)))

    async def test() -> None:
        saved = filled(Task())
        config = filled(TaskPushNotificationConfig())
        async with (
            await opened(SqliteStore(tmp_path / "tasks.db")) as registry,
            await AsyncA2aPushConfigRegistry.open(store=MemoryStore()) as configs,
        ):
            await RegistryTaskStore(registry).save(saved, ANN)
            await RegistryPushConfigStore(configs).set_info(config.task_id, config, ANN)
            assert await RegistryPushConfigStore(configs).get_info(config.task_id, ANN) == [config]
        async with await opened(SqliteStore(tmp_path / "tasks.db")) as registry:
            assert await RegistryTaskStore(registry).get(saved.id, ANN) == saved

    run(test())


def test_a_task_without_a_state_is_refused() -> None:
    async def test() -> None:
        async with await opened() as registry:
            with pytest.raises(InvalidParamsError, match="cannot have the state 0"):
                await RegistryTaskStore(registry).save(Task(id="t"), ANN)

    run(test())


def test_what_is_returned_can_be_changed_without_changing_the_store() -> None:
    async def test() -> None:
        async with await opened() as registry:
            store, given = RegistryTaskStore(registry), task("t")
            await store.save(given, ANN)
            given.context_id = "other"
            first = await store.get("t", ANN)
            assert first is not None
            first.context_id = "another"
            assert await store.get("t", ANN) == task("t")

    run(test())


def test_another_owner_s_task_is_as_unknown_as_none() -> None:
    async def test() -> None:
        async with await opened() as registry:
            store, versioned = RegistryTaskStore(registry), VersionedRegistryTaskStore(registry)
            await store.save(task("t"), ANN)
            assert await store.get("t", BOB) is None
            assert await versioned.get("t", BOB) is None
            assert (await store.list(ListTasksRequest(), BOB)).total_size == 0
            await store.delete("t", BOB)
            for state in (WORKING, CANCELED):
                with pytest.raises(ConcurrentTaskModificationError):
                    await store.save(task("t", state), BOB)
                with pytest.raises(ConcurrentTaskModificationError):
                    await versioned.save(
                        task("t", state), event=None, prev=None, prev_version=TaskVersion(1),
                        context=BOB,
                    )  # fmt: skip
            assert await store.get("t", ANN) == task("t")

    run(test())


def test_the_end_of_a_task_is_final() -> None:
    async def test() -> None:
        async with await opened() as registry:
            store = RegistryTaskStore(registry)
            await store.save(task("t", CANCELED), ANN)
            await store.save(task("t", CANCELED), ANN)
            for state in (WORKING, COMPLETED):
                with pytest.raises(ConcurrentTaskModificationError):
                    await store.save(task("t", state), ANN)
            assert await store.get("t", ANN) == task("t", CANCELED)

    run(test())


# Versions ------------------------------------------------------------------------------------


def test_of_two_writers_of_one_version_one_is_refused() -> None:
    async def test() -> None:
        async with await opened() as registry:
            store = VersionedRegistryTaskStore(registry)

            async def write(state: int, version: TaskVersion) -> TaskVersion:
                return await store.save(
                    task("t", state), event=None, prev=None, prev_version=version, context=ANN
                )

            for version in (MISSING, TaskVersion(2)):
                both = await asyncio.gather(
                    write(WORKING, version), write(WORKING, version), return_exceptions=True
                )
                assert sum(isinstance(each, ConcurrentTaskModificationError) for each in both) == 1
            stored = await store.get("t", ANN)
            assert stored is not None
            assert stored.version == TaskVersion(3)
            assert stored.version.is_after(TaskVersion(2))

    run(test())


def test_a_cancellation_needs_no_version_but_a_task_that_goes_on() -> None:
    async def test() -> None:
        async with await opened() as registry:
            store = VersionedRegistryTaskStore(registry)

            async def cancel() -> TaskVersion:
                return await store.save(
                    task("t", CANCELED), event=None, prev=None, prev_version=MISSING, context=ANN
                )

            with pytest.raises(ConcurrentTaskModificationError):
                await cancel()
            agent = Agent(store, "t")
            await agent.reach(SUBMITTED, WORKING)
            assert await cancel() == TaskVersion(3)
            with pytest.raises(ConcurrentTaskModificationError):
                await cancel()
            with pytest.raises(ConcurrentTaskModificationError):
                await agent.reach(COMPLETED)

    run(test())


def test_a_version_of_another_store_is_refused() -> None:
    async def test() -> None:
        async with await opened() as registry:
            agent = Agent(VersionedRegistryTaskStore(registry), "t")
            agent.version = TaskVersion("2026")
            with pytest.raises(TypeError, match="a version of this store"):
                await agent.reach(WORKING)

    run(test())


# Lists ---------------------------------------------------------------------------------------


@asynccontextmanager
async def five_tasks() -> AsyncIterator[RegistryTaskStore]:
    async with await opened() as registry:
        store = RegistryTaskStore(registry)
        for each in (
            task("t0", SUBMITTED, day=1, context="c0"),
            task("t1", WORKING, day=1, context="c1"),
            task("t2", SUBMITTED, day=2, context="c0"),
            task("t3", WORKING, context="c1"),
            task("t4", COMPLETED, context="c0"),
        ):
            await store.save(each, ANN)
        yield store


AFTER = ListTasksRequest()
AFTER.status_timestamp_after.FromDatetime(datetime(2026, 1, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (ListTasksRequest(), ["t2", "t1", "t0", "t4", "t3"]),
        (ListTasksRequest(context_id="none"), []),
        (ListTasksRequest(context_id="c1"), ["t1", "t3"]),
        (ListTasksRequest(status=WORKING), ["t1", "t3"]),
        (ListTasksRequest(context_id="c0", status=SUBMITTED), ["t2", "t0"]),
        (AFTER, ["t2"]),
    ],
)
def test_tasks_are_listed_by_the_time_of_their_change(
    request_: ListTasksRequest, names: list[str]
) -> None:
    async def test() -> None:
        async with five_tasks() as store:
            page = await store.list(request_, ANN)
            assert [each.id for each in page.tasks] == names
            assert (page.total_size, page.page_size) == (len(names), 50)
            assert page.next_page_token == ""

    run(test())


def test_pages_follow_each_other_while_tasks_are_removed() -> None:
    async def test() -> None:
        async with five_tasks() as store:
            names, token = [], ""
            while True:
                request = ListTasksRequest(page_size=2, page_token=token)
                page = await store.list(request, ANN)
                names += [each.id for each in page.tasks]
                token = page.next_page_token
                if not token:
                    break
                await store.delete(names[-1], ANN)
            assert names == ["t2", "t1", "t0", "t4", "t3"]

    run(test())


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ListTasksRequest(page_size=101), "maximum page size is 100"),
        (ListTasksRequest(page_token="invalid"), "not a valid base64"),
        (ListTasksRequest(page_token="dGFzay0xMDA="), "Invalid page token"),
    ],
)
def test_a_wrong_page_is_an_error_of_the_client(request_: ListTasksRequest, message: str) -> None:
    async def test() -> None:
        async with five_tasks() as store:
            with pytest.raises(InvalidParamsError, match=message):
                await store.list(request_, ANN)

    run(test())


# Events --------------------------------------------------------------------------------------


async def heard(stream: RegistryEventStream, after: TaskVersion, name: str = "t") -> list[int]:
    return [state_of(each) async for each in stream.subscribe(name, after=after)]


@pytest.mark.parametrize(
    ("after", "states"),
    [(0, [SUBMITTED, WORKING, COMPLETED]), (1, [WORKING, COMPLETED]), (2, [COMPLETED]), (3, [])],
)
def test_a_subscriber_resumes_after_a_version_also_in_the_next_process(
    tmp_path: Path, after: int, states: list[int]
) -> None:
    async def test() -> None:
        path = tmp_path / "tasks.db"
        async with await opened(SqliteStore(path)) as registry:
            store = VersionedRegistryTaskStore(registry)
            async with RegistryEventStream(registry) as stream:
                agent = Agent(store, "t")
                await agent.reach(SUBMITTED)
                listening = asyncio.create_task(heard(stream, TaskVersion(after)))
                await asyncio.sleep(0)
                await Agent(store, "other").reach(SUBMITTED, WORKING, COMPLETED)
                await agent.reach(WORKING, COMPLETED)
                assert await listening == states
        registry = await opened(SqliteStore(path))
        async with registry, RegistryEventStream(registry) as stream:
            assert await heard(stream, TaskVersion(after)) == states

    run(test())


def test_a_subscription_ends_when_reading_the_feed_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: RegistryEventStream) -> set[Any]:
        monkeypatch.undo()
        raise MemoryError

    async def test() -> None:
        registry = await opened()
        async with registry, RegistryEventStream(registry) as stream:
            agent = Agent(VersionedRegistryTaskStore(registry), "t")
            await agent.reach(SUBMITTED)
            listening = asyncio.create_task(heard(stream, MISSING))
            await asyncio.sleep(0)
            await Agent(VersionedRegistryTaskStore(registry), "other").reach(SUBMITTED)
            await asyncio.sleep(0.01)
            assert not listening.done()
            monkeypatch.setattr(RegistryEventStream, "_catch_up", fail)
            await Agent(VersionedRegistryTaskStore(registry), "third").reach(SUBMITTED)
            with pytest.raises(RegistryClosedError):
                await listening

    run(test())


def test_a_task_stands_for_events_that_were_evicted() -> None:
    async def test() -> None:
        registry = await opened(max_events=1)
        async with registry, RegistryEventStream(registry) as stream:
            agent = Agent(VersionedRegistryTaskStore(registry), "t")
            await agent.reach(SUBMITTED, WORKING, WORKING)
            found = [each async for each in _first(stream, MISSING, 1)]
            assert found == [VersionedEvent(task("t", WORKING), TaskVersion(3))]
            events = [each async for each in _first(stream, TaskVersion(2), 1)]
            assert events == [VersionedEvent(said("t", WORKING), TaskVersion(3))]

    run(test())


async def _first(
    stream: RegistryEventStream, after: TaskVersion, count: int
) -> AsyncIterator[VersionedEvent]:
    subscription = stream.subscribe("t", after=after)
    for _ in range(count):
        yield await anext(subscription)
    await subscription.aclose()


async def removed(registry: AsyncA2aTaskRegistry) -> None:
    await RegistryTaskStore(registry).delete("t", ANN)


async def closed(registry: AsyncA2aTaskRegistry) -> None:
    await registry.close()


@pytest.mark.parametrize(("event", "error"), [(removed, None), (closed, RegistryClosedError)])
def test_a_subscription_ends_with_its_task_and_with_the_registry(
    event: Callable[[AsyncA2aTaskRegistry], Coroutine[Any, Any, None]],
    error: type[Exception] | None,
) -> None:
    async def test() -> None:
        registry = await opened()
        async with RegistryEventStream(registry) as stream:
            await Agent(VersionedRegistryTaskStore(registry), "t").reach(SUBMITTED, WORKING)
            listening = asyncio.create_task(heard(stream, TaskVersion(2)))
            await eventually(lambda: bool(stream._followers))
            await event(registry)
            if error is None:
                assert await listening == []
            else:
                with pytest.raises(error):
                    await listening
        await registry.close()

    run(test())


def test_a_task_of_a_name_that_was_removed_begins_anew() -> None:
    async def test() -> None:
        async with await opened() as registry, RegistryEventStream(registry) as stream:
            store = VersionedRegistryTaskStore(registry)
            await Agent(store, "t").reach(SUBMITTED, WORKING, WORKING)
            await store.delete("t", ANN)
            await Agent(store, "t").reach(SUBMITTED, COMPLETED)
            assert await heard(stream, MISSING) == [SUBMITTED, COMPLETED]

    run(test())


def test_what_a_killed_server_worked_on_is_failed_with_an_event() -> None:
    async def test() -> None:
        async with await opened() as registry, RegistryEventStream(registry) as stream:
            store = VersionedRegistryTaskStore(registry)
            await Agent(store, "t").reach(SUBMITTED, WORKING)
            await Agent(store, "asked").reach(TaskState.TASK_STATE_INPUT_REQUIRED)
            await Agent(store, "done").reach(COMPLETED)
            assert await fail_interrupted(registry, "gone") == ["t"]
            assert await heard(stream, TaskVersion(2)) == [TaskState.TASK_STATE_FAILED]
            assert await fail_interrupted(registry) == []

    run(test())


async def hold(stream: RegistryEventStream) -> None:
    """Have the stream's own reader come to run after all subscribers."""
    assert stream._reader is not None
    stream._reader.cancel()
    await asyncio.wait([stream._reader])
    stream._reader = asyncio.create_task(asyncio.sleep(2 * DEADLINE_SECONDS))


def test_what_one_subscriber_reads_wakes_the_others() -> None:
    async def test() -> None:
        async with await opened() as registry, RegistryEventStream(registry) as stream:
            await hold(stream)
            store = VersionedRegistryTaskStore(registry)
            agent = Agent(store, "t")
            await agent.reach(WORKING)
            await Agent(store, "ended").reach(COMPLETED)
            listening = [asyncio.create_task(heard(stream, agent.version)) for _ in range(2)]
            await eventually(lambda: len(stream._followers.get(task_id_of("t"), ())) == 2)
            await agent.reach(COMPLETED)
            assert await heard(stream, MISSING, "ended") == [COMPLETED]
            for each in listening:
                assert await each == [COMPLETED]

    run(test())


def test_a_subscriber_ends_if_a_task_ends_between_its_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        async with await opened() as registry, RegistryEventStream(registry) as stream:
            await hold(stream)
            agent = Agent(VersionedRegistryTaskStore(registry), "t")
            await agent.reach(WORKING)
            # The subscriber reads the task before the commit that ends it, and the feed after it.
            now, before = registry.snapshot, [registry.snapshot(task_id_of("t"))]
            monkeypatch.setattr(
                AsyncA2aTaskRegistry,
                "snapshot",
                lambda _, id: before.pop() if before else now(id),
            )
            await agent.reach(COMPLETED)
            assert before
            assert await heard(stream, MISSING) == [WORKING, COMPLETED]

    run(test())


def test_a_subscriber_on_another_host_hears_what_either_host_saves(postgres: Database) -> None:
    def cluster() -> Cluster[AsyncA2aTaskRegistry]:
        return Cluster(postgres.dsn, AsyncA2aTaskRegistry, schema=postgres.schema)

    async def test() -> None:
        async with cluster() as one, cluster() as other:
            owner, handle = await one.open("tasks"), await other.open("tasks")
            async with RegistryEventStream(owner) as here, RegistryEventStream(handle) as there:
                agent = Agent(VersionedRegistryTaskStore(handle), "t")
                await agent.reach(WORKING)
                listening = [asyncio.create_task(heard(each, MISSING)) for each in (here, there)]
                moved = Agent(VersionedRegistryTaskStore(owner), "t")
                moved.version = agent.version
                await moved.reach(WORKING, COMPLETED)
                for each in listening:
                    assert await each == [WORKING, WORKING, COMPLETED]
                with pytest.raises(ConcurrentTaskModificationError):
                    await agent.reach(COMPLETED)

    run(test())


# Push notifications --------------------------------------------------------------------------


def test_configurations_are_stored_by_owner_task_and_name(tmp_path: Path) -> None:
    def config(name: str, url: str) -> TaskPushNotificationConfig:
        return TaskPushNotificationConfig(task_id="t", id=name, url=url)

    async def test() -> None:
        path = tmp_path / "configs.db"
        async with await AsyncA2aPushConfigRegistry.open(store=SqliteStore(path)) as registry:
            store = RegistryPushConfigStore(registry)
            unnamed = await store.set_info("t", TaskPushNotificationConfig(url="http://a"), ANN)
            assert unnamed == config("t", "http://a")
            await store.set_info("t", config("x", "http://b"), ANN)
            await store.set_info("t", config("x", "http://c"), ANN)
            await store.set_info("t", config("x", "http://d"), BOB)
            await store.set_info("other", config("x", "http://e"), ANN)
        async with await AsyncA2aPushConfigRegistry.open(store=SqliteStore(path)) as registry:
            store = RegistryPushConfigStore(registry)
            assert await store.get_info("t", ANN) == [unnamed, config("x", "http://c")]
            urls = {each.url for each in await store.get_info_for_dispatch("t")}
            assert urls == {"http://a", "http://c", "http://d"}
            await store.delete_info("t", ANN, "x")
            await store.delete_info("t", ANN, "none")
            assert await store.get_info("t", ANN) == [unnamed]
            await store.delete_info("t", ANN)
            assert await store.get_info("t", ANN) == []
            assert len(await store.get_info("t", BOB)) == 1
            assert len(await store.get_info("other", ANN)) == 1

    run(test())

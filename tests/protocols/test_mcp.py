"""Tasks of MCP on our registry, driven by the SDK's client."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="SKIPPED: the extra `mcp` is not installed")

from mcp import Client, MCPError
from mcp.client import ClientExtension
from mcp.client.extension import NotificationBinding
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import (
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmptyResult,
    Result,
    SubscriptionFilter,
    SubscriptionsListenRequest,
    SubscriptionsListenRequestParams,
)
from opslifecycle import (
    ManualClock,
    MemoryStore,
    PersistenceError,
    SqliteStore,
    Store,
)
from opslifecycle.protocols.mcp.calls import Calls
from opslifecycle.protocols.mcp.client import (
    TaskCancelledError,
    TasksClient,
    cancel_task,
    get_task,
    wait_for_task,
)
from opslifecycle.protocols.mcp.server import TasksExtension, TaskTool, current_task
from opslifecycle.protocols.mcp.wire import (
    CreatedTask,
    GetTaskRequest,
    TaskParams,
    UpdateTaskParams,
    UpdateTaskRequest,
)
from opslifecycle.stores.base import Commit
from pydantic import BaseModel, ConfigDict

from opslifecycle.protocols.mcp.tasks import (
    AsyncMcpTaskRegistry,
    TaskId,
    TaskOrder,
    TaskSnapshot,
    TaskStateError,
    TaskStatus,
)

DEADLINE_SECONDS = 20


class Raw(Result):
    """A result with every key of the wire."""

    model_config = ConfigDict(extra="allow")


def asked(text: str) -> ElicitRequest:
    schema: dict[str, Any] = {"type": "object", "properties": {"value": {"type": "string"}}}
    return ElicitRequest(params=ElicitRequestFormParams(message=text, requested_schema=schema))


class Tools:
    """Tools whose calls wait until a test lets them go on."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.calls = 0
        self.interrupted = asyncio.Event()

    async def work(self, text: str) -> str:
        """Work until the test says so."""
        self.calls += 1
        task = current_task()
        if task is not None:
            await task.report(f"working on {text}")
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.interrupted.set()
            raise
        return text.upper()

    async def ask(self) -> str:
        """Ask two questions at once, then a third."""
        task = current_task()
        assert task is not None
        first, second = await asyncio.gather(
            task.ask("first", asked("1?")), task.ask("second", asked("2?"))
        )
        third = await task.ask("third", asked("3?"))
        return " ".join(each["content"]["value"] for each in (first, second, third))

    async def fail(self, how: str) -> str:
        """Fail in some way."""
        if how == "protocol":
            raise MCPError(-32000, "the limit is reached", {"limit": 3})
        if how == "cancel":
            raise asyncio.CancelledError
        if how == "tool":
            raise ToolError("no such page")
        raise RuntimeError("a secret")


class Server:
    """A server with tasks on a store, whose request come from `owner`."""

    def __init__(self, store: Store, clock: ManualClock | None = None, **settings: int) -> None:
        self.store = store
        self.settings: dict[str, Any] = dict(settings)
        if clock is not None:
            self.settings["clock"] = clock
        self.owner = "ada"
        self.work_of = Tools()
        self.created: list[CreatedTask] = []

    @asynccontextmanager
    async def running(self, *, restart: bool = False) -> AsyncIterator[Server]:
        tools = self.work_of
        listed = [
            TaskTool(tools.work, restart=restart, ttl_ms=60_000),
            TaskTool(tools.ask, restart=restart, required=True, ttl_ms=None),
            TaskTool(tools.fail),
        ]
        registry = await AsyncMcpTaskRegistry.open(store=self.store, **self.settings)
        async with registry:
            self.registry = registry
            extension = TasksExtension(
                registry, listed, owner_of=self._owner_of, poll_interval_ms=1
            )
            async with extension:
                self.mcp = MCPServer("tests", extensions=[extension], middleware=[extension.listen])
                yield self

    def _owner_of(self, _: ServerRequestContext) -> str:
        return self.owner

    def client(self, *more: ClientExtension, **settings: Any) -> Client:
        return Client(self.mcp, extensions=[TasksClient(self.created.append), *more], **settings)

    async def begin(self, client: Client, name: str, **arguments: str) -> CreatedTask:
        """Call a tool and return its task, without waiting for the result."""
        task = await client.session.call_tool(name, arguments, allow_claimed=True)
        assert isinstance(task, CreatedTask)
        return task


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "tasks.db")


def run(test: Awaitable[None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await test

    asyncio.run(limited())


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert content.type == "text"
    return content.text


async def raw(client: Client, task_id: str) -> dict[str, Any]:
    request = GetTaskRequest(params=TaskParams(task_id=task_id))
    found = await client.session.send_request(request, Raw)
    return dict(found.model_extra or {})


async def requests_of(server: Server, client: Client, task_id: str, *keys: str) -> dict[str, Any]:
    """Wait until a task asks all of these requests, and return what it asks."""
    feed = server.registry.changes()
    while True:
        watermark = feed.watermark
        found: dict[str, Any] = (await raw(client, task_id)).get("inputRequests", {})
        if found.keys() >= set(keys):
            return found
        await feed.wait_for_advance(watermark)


async def answer(client: Client, task_id: str, **responses: Any) -> None:
    params = UpdateTaskParams(task_id=task_id, input_responses=responses)
    await client.session.send_request(UpdateTaskRequest(params=params), EmptyResult)


def said(value: str) -> dict[str, Any]:
    return {"action": "accept", "content": {"value": value}}


def test_a_call_is_a_task_and_its_result_the_tool_s(store: Store) -> None:
    async def test() -> None:
        async with Server(store).running() as server, server.client() as client:
            server.work_of.go_on.set()
            result = await client.call_tool("work", {"text": "hi"})
            assert (text_of(result), result.is_error) == ("HI", False)
            assert result.structured_content == {"result": "HI"}
            (created,) = server.created
            assert (created.status, created.ttl_ms, created.poll_interval_ms) == (
                "working",
                60_000,
                1,
            )
            found = await raw(client, created.task_id)
            assert found.pop("lastUpdatedAt") >= found.pop("createdAt") == created.created_at
            assert found.pop("result")["content"] == [{"type": "text", "text": "HI"}]
            assert found == {
                "resultType": "complete",
                "taskId": created.task_id,
                "status": "completed",
                "statusMessage": "working on hi",
                "ttlMs": 60_000,
                "pollIntervalMs": 1,
            }

    run(test())


def test_a_task_is_durable_before_its_client_knows_it(tmp_path: Path) -> None:
    async def test() -> None:
        server = Server(SqliteStore(tmp_path / "tasks.db"))
        async with server.running(), server.client() as client:
            task = await server.begin(client, "work", text="hi")
            with closing(sqlite3.connect(tmp_path / "tasks.db")) as file, file:
                rows = file.execute("SELECT status FROM records WHERE id = ?", (task.task_id,))
                assert rows.fetchall() == [("working",)]

    run(test())


def test_a_client_without_tasks_gets_the_result_or_what_it_lacks(store: Store) -> None:
    async def test() -> None:
        async with Server(store).running() as server:
            server.work_of.go_on.set()
            for mode in ("auto", "legacy"):
                async with Client(server.mcp, mode=mode) as client:
                    assert text_of(await client.call_tool("work", {"text": "hi"})) == "HI"
            async with Client(server.mcp) as client:
                for call in (
                    client.call_tool("ask", {}),
                    get_task(client.session, "x"),
                    cancel_task(client.session, "x"),
                    answer(client, "x"),
                ):
                    with pytest.raises(MCPError) as caught:
                        await call
                    assert caught.value.error.code == MISSING_REQUIRED_CLIENT_CAPABILITY
                    extensions = caught.value.error.data["requiredCapabilities"]["extensions"]
                    assert extensions == {"io.modelcontextprotocol/tasks": {}}
            assert server.registry.list_tasks() == []

    run(test())


def test_a_task_asks_and_the_client_s_callbacks_answer(store: Store) -> None:
    async def elicit(_: object, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"value": params.message})

    async def test() -> None:
        async with (
            Server(store).running() as server,
            server.client(elicitation_callback=elicit) as client,
        ):
            assert text_of(await client.call_tool("ask", {})) == "1? 2? 3?"
            assert server.created[0].ttl_ms is None
            assert (await raw(client, server.created[0].task_id))["ttlMs"] is None

    run(test())


def test_responses_come_in_parts_and_what_is_not_asked_is_ignored(store: Store) -> None:
    async def test() -> None:
        async with Server(store).running() as server, server.client() as client:
            id = (await server.begin(client, "ask")).task_id
            found = await requests_of(server, client, id, "first", "second")
            assert found["first"]["method"] == "elicitation/create"
            assert found["first"]["params"]["message"] == "1?"
            await answer(client, id, first=said("a"), unknown=said("x"))
            assert set((await raw(client, id))["inputRequests"]) == {"second"}
            # The third request follows the answer to the second one.
            await answer(client, id, first=said("other"), third=said("early"))
            await answer(client, id, second=said("b"))
            await requests_of(server, client, id, "third")
            await answer(client, id, second=said("late"), third=said("c"))
            assert text_of(await wait_for_task(client.session, id)) == "a b c"
            await answer(client, id, third=said("late"))

    run(test())


def test_cancelling_interrupts_the_tool_and_is_idempotent(store: Store) -> None:
    async def test() -> None:
        async with Server(store).running() as server, server.client() as client:
            task = await server.begin(client, "work", text="hi")
            await server.work_of.begun.wait()
            watch = server.registry.watch(TaskId(task.task_id))
            await cancel_task(client.session, task.task_id)
            assert await watch is TaskStatus.CANCELLED
            with pytest.raises(TaskCancelledError):
                await wait_for_task(client.session, task.task_id)
            await cancel_task(client.session, task.task_id)
            await server.work_of.interrupted.wait()
            server.work_of.go_on.set()
            done = await server.begin(client, "work", text="done")
            await wait_for_task(client.session, done.task_id)
            await cancel_task(client.session, done.task_id)
            assert (await get_task(client.session, done.task_id)).status == "completed"

    run(test())


def test_another_owner_s_task_is_as_unknown_as_none(store: Store) -> None:
    async def test() -> None:
        async with Server(store).running() as server, server.client() as client:
            task = await server.begin(client, "ask")
            server.owner = "eve"
            errors = []
            for id in (task.task_id, "00000000-0000-4000-8000-000000000000", "no id"):
                for call in (
                    get_task(client.session, id),
                    cancel_task(client.session, id),
                    answer(client, id, first=said("x")),
                ):
                    with pytest.raises(MCPError) as caught:
                        await call
                    errors.append((caught.value.error.code, caught.value.error.message))
            assert set(errors) == {(INVALID_PARAMS, "Failed to retrieve task: Task not found")}
            server.owner = "ada"
            assert (await get_task(client.session, task.task_id)).status != "cancelled"

    run(test())


def test_errors_of_the_protocol_fail_a_task_and_others_are_results(store: Store) -> None:
    async def test() -> None:
        async with Server(store).running() as server, server.client() as client:
            with pytest.raises(MCPError) as caught:
                await client.call_tool("fail", {"how": "protocol"})
            assert (caught.value.error.code, caught.value.error.data) == (-32000, {"limit": 3})
            found = await raw(client, server.created[-1].task_id)
            assert (found["status"], found["statusMessage"]) == ("failed", "the limit is reached")
            tool = await client.call_tool("fail", {"how": "tool"})
            assert tool.is_error
            assert "no such page" in text_of(tool)
            crash = await client.call_tool("fail", {"how": "crash"})
            assert crash.is_error
            assert "secret" not in text_of(crash)
            wrong = await client.call_tool("fail", {})
            assert wrong.is_error
            assert (await raw(client, server.created[-1].task_id))["status"] == "completed"
            with pytest.raises(TaskCancelledError):
                await client.call_tool("fail", {"how": "cancel"})

    run(test())


def test_the_time_to_live_counts_from_the_creation_and_its_end_is_told(store: Store) -> None:
    async def test() -> None:
        clock = ManualClock()
        server = Server(store, clock, max_entries=3)
        async with server.running(), server.client() as client:
            running = await server.begin(client, "work", text="a")
            await server.work_of.begun.wait()
            clock.advance(seconds=30)
            server.work_of.go_on.set()
            await wait_for_task(client.session, running.task_id)
            server.work_of.go_on.clear()
            server.work_of.begun.clear()
            later = await server.begin(client, "work", text="b")
            await server.work_of.begun.wait()
            await asyncio.to_thread(clock.advance, seconds=30)
            with pytest.raises(MCPError, match="Task has expired") as caught:
                await get_task(client.session, running.task_id)
            assert caught.value.error.code == INVALID_PARAMS
            gone = server.registry.snapshot(TaskId(running.task_id))
            assert gone is not None
            assert (gone.result, gone.arguments) == (None, "{}")
            assert (await get_task(client.session, later.task_id)).status == "working"
            await asyncio.to_thread(clock.advance, seconds=30)
            await server.work_of.interrupted.wait()
            server.work_of.go_on.set()
            await client.call_tool("work", {"text": "c"})
            with pytest.raises(MCPError, match="Task not found"):
                await get_task(client.session, running.task_id)

    run(test())


def test_the_next_process_calls_tools_again_that_may_be_called_again(store: Store) -> None:
    async def test() -> None:
        server = Server(store)
        async with server.running(restart=True), server.client() as client:
            work = await server.begin(client, "work", text="hi")
            ask = await server.begin(client, "ask")
            await requests_of(server, client, ask.task_id, "first", "second")
            await answer(client, ask.task_id, first=said("a"))
        assert server.work_of.interrupted.is_set()
        async with server.running(restart=True), server.client() as client:
            server.work_of.go_on.set()
            assert text_of(await wait_for_task(client.session, work.task_id)) == "HI"
            assert set((await raw(client, ask.task_id))["inputRequests"]) == {"second"}
            await answer(client, ask.task_id, second=said("b"))
            await requests_of(server, client, ask.task_id, "third")
            await answer(client, ask.task_id, third=said("c"))
            assert text_of(await wait_for_task(client.session, ask.task_id)) == "a b c"
            assert server.work_of.calls == 2

    run(test())


def test_the_next_process_fails_the_others(store: Store) -> None:
    async def test() -> None:
        server = Server(store)
        async with server.running(), server.client() as client:
            work = await server.begin(client, "work", text="hi")
            await server.work_of.begun.wait()
        async with server.running(), server.client() as client:
            with pytest.raises(MCPError, match="the server ended before the tool did"):
                await wait_for_task(client.session, work.task_id)

    run(test())


def test_a_beginning_that_fails_leaves_nothing_that_runs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        server = Server(store)
        async with server.running(restart=True), server.client() as client:
            for text in ("a", "b"):
                await server.begin(client, "work", text=text)
        begin = Calls.start

        def start(self: Calls, snapshot: TaskSnapshot) -> None:
            begin(self, snapshot)
            raise MemoryError

        monkeypatch.setattr(Calls, "start", start)
        async with await AsyncMcpTaskRegistry.open(store=store) as registry:
            tool = TaskTool(server.work_of.work, restart=True)
            extension = TasksExtension(registry, [tool], owner_of=lambda _: "owner")
            before = asyncio.all_tasks()
            with pytest.raises(MemoryError):
                async with extension:
                    pass
            assert asyncio.all_tasks() == before

    run(test())


def test_leaving_that_fails_leaves_nothing_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stop(self: Calls) -> None:
        raise MemoryError

    async def test() -> None:
        async with await AsyncMcpTaskRegistry.open() as registry:
            before = asyncio.all_tasks()
            with pytest.raises(MemoryError):
                async with TasksExtension(registry, [], owner_of=lambda _: "owner"):
                    monkeypatch.setattr(Calls, "stop", stop)
            assert asyncio.all_tasks() == before

    run(test())


class Notes(ClientExtension):
    """Collects notifications of tasks."""

    identifier = "org.example/notes"

    def __init__(self) -> None:
        self.seen: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def notifications(self) -> list[NotificationBinding[Any]]:
        class Params(BaseModel):
            model_config = ConfigDict(extra="allow")

        async def note(params: Params) -> None:
            self.seen.put_nowait(dict(params.model_extra or {}))

        return [NotificationBinding(method="notifications/tasks", params_type=Params, handler=note)]


def listening(*ids: str) -> SubscriptionsListenRequest:
    wanted = SubscriptionFilter.model_validate({"taskIds": list(ids)})
    return SubscriptionsListenRequest(params=SubscriptionsListenRequestParams(notifications=wanted))


def test_a_listener_is_told_each_status_of_its_own_tasks(store: Store) -> None:
    async def test() -> None:
        notes = Notes()
        async with Server(store).running() as server, server.client(notes) as client:
            server.owner = "eve"
            hers = await server.begin(client, "work", text="hers")
            server.owner = "ada"
            task = await server.begin(client, "ask")
            request = listening(task.task_id, hers.task_id)
            stream = asyncio.create_task(client.session.send_request(request, Raw))
            for key in ("first", "second", "third"):
                await requests_of(server, client, task.task_id, key)
                await answer(client, task.task_id, **{key: said(key)})
            await stream
            seen = [await notes.seen.get()]
            while seen[-1]["status"] != "completed":
                seen.append(await notes.seen.get())
            assert {each["taskId"] for each in seen} == {task.task_id}
            assert {each["status"] for each in seen} >= {"input_required", "completed"}
            last = dict(seen[-1])
            meta = last.pop("_meta")
            assert set(meta) == {"io.modelcontextprotocol/subscriptionId"}
            found = await raw(client, task.task_id)
            assert last == {key: found[key] for key in found if key != "resultType"}

    run(test())


def test_listening_to_tasks_needs_the_extension(store: Store) -> None:
    async def test() -> None:
        async with Server(store).running() as server, Client(server.mcp) as client:
            with pytest.raises(MCPError) as caught:
                await client.session.send_request(listening("x"), Raw)
            assert caught.value.error.code == MISSING_REQUIRED_CLIENT_CAPABILITY
            async with client.listen(tools_list_changed=True) as others:
                assert others.honored.tools_list_changed

    run(test())


class Refusing(MemoryStore):
    """A store that refuses some commits, as a full disk does."""

    refusals = 0

    def append(self, commit: Commit) -> None:
        if self.refusals:
            self.refusals -= 1
            raise PersistenceError("disk", "full")
        super().append(commit)


def test_a_result_is_recorded_once_the_store_accepts_it_again() -> None:
    async def test() -> None:
        store = Refusing()
        async with Server(store).running() as server, server.client() as client:
            task = await server.begin(client, "work", text="hi")
            await server.work_of.begun.wait()
            store.refusals = 2
            server.work_of.go_on.set()
            assert text_of(await wait_for_task(client.session, task.task_id)) == "HI"
            assert store.refusals == 0

    run(test())


def test_no_more_tasks_than_the_registry_allows(store: Store) -> None:
    async def test() -> None:
        server = Server(store, max_tasks=1)
        async with server.running(), server.client() as client:
            await server.begin(client, "work", text="a")
            with pytest.raises(MCPError, match="no more are allowed"):
                await server.begin(client, "work", text="b")

    run(test())


def test_a_result_is_stored_once_and_tasks_are_read_by_pages(store: Store) -> None:
    async def test() -> None:
        registry = await AsyncMcpTaskRegistry.open(store=store)
        async with registry:
            ids = [TaskId.new() for _ in range(5)]
            for number, id in enumerate(ids):
                owner = "ada" if number % 2 else "eve"
                await registry.create_task(id, owner, "work", "{}", None)
            await registry.complete_task(ids[0], '"first"')
            for again in (
                registry.complete_task(ids[0], '"second"'),
                registry.fail_task(ids[0], "{}", "late"),
            ):
                with pytest.raises(TaskStateError):
                    await again
            snapshot = registry.snapshot(ids[0])
            assert snapshot is not None
            assert snapshot.result == '"first"'
            seen = []
            page = registry.list_tasks(order_by=TaskOrder.CREATED, owner="eve", limit=2)
            while page:
                seen += [each.id for each in page]
                page = registry.list_tasks(
                    order_by=TaskOrder.CREATED, owner="eve", limit=2, after=page.cursor
                )
            assert seen == ids[::2]

    run(test())

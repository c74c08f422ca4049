"""The example of an agent for A2A, called by the SDK's client and killed in between."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("a2a", reason="SKIPPED: the extra `a2a` is not installed")

from a2a.client import Client, create_client
from a2a.helpers import get_message_text, get_stream_response_text, new_text_message
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTasksRequest,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import TaskNotCancelableError

from tests.protocols.test_mcp_server import DEADLINE_SECONDS, run
from tests.support.ports import accepts, free_port
from tests.support.waiting import until

SERVER = Path(__file__).parents[2] / "examples/a2a_server/server.py"


@contextmanager
def served(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, str(SERVER), str(folder), "--port", str(port)]
    process = subprocess.Popen(words, cwd=folder)
    try:
        until(lambda: accepts(port) or process.poll() is not None)
        yield process
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[Client]:
    client = await create_client(f"http://127.0.0.1:{port}")
    async with client:
        yield client


async def say(client: Client, text: str, task: Task | None = None) -> list[StreamResponse]:
    message = new_text_message(text, role=Role.ROLE_USER)
    if task is not None:
        message.task_id, message.context_id = task.id, task.context_id
    request = SendMessageRequest(message=message)
    return [response async for response in client.send_message(request)]


@pytest.mark.nightly
def test_a_killed_server_leaves_its_tasks_to_the_next(tmp_path: Path) -> None:
    port = free_port()

    async def before() -> tuple[Task, Task]:
        async with client_of(port) as client:
            asked = (await say(client, "dinner"))[-1].status_update
            assert asked.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
            assert get_message_text(asked.status.message) == "how many are you?"
            worked = (await say(client, "lunch"))[0].task
            going = asyncio.create_task(say(client, "two", worked))
            async with asyncio.timeout(DEADLINE_SECONDS):
                while True:
                    now = await client.get_task(GetTaskRequest(id=worked.id))
                    if now.status.state == TaskState.TASK_STATE_WORKING:
                        break
                    await asyncio.sleep(0.01)
            config = TaskPushNotificationConfig(task_id=asked.task_id, url="http://127.0.0.1:1/")
            await client.create_task_push_notification_config(config)
            server.kill()
            await asyncio.wait([going])
            assert going.exception() is not None
        return Task(id=asked.task_id, context_id=asked.context_id), worked

    async def after(asked: Task, worked: Task) -> None:
        async with client_of(port) as client:
            lost = await client.get_task(GetTaskRequest(id=worked.id))
            assert lost.status.state == TaskState.TASK_STATE_FAILED
            assert "the server ended" in get_message_text(lost.status.message)
            listed = await client.list_tasks(ListTasksRequest())
            assert {task.id for task in listed.tasks} == {asked.id, worked.id}
            wanted = GetTaskPushNotificationConfigRequest(task_id=asked.id, id=asked.id)
            config = await client.get_task_push_notification_config(wanted)
            assert config.url == "http://127.0.0.1:1/"
            (tmp_path / "table-is-free").touch()
            heard = await say(client, "four", asked)
            assert heard[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED
            assert any("dinner for four" in get_stream_response_text(each) for each in heard)

    with served(tmp_path, port) as server:
        found = asyncio.run(asyncio.wait_for(before(), DEADLINE_SECONDS))
    with served(tmp_path, port):
        run(after(*found))


def test_a_subscriber_gets_the_events_of_the_commit_that_ends_a_task(tmp_path: Path) -> None:
    port = free_port()

    async def test() -> None:
        async with client_of(port) as client, client_of(port) as other:
            asked = (await say(client, "dinner"))[0].task
            subscription = other.subscribe(SubscribeToTaskRequest(id=asked.id))
            first = await anext(subscription)
            assert first.task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
            cancelled = await client.cancel_task(CancelTaskRequest(id=asked.id))
            assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
            states = [each.status_update.status.state async for each in subscription]
            assert states[-1] == TaskState.TASK_STATE_CANCELED
            with pytest.raises(TaskNotCancelableError):
                await client.cancel_task(CancelTaskRequest(id=asked.id))
            assert await client.get_task(GetTaskRequest(id=asked.id)) == cancelled

    with served(tmp_path, port):
        run(test())

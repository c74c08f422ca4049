"""Tasks of MCP over HTTP: owners by their access tokens, notifications as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("mcp", reason="SKIPPED: the extra `mcp` is not installed")

import httpx2
import uvicorn
from mcp import Client, MCPError
from mcp.client import ClientExtension
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from opslifecycle import MemoryStore
from opslifecycle.protocols.mcp.client import TasksClient, get_task, wait_for_task
from opslifecycle.protocols.mcp.server import TasksExtension, TaskTool
from opslifecycle.protocols.mcp.wire import CreatedTask
from pydantic import AnyHttpUrl

from opslifecycle.protocols.mcp.tasks import AsyncMcpTaskRegistry
from tests.protocols.test_mcp import DEADLINE_SECONDS, Notes, Raw, listening, text_of
from tests.support.waiting import eventually


class Names:
    """Accepts every token, as the name of its owner."""

    async def verify_token(self, token: str) -> AccessToken | None:
        return AccessToken(token=token, client_id="tests", scopes=[], subject=token)


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def client_of(url: str, owner: str, *more: ClientExtension) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {owner}"}
    async with httpx2.AsyncClient(headers=headers) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, extensions=[TasksClient(), *more]) as client:
            yield client


def test_an_owner_is_told_of_its_tasks_and_no_other_is() -> None:
    go_on = asyncio.Event()
    tokens: list[object] = []

    async def work() -> str:
        tokens.append(get_access_token())
        await go_on.wait()
        return "done"

    async def test() -> None:
        registry = await AsyncMcpTaskRegistry.open(store=MemoryStore())
        async with registry, TasksExtension(registry, [TaskTool(work)]) as tasks:
            url = AnyHttpUrl("http://127.0.0.1")
            auth = AuthSettings(issuer_url=url, resource_server_url=None)
            server = MCPServer(
                "tests",
                extensions=[tasks],
                middleware=[tasks.listen],
                auth=auth,
                token_verifier=Names(),
            )
            notes = Notes()
            async with (
                served(server.streamable_http_app()) as url_of_app,
                client_of(url_of_app, "ada", notes) as ada,
                client_of(url_of_app, "eve") as eve,
            ):
                task = await ada.session.call_tool("work", {}, allow_claimed=True)
                assert isinstance(task, CreatedTask)
                with pytest.raises(MCPError, match="Task not found"):
                    await get_task(eve.session, task.task_id)
                request = listening(task.task_id)
                stream = asyncio.create_task(ada.session.send_request(request, Raw))
                first = await notes.seen.get()
                assert (first["taskId"], first["status"]) == (task.task_id, "working")
                go_on.set()
                assert (await notes.seen.get())["status"] == "completed"
                await stream
                assert text_of(await wait_for_task(ada.session, task.task_id)) == "done"
            assert tokens == [None]

    async def limited() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await test()

    asyncio.run(limited())

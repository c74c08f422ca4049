"""The example of a server with tasks: killed while a client waits, over each transport."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="SKIPPED: the extra `mcp` is not installed")

from mcp import Client, MCPError, StdioServerParameters
from mcp.client import ClientRequestContext
from mcp_types import CallToolResult, ElicitResult, ErrorData
from opslifecycle.protocols.mcp.client import TasksClient, get_task, wait_for_task
from opslifecycle.protocols.mcp.wire import CreatedTask

from tests.support.ports import accepts, free_port
from tests.support.waiting import until

FOLDER = Path(__file__).parents[2] / "examples/mcp_server"
DEADLINE_SECONDS = 40


def run(test: Any) -> None:
    async def limited() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await test

    asyncio.run(limited())


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert content.type == "text"
    return content.text


async def agree(context: ClientRequestContext, params: Any) -> ElicitResult | ErrorData:
    assert params.message == "publish 'news'?"
    return ElicitResult(action="accept", content={"why": "why not"})


async def begin(client: Client, path: Path) -> str:
    """Call the tool that waits for a file; return its task, which runs."""
    call = {"path": str(path)}
    task = await client.session.call_tool("wait_for_file", call, allow_claimed=True)
    assert isinstance(task, CreatedTask)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await get_task(client.session, task.task_id)).status_message is None:
            await asyncio.sleep(0.01)
    return task.task_id


def over_standard_input(folder: Path) -> StdioServerParameters:
    """Start the server so that a file has its process."""
    command = 'echo $$ > pid; exec "$0" "$@"'
    server = [sys.executable, str(FOLDER / "server.py"), "tasks.db"]
    return StdioServerParameters(command="sh", args=["-c", command, *server], cwd=folder)


def test_a_server_on_standard_input_is_killed_and_its_successor_goes_on(tmp_path: Path) -> None:
    async def test() -> None:
        awaited = tmp_path / "awaited"
        client = Client(over_standard_input(tmp_path), extensions=[TasksClient()])
        async with client:
            id = await begin(client, awaited)
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
            with pytest.raises(MCPError):
                await wait_for_task(client.session, id)
        client = Client(
            over_standard_input(tmp_path), extensions=[TasksClient()], elicitation_callback=agree
        )
        async with client:
            waiting = asyncio.create_task(wait_for_task(client.session, id))
            arguments = {"text": "news", "path": str(awaited)}
            published = await client.call_tool("publish", arguments)
            assert text_of(published) == f"published at {awaited}"
            assert text_of(await waiting) == "news"

    run(test())


@contextmanager
def over_http(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, str(FOLDER / "server.py"), "tasks.db", "--port", str(port)]
    process = subprocess.Popen(words, cwd=folder)
    try:
        until(lambda: accepts(port) or process.poll() is not None)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.nightly
def test_a_server_on_http_and_its_client_are_killed_and_their_successors_go_on(
    tmp_path: Path,
) -> None:
    awaited, port = tmp_path / "awaited", free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    words = [sys.executable, str(FOLDER / "client.py"), url, str(awaited)]
    with over_http(tmp_path, port) as server:
        client = subprocess.Popen(words, cwd=tmp_path)
        until((tmp_path / "waiting-for").exists)
        server.kill()
        client.kill()
        client.wait()
    with over_http(tmp_path, port):
        awaited.write_text("news")
        done = subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_SECONDS
        )
        assert (done.stdout, done.returncode) == ("{'result': 'news'}\n", 0), done.stderr
    assert not (tmp_path / "waiting-for").exists()

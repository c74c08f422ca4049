"""A server with two tools that take long: their calls are tasks that survive it.

python server.py FILE            over standard input and output
python server.py FILE --port N   over HTTP: http://127.0.0.1:N/mcp
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp_types import ElicitRequest, ElicitRequestFormParams
from opslifecycle import SqliteStore
from opslifecycle.protocols.mcp.server import TasksExtension, TaskTool, current_task

from opslifecycle.protocols.mcp.tasks import AsyncMcpTaskRegistry


async def wait_for_file(path: str) -> str:
    """Wait until a file exists, and return its text."""
    task = current_task()
    if task is not None:
        await task.report(f"waiting for {path}")
    while not Path(path).exists():
        await asyncio.sleep(0.05)
    return await asyncio.to_thread(Path(path).read_text)


async def publish(text: str, path: str) -> str:
    """Write a text to a file, once the client has agreed."""
    task = current_task()
    assert task is not None  # the tool is `required`
    form = ElicitRequestFormParams(message=f"publish {text!r}?", requested_schema=AGREE)
    response = await task.ask("agree", ElicitRequest(params=form))
    if response["action"] != "accept":
        return "not published"
    await asyncio.to_thread(Path(path).write_text, text)
    return f"published at {path}"


AGREE = {"type": "object", "properties": {"why": {"type": "string"}}}
TOOLS = [TaskTool(wait_for_file, restart=True), TaskTool(publish, restart=True, required=True)]


async def main(file: str, port: int | None) -> None:
    registry = await AsyncMcpTaskRegistry.open(store=SqliteStore(file))
    async with registry, TasksExtension(registry, TOOLS, poll_interval_ms=100) as tasks:
        server = MCPServer("patience", extensions=[tasks], middleware=[tasks.listen])
        if port is None:
            await server.run_stdio_async()
        else:
            app = server.streamable_http_app()
            await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning")).serve()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    asyncio.run(main(given.file, given.port))

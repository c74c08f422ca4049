"""A client that goes on waiting after its own end, and after that of its server.

python client.py URL PATH   waits for the text of a file, with the server of server.py
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from mcp import Client
from mcp_types import CallToolResult
from opslifecycle.protocols.mcp.client import TasksClient, wait_for_task
from opslifecycle.protocols.mcp.wire import CreatedTask

NOTE = Path("waiting-for")


def remember(task: CreatedTask) -> None:
    NOTE.write_text(task.task_id, encoding="utf-8")


async def wait(client: Client, path: str) -> CallToolResult:
    if not NOTE.exists():
        return await client.call_tool("wait_for_file", {"path": path})
    return await wait_for_task(client.session, NOTE.read_text(encoding="utf-8"))


async def main(url: str, path: str) -> None:
    async with Client(url, extensions=[TasksClient(remember)]) as client:
        print((await wait(client, path)).structured_content)
    NOTE.unlink()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))

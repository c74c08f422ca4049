"""What a server of the Model Context Protocol needs for durable tasks."""

from opslifecycle.protocols.mcp.current import CurrentTask, current_task
from opslifecycle.protocols.mcp.extension import TasksExtension, authenticated_owner
from opslifecycle.protocols.mcp.tools import TTL_MS, TaskTool

__all__ = [
    "TTL_MS",
    "CurrentTask",
    "TaskTool",
    "TasksExtension",
    "authenticated_owner",
    "current_task",
]

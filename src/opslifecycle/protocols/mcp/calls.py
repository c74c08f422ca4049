"""The calls that run: started, interrupted, recorded, and taken up by the next process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from functools import partial

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR
from opslifecycle import OwnershipLostError, PersistenceError, StoreDamagedError, StoreLostError
from opslifecycle.logs import EventLog
from opslifecycle.protocols.mcp.changes import Changes
from opslifecycle.protocols.mcp.current import CURRENT, CurrentTask
from opslifecycle.protocols.mcp.tools import TaskTool

from opslifecycle.protocols.mcp.tasks import (
    AsyncMcpTaskRegistry,
    TaskId,
    TaskNotFoundError,
    TaskSnapshot,
    TaskStateError,
    TaskStatus,
)

_log = EventLog("mcp")
_OPEN = (TaskStatus.WORKING, TaskStatus.INPUT_REQUIRED)
#: Errors of a store that a repetition does not change.
_LASTING = (OwnershipLostError, StoreDamagedError, StoreLostError)
_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.05, 5.0


class Calls:
    """Runs the tools of tasks and records how each ends.

    Args:
        registry: The registry that holds the tasks.
        changes: Its changes.
        tools: The tools by their names.
    """

    def __init__(
        self, registry: AsyncMcpTaskRegistry, changes: Changes, tools: Mapping[str, TaskTool]
    ) -> None:
        self._registry = registry
        self._changes = changes
        self._tools = tools
        self._running: dict[TaskId, asyncio.Task[None]] = {}
        # A tool sees the variables of the program and not those of the request that began the task,
        # such as its access token: a later process does not have them.
        self._variables = copy_context()

    def start(self, snapshot: TaskSnapshot) -> None:
        """Run the tool of a task that is durable. Its end is recorded, unless it is interrupted."""
        tool = self._tools[snapshot.tool]
        name, variables = f"mcp task {snapshot.id}", self._variables.copy()
        call = asyncio.create_task(self._run(snapshot, tool), name=name, context=variables)
        self._running[snapshot.id] = call
        call.add_done_callback(partial(self._forget, snapshot.id))

    def _forget(self, id: TaskId, call: asyncio.Task[None]) -> None:
        del self._running[id]
        if not call.cancelled() and (error := call.exception()) is not None:
            _log.error("end_not_recorded", "the end of task %s cannot be recorded", id, cause=error)

    async def take_up(self) -> None:
        """Start the tools of tasks that an earlier process has left, or fail those tasks."""
        for status in _OPEN:
            for snapshot in self._registry.list_tasks(status=status):
                tool = self._tools.get(snapshot.tool)
                if tool is not None and tool.restart:
                    self.start(snapshot)
                else:
                    reason = "the server ended before the tool did"
                    await self._fail(snapshot.id, MCPError(INTERNAL_ERROR, reason))

    async def stop(self) -> None:
        """Interrupt all tools. Their tasks stay as they are, for the next process."""
        running = list(self._running.values())
        for call in running:
            call.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, snapshot: TaskSnapshot, tool: TaskTool) -> None:
        id = snapshot.id
        CURRENT.set(CurrentTask(self._registry, self._changes, id))
        work = asyncio.current_task()
        assert work is not None

        def look(_: TaskId) -> None:
            if not self._is_open(id):
                work.cancel()

        try:
            with self._changes.following([id], look):
                if not self._is_open(id):
                    return
                result = await tool.call(json.loads(snapshot.arguments))
        except MCPError as error:
            await self._fail(id, error)
        except asyncio.CancelledError:
            if work.cancelling():
                raise
            # The tool itself has given up.
            await self._record(id, self._registry.cancel_task, snapshot.owner)
        else:
            text = json.dumps(result.model_dump(by_alias=True, mode="json", exclude_none=True))
            await self._record(id, self._registry.complete_task, text)

    def _is_open(self, id: TaskId) -> bool:
        snapshot = self._registry.snapshot(id)
        return snapshot is not None and snapshot.status in _OPEN

    async def _fail(self, id: TaskId, error: MCPError) -> None:
        text = json.dumps(error.error.model_dump(by_alias=True, mode="json", exclude_none=True))
        await self._record(id, self._registry.fail_task, text, error.error.message)

    async def _record(
        self, id: TaskId, command: Callable[..., Awaitable[None]], *arguments: str
    ) -> None:
        """Record an end, and repeat the command while the store fails for a time."""
        pause_seconds = _PAUSE_SECONDS_MIN
        while True:
            try:
                await command(id, *arguments)
            except (TaskStateError, TaskNotFoundError):
                return  # it was cancelled, or it expired, a moment before
            except _LASTING:
                raise
            except PersistenceError as error:
                _log.warning(
                    "end_delayed", "the end of task %s is not recorded yet", id, cause=error
                )
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, _PAUSE_SECONDS_MAX)
            else:
                return

"""What a tool can say and ask while it runs as a task."""

from __future__ import annotations

import json
from contextvars import ContextVar

from mcp_types import InputRequest
from opslifecycle.protocols.mcp.changes import Changes, Condition
from opslifecycle.protocols.mcp.wire import Json

from opslifecycle.protocols.mcp.tasks import (
    AsyncMcpTaskRegistry,
    StaleTaskError,
    TaskId,
    TaskNotFoundError,
    TaskSnapshot,
)


class CurrentTask:
    """The task that the running tool is the work of.

    Attributes:
        id: The identifier of the task.
    """

    def __init__(self, registry: AsyncMcpTaskRegistry, changes: Changes, id: TaskId) -> None:
        self._registry = registry
        self._changes = changes
        self.id = id

    async def report(self, message: str) -> None:
        """Say what the tool is doing: the `statusMessage` of the task. Its write is deferred."""
        await self._registry.report_message(self.id, message)

    async def ask(self, key: str, request: InputRequest) -> Json:
        """Ask the client, and wait for the response.

        A tool that is called again in a later process gets the stored response to the same key.

        Args:
            key: Names the request. A task uses a key for one request only.
            request: What is asked, for example an `ElicitRequest`.

        Returns:
            The response, as the client has sent it.

        Raises:
            TaskStateError: The task has ended.
        """
        asked = request.model_dump(by_alias=True, mode="json", exclude_none=True)
        while True:
            task = self._snapshot()
            responses: Json = json.loads(task.responses)
            if key in responses:
                response: Json = responses[key]
                return response
            requests: Json = json.loads(task.requests)
            if key in requests:
                await self._changes.until(self.id, self._is_past(task.revision))
                continue
            try:
                text = json.dumps({**requests, key: asked})
                await self._registry.require_input(self.id, text, task.revision)
            except StaleTaskError:
                continue  # another request or response came first

    def _is_past(self, revision: int) -> Condition:
        return lambda: self._snapshot().revision > revision

    def _snapshot(self) -> TaskSnapshot:
        snapshot = self._registry.snapshot(self.id)
        if snapshot is None:
            raise TaskNotFoundError(self.id)
        return snapshot


#: The task of the tool that runs in this context.
CURRENT: ContextVar[CurrentTask | None] = ContextVar("opslifecycle_mcp_task", default=None)


def current_task() -> CurrentTask | None:
    """Return the task that the caller is the work of; None in an ordinary call of a tool."""
    return CURRENT.get()

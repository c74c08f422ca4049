"""The Tasks extension of MCP for a client: a call that is a task is awaited as any other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from mcp.client import ClientRequestContext
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, EmptyResult, ErrorData, InputRequest
from opslifecycle.protocols.mcp.wire import (
    IDENTIFIER,
    CancelTaskRequest,
    CreatedTask,
    GetTaskRequest,
    Json,
    TaskParams,
    TaskState,
    UpdateTaskParams,
    UpdateTaskRequest,
)
from pydantic import TypeAdapter

#: How often the state of a task is asked for, if the server does not say it.
POLL_INTERVAL_MS = 1000
_INPUT_REQUEST: TypeAdapter[InputRequest] = TypeAdapter(InputRequest)


class TaskCancelledError(RuntimeError):
    """A task that was cancelled, so that its call has no result.

    Attributes:
        task_id: The identifier of the task.
    """

    def __init__(self, task_id: str) -> None:
        super().__init__(f"the task {task_id} was cancelled")
        self.task_id = task_id


class TasksClient(ClientExtension):
    """Has `Client.call_tool` return the result of a task when it has one.

    Requests of the task go to the callbacks of the client, as those of a call do.

    Args:
        on_created: Called with each new task before its result is awaited. A client that is to
            survive its own end stores the `task_id`, and passes it to `wait_for_task` later.
    """

    identifier = IDENTIFIER

    def __init__(self, on_created: Callable[[CreatedTask], None] | None = None) -> None:
        self._on_created = on_created

    def claims(self) -> Sequence[ResultClaim[CreatedTask]]:
        """Return the claim of the SDK for results that are tasks."""
        return [ResultClaim(result_type="task", model=CreatedTask, resolve=self._resolve)]

    async def _resolve(self, task: CreatedTask, context: ClaimContext) -> CallToolResult:
        if self._on_created is not None:
            self._on_created(task)
        return await wait_for_task(context.session, task.task_id)


async def wait_for_task(session: ClientSession, task_id: str) -> CallToolResult:
    """Wait for the result of a task, also of one that an earlier process has begun.

    Args:
        session: The session of a client that has a `TasksClient`.
        task_id: The identifier of the task.

    Raises:
        MCPError: The task has failed, has expired, or is not known; or the connection has ended.
        TaskCancelledError: The task was cancelled.
    """
    answered: set[str] = set()
    while True:
        task = await get_task(session, task_id)
        if task.result is not None:
            return CallToolResult.model_validate(task.result)
        if task.error is not None:
            raise MCPError.from_error_data(ErrorData.model_validate(task.error))
        if task.status == "cancelled":
            raise TaskCancelledError(task_id)
        requests = task.input_requests or {}
        new = {key: request for key, request in requests.items() if key not in answered}
        if new:
            answered.update(new)
            responses = {key: await _response(session, key, new[key]) for key in new}
            params = UpdateTaskParams(task_id=task_id, input_responses=responses)
            await session.send_request(UpdateTaskRequest(params=params), EmptyResult)
            continue
        interval_ms = task.poll_interval_ms
        await asyncio.sleep((POLL_INTERVAL_MS if interval_ms is None else interval_ms) / 1000)


async def get_task(session: ClientSession, task_id: str) -> TaskState:
    """Return a task as it is now.

    Raises:
        MCPError: The task has expired, or is not known.
    """
    request = GetTaskRequest(params=TaskParams(task_id=task_id))
    return await session.send_request(request, TaskState)


async def cancel_task(session: ClientSession, task_id: str) -> None:
    """Cancel a task. One that has ended stays as it is.

    Raises:
        MCPError: The task has expired, or is not known.
    """
    request = CancelTaskRequest(params=TaskParams(task_id=task_id))
    await session.send_request(request, EmptyResult)


async def _response(session: ClientSession, key: str, data: Json) -> Json:
    request = _INPUT_REQUEST.validate_python(data)
    meta = request.params.meta if request.params else None
    context = ClientRequestContext(session=session, request_id=key, meta=meta)
    response = await session.dispatch_input_request(context, request)
    if isinstance(response, ErrorData):
        raise MCPError.from_error_data(response)
    return response.model_dump(by_alias=True, mode="json", exclude_none=True)

"""What the Tasks extension of MCP sends and receives: tasks as JSON, parameters, errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, Request, RequestParams, Result
from pydantic import BaseModel, ConfigDict, Field

from opslifecycle.protocols.mcp.tasks import TaskSnapshot, TaskStatus

#: The identifier of the extension, in the capabilities of both sides.
IDENTIFIER = "io.modelcontextprotocol/tasks"
#: JSON objects, whose contents the protocol and the tools define.
Json: TypeAlias = dict[str, Any]


class TaskParams(RequestParams):
    """The parameters of `tasks/get` and `tasks/cancel`."""

    task_id: str


class UpdateTaskParams(TaskParams):
    """The parameters of `tasks/update`: a response for each key of an open request."""

    input_responses: Json


class GetTaskRequest(Request[TaskParams, Literal["tasks/get"]]):
    """A request for the state of a task."""

    method: Literal["tasks/get"] = "tasks/get"
    params: TaskParams
    name_param = "taskId"


class UpdateTaskRequest(Request[UpdateTaskParams, Literal["tasks/update"]]):
    """Responses to what a task has asked."""

    method: Literal["tasks/update"] = "tasks/update"
    params: UpdateTaskParams
    name_param = "taskId"


class CancelTaskRequest(Request[TaskParams, Literal["tasks/cancel"]]):
    """A request to end a task without a result."""

    method: Literal["tasks/cancel"] = "tasks/cancel"
    params: TaskParams
    name_param = "taskId"


class _Task(Result):
    """What every task has, as a client receives it."""

    task_id: str
    status: Literal["working", "input_required", "completed", "failed", "cancelled"]
    status_message: str | None = None
    created_at: str
    last_updated_at: str
    ttl_ms: int | None
    poll_interval_ms: int | None = None


class CreatedTask(_Task):
    """A task that has just begun: the answer to `tools/call` in place of its result."""

    result_type: Literal["task"] = "task"


class TaskState(_Task):
    """A task as it is now: the answer to `tasks/get`.

    Attributes:
        input_requests: The open requests by their keys, if `status` is `input_required`.
        result: What the tool has returned, if `status` is `completed`.
        error: The JSON-RPC error, if `status` is `failed`.
    """

    input_requests: Json | None = None
    result: Json | None = None
    error: Json | None = None


class TaskNotification(BaseModel):
    """A notification that the status of a task has changed, with the whole task."""

    model_config = ConfigDict(frozen=True)
    method: Literal["notifications/tasks"] = "notifications/tasks"
    params: Json = Field(default_factory=dict)


def task_of(snapshot: TaskSnapshot, poll_interval_ms: int) -> Json:
    """Return a task without its result, as the answer to `tools/call` has it."""
    task: Json = {
        "taskId": str(snapshot.id),
        "status": snapshot.status.value,
        "createdAt": _moment(snapshot.created_at_ms),
        "lastUpdatedAt": _moment(snapshot.updated_at_ms),
        "ttlMs": snapshot.ttl_ms,
        "pollIntervalMs": poll_interval_ms,
    }
    if snapshot.message is not None:
        task["statusMessage"] = snapshot.message
    return task


def detailed_task_of(snapshot: TaskSnapshot, poll_interval_ms: int) -> Json:
    """Return a task with what its status adds: open requests, a result or an error."""
    task = task_of(snapshot, poll_interval_ms)
    if snapshot.status is TaskStatus.INPUT_REQUIRED:
        task["inputRequests"] = json.loads(snapshot.requests)
    if snapshot.result is not None:
        task["result"] = json.loads(snapshot.result)
    if snapshot.error is not None:
        task["error"] = json.loads(snapshot.error)
    return task


def not_found() -> MCPError:
    """Return the error for a task that does not exist, or that another owner has."""
    return MCPError(INVALID_PARAMS, "Failed to retrieve task: Task not found")


def has_expired() -> MCPError:
    """Return the error for a task whose time to live has passed."""
    return MCPError(INVALID_PARAMS, "Failed to retrieve task: Task has expired")


def _moment(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

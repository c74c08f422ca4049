"""What becomes of tasks on which an earlier process has worked."""

from __future__ import annotations

from a2a.helpers import new_text_status_update_event
from a2a.types.a2a_pb2 import TaskState
from a2a.utils.proto_utils import to_stream_response
from opslifecycle.protocols.a2a.wire import changed_ns_of, task_of

from opslifecycle.protocols.a2a.tasks import (
    AsyncA2aTaskRegistry,
    StaleTaskError,
    TaskNotFoundError,
    TaskSnapshot,
    TaskStateError,
    TaskStatus,
)

#: The statuses in which an agent works; in the other open ones it waits for its client.
_WORKING = (TaskStatus.SUBMITTED, TaskStatus.WORKING)


async def fail_interrupted(
    registry: AsyncA2aTaskRegistry, message: str = "the server ended while it worked on this"
) -> list[str]:
    """Fail the tasks that are submitted or working: call it before the server accepts requests.

    Tasks that wait for input or for an authentication stay as they are. Where several hosts share
    the registry, call it on the host that owns it, and only if no other host runs agents.

    Args:
        registry: The registry, just opened.
        message: What the status of each failed task says.

    Returns:
        The names of the failed tasks.
    """
    failed = []
    for status in _WORKING:
        for task in registry.list_tasks(status=status):
            try:
                await _fail(registry, task, message)
            except (StaleTaskError, TaskNotFoundError, TaskStateError):
                continue  # it was changed, or removed, meanwhile
            failed.append(task.name)
    return failed


async def _fail(registry: AsyncA2aTaskRegistry, stored: TaskSnapshot, message: str) -> None:
    task = task_of(stored.message)
    event = new_text_status_update_event(
        task_id=task.id,
        context_id=task.context_id,
        state=TaskState.TASK_STATE_FAILED,
        text=message,
    )
    event.status.timestamp.GetCurrentTime()
    if task.status.HasField("message"):
        task.history.append(task.status.message)
    task.status.CopyFrom(event.status)
    await registry.save_task(
        stored.id,
        stored.owner,
        TaskStatus.FAILED,
        task.SerializeToString(),
        to_stream_response(event).SerializeToString(),
        changed_ns_of(task),
        stored.revision,
    )

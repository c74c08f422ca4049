"""Protocol buffers of A2A as the registries store them: identifiers, states, times, versions."""

from __future__ import annotations

from uuid import UUID, uuid5

from a2a.server.cluster import TaskVersion
from a2a.types.a2a_pb2 import Task, TaskState
from a2a.utils.errors import InvalidParamsError

from opslifecycle.protocols.a2a.configs import ConfigId
from opslifecycle.protocols.a2a.tasks import TaskId, TaskStatus

#: The namespace of identifiers that are made of the texts of A2A.
_NAMESPACE = UUID("6e1d1f0e-5b52-5c4b-9a51-1c1f0f6f7a2a")
_STATUSES = {
    TaskState.Value(f"TASK_STATE_{status.name}"): status
    for status in TaskStatus
}  # fmt: skip


def task_id_of(name: str) -> TaskId:
    """Return the identifier of the record of a task, which A2A names by any text."""
    return TaskId(str(uuid5(_NAMESPACE, name)))


def config_id_of(owner: str, task: str, name: str) -> ConfigId:
    """Return the identifier of the record of a configuration: one for each owner, task and name."""
    parts = "".join(f"{len(part)}:{part}" for part in (owner, task, name))
    return ConfigId(str(uuid5(_NAMESPACE, parts)))


def status_of(state: int) -> TaskStatus:
    """Return the status of a state of A2A.

    Raises:
        InvalidParamsError: It is no state that a task can have.
    """
    status = _STATUSES.get(state)
    if status is None:
        raise InvalidParamsError(f"a task cannot have the state {state}: send one of TaskState")
    return status


def changed_ns_of(task: Task) -> int | None:
    """Return when the state of a task changed, in nanoseconds since 1970; None if not known."""
    if not task.status.HasField("timestamp"):
        return None
    nanoseconds: int = task.status.timestamp.ToNanoseconds()
    return nanoseconds


def task_of(message: bytes) -> Task:
    """Return a stored task."""
    task = Task()
    task.ParseFromString(message)
    return task


def revision_of(version: TaskVersion) -> int:
    """Return the revision of a version; 0 for `TaskVersion.MISSING`.

    Raises:
        TypeError: Another store has made the version.
    """
    # The SDK has no other way for a store to read back its own value.
    revision = version._value
    if not isinstance(revision, int):
        raise TypeError(f"expected a version of this store, got {version!r}")
    return revision

"""The task stores of the A2A SDK, with and without versions, on a registry."""

from __future__ import annotations

from a2a.server.cluster import (
    ConcurrentTaskModificationError,
    StoredTask,
    TaskVersion,
    VersionedTaskStore,
)
from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event
from a2a.server.owner_resolver import OwnerResolver, resolve_user_scope
from a2a.server.tasks import TaskStore
from a2a.types.a2a_pb2 import ListTasksRequest, ListTasksResponse, Task
from a2a.utils.proto_utils import to_stream_response
from opslifecycle.protocols.a2a.listing import listed
from opslifecycle.protocols.a2a.wire import (
    changed_ns_of,
    revision_of,
    status_of,
    task_id_of,
    task_of,
)

from opslifecycle.protocols.a2a.tasks import (
    AsyncA2aTaskRegistry,
    StaleTaskError,
    TaskExistsError,
    TaskId,
    TaskNotFoundError,
    TaskSnapshot,
    TaskStateError,
    TaskStatus,
)

#: The revision of a task that was just created, before anything was saved.
_FIRST = 1


class _Tasks:
    """What both stores do: read, write and remove the tasks of an owner.

    Args:
        registry: Where the tasks are.
        owner_of: Returns the owner of what a request concerns.
    """

    def __init__(self, registry: AsyncA2aTaskRegistry, owner_of: OwnerResolver) -> None:
        self.registry = registry
        self.owner_of = owner_of

    def find(self, name: str, context: ServerCallContext) -> TaskSnapshot | None:
        """Return a task if the client of a request owns it."""
        found = self.registry.snapshot(task_id_of(name))
        return found if found is not None and found.owner == self.owner_of(context) else None

    def list(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        """Return a page of the tasks of an owner."""
        return listed(self.registry, self.owner_of(context), params)

    async def create(self, task: Task, event: Event | None, context: ServerCallContext) -> int:
        """Store a new task, and return its revision.

        Raises:
            TaskExistsError: There is a task of that name.
        """
        id, status = task_id_of(task.id), status_of(task.status.state)
        owner, context_id = self.owner_of(context), task.context_id
        data, message, changed_ns = _encoded(event), task.SerializeToString(), changed_ns_of(task)
        if status is TaskStatus.SUBMITTED:
            await self.registry.create_task(
                id, owner, task.id, context_id, message, data, changed_ns
            )
            return _FIRST
        # A record begins as submitted; both steps are one commit.
        async with self.registry.transaction() as commands:
            await commands.create_task(id, owner, task.id, context_id, message, None, changed_ns)
            await commands.save_task(id, owner, status, message, data, changed_ns, _FIRST)
        return _FIRST + 1

    async def save(
        self, task: Task, event: Event | None, revision: int | None, context: ServerCallContext
    ) -> None:
        """Store a task that exists; `revision` is what it must have, or None for any.

        Raises:
            TaskNotFoundError: There is no such task, or another owner has it.
            TaskStateError: It has ended.
            StaleTaskError: It has another revision.
        """
        await self.registry.save_task(
            task_id_of(task.id),
            self.owner_of(context),
            status_of(task.status.state),
            task.SerializeToString(),
            _encoded(event),
            changed_ns_of(task),
            revision,
        )

    async def delete(self, name: str, context: ServerCallContext) -> None:
        """Remove a task; one that does not exist, or that another owner has, is left alone."""
        while (found := self.find(name, context)) is not None:
            try:
                await self._forget(found.id, found.status)
            except TaskStateError:
                continue  # it has ended meanwhile
            except TaskNotFoundError:
                return

    async def _forget(self, id: TaskId, status: TaskStatus) -> None:
        if status.terminal:
            await self.registry.forget_ended_task(id)
        else:
            await self.registry.forget_open_task(id)


class RegistryTaskStore(TaskStore):
    """A `TaskStore` of the SDK whose tasks survive the process.

    The state of a task that has ended is final: a save of another state raises
    ConcurrentTaskModificationError, and one of the same task changes nothing.

    Args:
        registry: Where the tasks are.
        owner_of: Returns the owner of a request's tasks; by default the name of its user.
    """

    def __init__(
        self, registry: AsyncA2aTaskRegistry, owner_of: OwnerResolver = resolve_user_scope
    ) -> None:
        self._tasks = _Tasks(registry, owner_of)

    async def save(self, task: Task, context: ServerCallContext) -> None:
        """Store a task, whatever its stored version is.

        Raises:
            ConcurrentTaskModificationError: The stored task has ended, or another owner has it.
            InvalidParamsError: The task has no state.
        """
        while True:
            stored = self._tasks.find(task.id, context)
            try:
                if stored is None:
                    await self._tasks.create(task, None, context)
                elif not (stored.status.terminal and task_of(stored.message) == task):
                    await self._tasks.save(task, None, None, context)
                return
            except (TaskExistsError, TaskNotFoundError):
                found = self._tasks.registry.snapshot(task_id_of(task.id))
                if found is not None and found.owner != self._tasks.owner_of(context):
                    raise ConcurrentTaskModificationError(task.id) from None
            except TaskStateError:
                raise ConcurrentTaskModificationError(task.id) from None

    async def get(self, task_id: str, context: ServerCallContext) -> Task | None:
        """Return a task; None if there is none, or if another owner has it."""
        found = self._tasks.find(task_id, context)
        return None if found is None else task_of(found.message)

    async def list(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        """Return a page of the owner's tasks, the latest change first.

        Raises:
            InvalidParamsError: The page token or the size of the page is wrong.
        """
        return self._tasks.list(params, context)

    async def delete(self, task_id: str, context: ServerCallContext) -> None:
        """Remove a task; one that does not exist, or that another owner has, is left alone."""
        await self._tasks.delete(task_id, context)


class VersionedRegistryTaskStore(VersionedTaskStore):
    """A `VersionedTaskStore` of the SDK: of two writers of one version, one is refused.

    The event of a save is in the same commit, for a `RegistryEventStream` on the same registry.

    Args:
        registry: Where the tasks are.
        owner_of: Returns the owner of a request's tasks; by default the name of its user.
    """

    def __init__(
        self, registry: AsyncA2aTaskRegistry, owner_of: OwnerResolver = resolve_user_scope
    ) -> None:
        self._tasks = _Tasks(registry, owner_of)

    async def save(
        self,
        task: Task,
        *,
        event: Event | None,
        prev: Task | None,
        prev_version: TaskVersion,
        context: ServerCallContext,
    ) -> TaskVersion:
        """Store a task, and return its new version.

        Args:
            task: The task.
            event: What the agent has said; None for a direct write.
            prev: Not used.
            prev_version: The version that the task was derived from; `TaskVersion.MISSING` for
                a new task. A task that is canceled need not have it.
            context: The request, which has the owner.

        Raises:
            ConcurrentTaskModificationError: The stored version is another one, the task has
                ended, does not exist or has another owner.
            InvalidParamsError: The task has no state.
        """
        revision = revision_of(prev_version)
        try:
            if status_of(task.status.state) is TaskStatus.CANCELED:
                return TaskVersion(await self._cancel(task, event, context))
            if prev_version.is_missing:
                return TaskVersion(await self._tasks.create(task, event, context))
            await self._tasks.save(task, event, revision, context)
        except (TaskExistsError, TaskNotFoundError, TaskStateError, StaleTaskError):
            raise ConcurrentTaskModificationError(task.id) from None
        return TaskVersion(revision + 1)

    async def _cancel(self, task: Task, event: Event | None, context: ServerCallContext) -> int:
        await self._tasks.save(task, event, None, context)
        # Nothing changes a task that has ended, so this is the revision of the save.
        stored = self._tasks.find(task.id, context)
        if stored is None:
            raise TaskNotFoundError(task_id_of(task.id))
        return stored.revision

    async def get(self, task_id: str, context: ServerCallContext) -> StoredTask | None:
        """Return a task and its version; None if there is none, or if another owner has it."""
        found = self._tasks.find(task_id, context)
        if found is None:
            return None
        return StoredTask(task_of(found.message), TaskVersion(found.revision))

    async def list(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        """Return a page of the owner's tasks, the latest change first.

        Raises:
            InvalidParamsError: The page token or the size of the page is wrong.
        """
        return self._tasks.list(params, context)

    async def delete(self, task_id: str, context: ServerCallContext) -> None:
        """Remove a task; one that does not exist, or that another owner has, is left alone."""
        await self._tasks.delete(task_id, context)


def _encoded(event: Event | None) -> bytes | None:
    if event is None:
        return None
    data: bytes = to_stream_response(event).SerializeToString()
    return data

"""The events of tasks, replayed from any version and then as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Self

from a2a.server.cluster import TaskEventStream, TaskVersion, VersionedEvent
from a2a.server.events.event_queue import Event
from a2a.types.a2a_pb2 import StreamResponse
from opslifecycle import ChannelClosedError, RegistryClosedError
from opslifecycle.protocols.a2a.wire import revision_of, task_id_of, task_of

from opslifecycle.protocols.a2a.tasks import (
    AsyncA2aTaskRegistry,
    TaskEvent,
    TaskId,
    TaskNotFoundError,
    TaskSnapshot,
)


class RegistryEventStream(TaskEventStream):
    """A `TaskEventStream` of the SDK: the events that a `VersionedRegistryTaskStore` has saved.

    An event is published by the commit that stores it, and wakes its subscribers at once. Use the
    stream as an asynchronous context manager. Its end ends the subscriptions.

    Args:
        registry: The registry of the store. On several hosts, each passes its own handle of it.
    """

    def __init__(self, registry: AsyncA2aTaskRegistry) -> None:
        self._registry = registry
        self._feed = registry.events()
        self._position = 0
        # The retained entries of each task, and all of them in the order of their eviction.
        self._entries: dict[TaskId, deque[TaskEvent]] = {}
        self._order: deque[TaskEvent] = deque()
        self._followers: dict[TaskId, set[asyncio.Event]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._reader is not None
        self._reader.cancel()
        try:
            await asyncio.wait([self._reader])
        finally:
            self._wake_all()

    async def publish(self, task_id: str, event: VersionedEvent) -> None:
        """Do nothing: the store has saved the event in the commit of its task."""

    async def destroy(self, task_id: str) -> None:
        """Do nothing: retention removes events, and subscriptions end by themselves."""

    async def subscribe(  # type: ignore[override]
        self, task_id: str, *, after: TaskVersion
    ) -> AsyncGenerator[VersionedEvent, None]:
        """Iterate over the events of a task that follow a version.

        If some of them were evicted, the current task replaces them. The iteration ends with
        the last event of a task that has ended, and when the task is removed.

        Args:
            task_id: The name of the task.
            after: The version of the last event that the caller has.

        Raises:
            RegistryClosedError: The registry or the stream was closed.
        """
        id, position = task_id_of(task_id), revision_of(after)
        with self._following(id) as changed:
            while True:
                changed.clear()
                task = self._registry.snapshot(id)
                for revision, event in self._after(id, task, position):
                    position = revision
                    if event is not None:
                        yield VersionedEvent(event, TaskVersion(revision))
                if task is None or (task.status.terminal and task.revision <= position):
                    return
                if self._reader is None or self._reader.done():
                    raise RegistryClosedError
                await changed.wait()

    def _after(
        self, id: TaskId, task: TaskSnapshot | None, position: int
    ) -> list[tuple[int, Event | None]]:
        """Return the revisions of a task after a position, each with its event if it has one."""
        self._catch_up()
        entries = [each for each in self._entries.get(id, ()) if each.revision > position]
        is_gap = not entries or entries[0].revision > position + 1
        if task is not None and task.revision > position and is_gap:
            return [(task.revision, task_of(task.message))]
        return [(each.revision, _decoded(each.event)) for each in entries]

    @contextmanager
    def _following(self, id: TaskId) -> Iterator[asyncio.Event]:
        """Have an event set whenever a task changes, while the block runs."""
        changed = asyncio.Event()
        self._followers.setdefault(id, set()).add(changed)
        removal = asyncio.create_task(self._until_gone(id, changed))
        try:
            yield changed
        finally:
            removal.cancel()
            followers = self._followers[id]
            followers.discard(changed)
            if not followers:
                del self._followers[id]

    async def _until_gone(self, id: TaskId, changed: asyncio.Event) -> None:
        """Set an event when a task is removed, which the feed does not have."""
        try:
            await self._registry.watch(id)
        except (ChannelClosedError, RegistryClosedError, TaskNotFoundError):
            changed.set()

    async def _read(self) -> None:
        try:
            while True:
                await self._feed.wait_for_advance(self._position)
                self._catch_up()
        except RegistryClosedError:
            pass
        finally:
            # Whatever has ended it: nothing else wakes them.
            self._wake_all()

    def _catch_up(self) -> None:
        """Read new entries, wake those who follow their tasks, and forget what was evicted.

        The reader and every subscription do so. The entries come to one of them only, which
        therefore wakes the others, and itself: its task may be older than the entries.
        """
        batch = self._feed.list_since(self._position)
        self._position = batch.watermark
        while self._order and self._order[0].seq <= batch.dropped_through:
            self._forget(self._order.popleft())
        for entry in batch.entries:
            entries = self._entries.setdefault(entry.task_id, deque())
            if entries and entry.revision <= entries[-1].revision:
                entries.clear()  # another task, after the removal of the one of this name
            entries.append(entry)
            self._order.append(entry)
            for changed in self._followers.get(entry.task_id, ()):
                changed.set()

    def _forget(self, entry: TaskEvent) -> None:
        entries = self._entries.get(entry.task_id)
        if entries and entries[0] is entry:
            entries.popleft()
            if not entries:
                del self._entries[entry.task_id]

    def _wake_all(self) -> None:
        for followers in self._followers.values():
            for changed in followers:
                changed.set()


def _decoded(data: bytes | None) -> Event | None:
    if data is None:
        return None
    response = StreamResponse()
    response.ParseFromString(data)
    event: Event = getattr(response, str(response.WhichOneof("payload")))
    return event

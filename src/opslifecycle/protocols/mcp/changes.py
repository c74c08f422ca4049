"""Which tasks change: one reader of the feed, and who follows each task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from opslifecycle import CompletionFeedGapError, RegistryClosedError

from opslifecycle.protocols.mcp.tasks import AsyncMcpTaskRegistry, TaskId

#: What is called with the task that has changed.
Follower = Callable[[TaskId], None]
#: Whether what is waited for has happened.
Condition = Callable[[], bool]


class Changes:
    """Calls the followers of a task after each commit that has changed its status.

    Args:
        registry: The registry whose feed is read.
    """

    def __init__(self, registry: AsyncMcpTaskRegistry) -> None:
        self._feed = registry.changes()
        self._position = self._feed.watermark
        self._followers: dict[TaskId, list[Follower]] = {}

    @contextmanager
    def following(self, ids: Iterable[TaskId], follower: Follower) -> Iterator[None]:
        """Have a function called for changes of some tasks, while the block runs."""
        followed = list(ids)
        for id in followed:
            self._followers.setdefault(id, []).append(follower)
        try:
            yield
        finally:
            for id in followed:
                followers = self._followers[id]
                followers.remove(follower)
                if not followers:
                    del self._followers[id]

    async def read(self) -> None:
        """Read the feed until the registry is closed.

        Entries that were evicted unread may be of any task, so that all followers look again.
        """
        while True:
            try:
                async for change in self._feed.subscribe(after=self._position):
                    self._position = change.seq
                    self._tell(change.task_id)
            except CompletionFeedGapError as error:
                self._position = error.gap.dropped_through
                for id in list(self._followers):
                    self._tell(id)
            except RegistryClosedError:
                return

    async def until(self, id: TaskId, is_true: Condition) -> None:
        """Wait until a condition is true that a change of a task's status can make true."""
        changed = asyncio.Event()
        with self.following([id], lambda _: changed.set()):
            while not is_true():
                await changed.wait()
                changed.clear()

    def _tell(self, id: TaskId) -> None:
        for follower in list(self._followers.get(id, ())):
            follower(id)

"""Notifications of changed tasks, on the stream of a `subscriptions/listen` request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    ServerNotification,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
)
from opslifecycle.protocols.mcp.changes import Changes
from opslifecycle.protocols.mcp.wire import Json, TaskNotification

from opslifecycle.protocols.mcp.tasks import TaskId, TaskSnapshot

#: How many streams there may be at once, as many as the SDK has for other subscriptions.
STREAMS_MAX = 1024


class Listening:
    """Serves the streams of clients that listen for changes of tasks.

    Each notification has the whole task as it is then, so a slow reader misses states in between
    and never the last one. What is buffered for it are the identifiers of its own tasks.

    Args:
        changes: The changes of tasks.
        find: Returns the task with an identifier, if the client of the request owns it.
        detailed: Returns the JSON of a task.
    """

    def __init__(
        self,
        changes: Changes,
        find: Callable[[ServerRequestContext, str], TaskSnapshot | None],
        detailed: Callable[[TaskSnapshot], Json],
    ) -> None:
        self._changes = changes
        self._find = find
        self._detailed = detailed
        self._streams = 0

    def wanted(self, ctx: ServerRequestContext) -> list[str]:
        """Return the tasks that a request wants to follow; none if it is another request."""
        if ctx.method != "subscriptions/listen" or ctx.request_id is None:
            return []
        wanted = (ctx.params or {}).get("notifications")
        ids = wanted.get("taskIds") if isinstance(wanted, dict) else None
        return [id for id in ids if isinstance(id, str)] if isinstance(ids, list) else []

    async def serve(self, ctx: ServerRequestContext, ids: list[str]) -> Json:
        """Send the state of each task, then each change, until all of them have ended.

        Raises:
            MCPError: There are too many streams.
        """
        if self._streams >= STREAMS_MAX:
            raise MCPError(INTERNAL_ERROR, "Subscription limit reached")
        found = [task for id in dict.fromkeys(ids) if (task := self._find(ctx, id)) is not None]
        meta: Json = {SUBSCRIPTION_ID_META_KEY: ctx.request_id}
        changed: dict[TaskId, None] = {task.id: None for task in found}
        woken = asyncio.Event()

        def wake(id: TaskId) -> None:
            changed[id] = None
            woken.set()

        self._streams += 1
        try:
            with self._changes.following([task.id for task in found], wake):
                await self._acknowledge(ctx, list(changed), meta)
                unfinished = set(changed)
                while unfinished:
                    for id in list(changed):
                        del changed[id]
                        if not await self._send(ctx, id, meta):
                            unfinished.discard(id)
                    if unfinished and not changed:
                        woken.clear()
                        await woken.wait()
        finally:
            self._streams -= 1
        return {"resultType": "complete", "_meta": meta}

    async def _acknowledge(self, ctx: ServerRequestContext, ids: list[TaskId], meta: Json) -> None:
        honored = SubscriptionFilter.model_validate({"taskIds": [str(id) for id in ids]})
        params = SubscriptionsAcknowledgedNotificationParams(notifications=honored, _meta=meta)
        await ctx.session.send_notification(
            SubscriptionsAcknowledgedNotification(params=params), related_request_id=ctx.request_id
        )

    async def _send(self, ctx: ServerRequestContext, id: TaskId, meta: Json) -> bool:
        """Send a task as it is now, and return whether its status can still change."""
        task = self._find(ctx, str(id))
        if task is None or task.status.terminal:
            return False
        note = TaskNotification(params={**self._detailed(task), "_meta": meta})
        # The types of the SDK have its own notifications only; the session sends any model.
        await ctx.session.send_notification(
            cast(ServerNotification, note), related_request_id=ctx.request_id
        )
        return not task.status.milestone

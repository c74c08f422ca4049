"""The Tasks extension of MCP for a server, on a registry that survives the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self
from uuid import uuid4

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import principal_components
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding, ToolBinding
from mcp.server.mcpserver.server import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, CallToolRequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from opslifecycle import InvalidValueError
from opslifecycle.protocols.mcp.calls import Calls
from opslifecycle.protocols.mcp.changes import Changes
from opslifecycle.protocols.mcp.listening import Listening
from opslifecycle.protocols.mcp.tools import TaskTool
from opslifecycle.protocols.mcp.wire import (
    IDENTIFIER,
    Json,
    TaskParams,
    UpdateTaskParams,
    detailed_task_of,
    has_expired,
    not_found,
    task_of,
)

from opslifecycle.protocols.mcp.tasks import (
    AsyncMcpTaskRegistry,
    StaleTaskError,
    TaskId,
    TaskSnapshot,
    TaskStateError,
    TooManyTasksError,
)

_VERSIONS = frozenset(MODERN_PROTOCOL_VERSIONS)


def authenticated_owner(_: ServerRequestContext) -> str:
    """Return who sends a request: client, issuer and subject of its access token.

    A request without authentication, also one over standard input, has the owner "".
    """
    token = get_access_token()
    return "" if token is None else json.dumps(principal_components(token))


class TasksExtension(Extension):
    """The extension `io.modelcontextprotocol/tasks`: `tasks/get`, `tasks/update`, `tasks/cancel`.

    Use it as an asynchronous context manager around the server. Tools that an earlier process has
    left are called again, or fail, when the block begins. What runs at its end stays for the next
    process. For notifications of changed tasks, pass `extension.listen` to the server's
    `middleware`.

    Args:
        registry: The registry that holds the tasks. The caller opens and closes it.
        tools: The tools whose calls are tasks. The extension adds them to the server.
        owner_of: Who a request is from: a client sees and cancels the tasks of its owner only.
        poll_interval_ms: How often clients should ask for the state of a task.

    Raises:
        InvalidValueError: Two tools have one name.
    """

    identifier = IDENTIFIER

    def __init__(
        self,
        registry: AsyncMcpTaskRegistry,
        tools: Iterable[TaskTool],
        *,
        owner_of: Callable[[ServerRequestContext], str] = authenticated_owner,
        poll_interval_ms: int = 1000,
    ) -> None:
        self._registry = registry
        self._tools: dict[str, TaskTool] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise InvalidValueError("tools", f"two tools are called {tool.name!r}")
            self._tools[tool.name] = tool
        self._owner_of = owner_of
        self._poll_interval_ms = poll_interval_ms
        self._changes = Changes(registry)
        self._calls = Calls(registry, self._changes, self._tools)
        self._reader: asyncio.Task[None] | None = None
        self._listening = Listening(self._changes, self._find, self._detailed)

    async def __aenter__(self) -> Self:
        """Begin to run tools, first those that an earlier process has left."""
        self._reader = asyncio.create_task(self._changes.read(), name="mcp tasks: changes")
        try:
            await self._calls.take_up()
        except BaseException:
            # Python calls no `__aexit__` then.
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Interrupt the tools. Their tasks stay as they are."""
        try:
            await self._calls.stop()
        finally:
            reader, self._reader = self._reader, None
            if reader is not None:
                reader.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reader

    def tools(self) -> Sequence[ToolBinding]:
        """Return the tools, which the server lists as any others."""
        return [tool.binding() for tool in self._tools.values()]

    def methods(self) -> Sequence[MethodBinding]:
        """Return the three methods of the extension."""
        return [
            MethodBinding("tasks/get", TaskParams, self._get, _VERSIONS),
            MethodBinding("tasks/update", UpdateTaskParams, self._update, _VERSIONS),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, _VERSIONS),
        ]

    async def listen(self, ctx: ServerRequestContext, call_next: CallNext) -> HandlerResult:
        """Serve `subscriptions/listen` for tasks: middleware of the server.

        A request with `taskIds` gets notifications of these tasks alone, and its acknowledgement
        says so. It ends when all of them have ended. Other requests pass through.
        """
        ids = self._listening.wanted(ctx)
        if not ids:
            return await call_next(ctx)
        require_client_extension(ctx, IDENTIFIER)
        return await self._listening.serve(ctx, ids)

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext, call_next: CallNext
    ) -> HandlerResult:
        """Answer a call of one of the tools with a task, once that is durable."""
        tool = self._tools.get(params.name)
        if tool is None:
            return await call_next(ctx)
        if not _has_tasks(ctx):
            if tool.required:
                require_client_extension(ctx, IDENTIFIER)
            return await call_next(ctx)
        if self._reader is None:
            raise MCPError(INTERNAL_ERROR, "the server does not run tasks now")
        id = TaskId(str(uuid4()))  # a UUIDv7 can be guessed by who has one of the same millisecond
        arguments = json.dumps(params.arguments or {})
        try:
            await self._registry.create_task(
                id, self._owner_of(ctx), tool.name, arguments, tool.ttl_ms
            )
        except TooManyTasksError as error:
            raise MCPError(INTERNAL_ERROR, str(error)) from error
        snapshot = self._registry.snapshot(id)
        if snapshot is None:
            raise has_expired()
        self._calls.start(snapshot)
        return {"resultType": "task", **task_of(snapshot, self._poll_interval_ms)}

    async def _get(self, ctx: ServerRequestContext, params: TaskParams) -> Json:
        require_client_extension(ctx, IDENTIFIER)
        return self._detailed(self._owned(ctx, params.task_id))

    async def _update(self, ctx: ServerRequestContext, params: UpdateTaskParams) -> Json:
        require_client_extension(ctx, IDENTIFIER)
        while True:
            task = self._owned(ctx, params.task_id)
            requests: Json = json.loads(task.requests)
            accepted = {key: params.input_responses.get(key) for key in requests}
            accepted = {key: value for key, value in accepted.items() if value is not None}
            if not accepted:
                return {}  # nothing that is asked now: the protocol has it ignored
            left = {key: each for key, each in requests.items() if key not in accepted}
            responses = {**json.loads(task.responses), **accepted}
            try:
                await self._registry.store_responses(
                    task.id,
                    task.owner,
                    json.dumps(left),
                    json.dumps(responses),
                    bool(left),
                    task.revision,
                )
            except StaleTaskError:
                continue  # another request or response came first
            except TaskStateError:
                return {}  # it has ended meanwhile, and asks nothing any more
            return {}

    async def _cancel(self, ctx: ServerRequestContext, params: TaskParams) -> Json:
        require_client_extension(ctx, IDENTIFIER)
        task = self._owned(ctx, params.task_id)
        try:
            await self._registry.cancel_task(task.id, task.owner)
        except TaskStateError as error:
            if not error.already_done:
                raise
        return {}

    def _owned(self, ctx: ServerRequestContext, text: str) -> TaskSnapshot:
        snapshot = self._find(ctx, text)
        if snapshot is None:
            raise not_found()
        if snapshot.status.terminal:
            raise has_expired()
        return snapshot

    def _find(self, ctx: ServerRequestContext, text: str) -> TaskSnapshot | None:
        try:
            snapshot = self._registry.snapshot(TaskId(text))
        except InvalidValueError:
            return None
        return snapshot if snapshot and snapshot.owner == self._owner_of(ctx) else None

    def _detailed(self, snapshot: TaskSnapshot) -> Json:
        return detailed_task_of(snapshot, self._poll_interval_ms)


def _has_tasks(ctx: ServerRequestContext) -> bool:
    """Whether the client of a request has declared the extension, and can receive a task."""
    capabilities = ctx.session.client_capabilities
    declared = capabilities.extensions if capabilities else None
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS and IDENTIFIER in (declared or {})

"""Tools whose calls are tasks."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from mcp.server.extension import ToolBinding
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, CallToolResult, TextContent
from opslifecycle.logs import EventLog
from opslifecycle.protocols.mcp.wire import Json

_log = EventLog("mcp")
#: The time to live of a task, if neither its tool nor the extension says another one: one hour.
TTL_MS = 3_600_000


@attrs.frozen(eq=False)
class TaskTool:
    """A tool whose calls are tasks for clients that support them, and ordinary calls for others.

    Args:
        function: The tool. The SDK reads its name, parameters and docstring, as for other tools.
        restart: Whether a later process calls it again, with the same arguments, if this process
            ends before it does. Otherwise such a task fails.
        required: Whether a client without tasks is refused (-32021).
        ttl_ms: How long a task is kept, from its creation; None for ever.
        name: The name of the tool; by default the function's.
    """

    function: Callable[..., object]
    restart: bool = attrs.field(default=False, kw_only=True)
    required: bool = attrs.field(default=False, kw_only=True)
    ttl_ms: int | None = attrs.field(default=TTL_MS, kw_only=True)
    name: str = attrs.field(kw_only=True)
    _tool: Tool = attrs.field(init=False, repr=False)

    @name.default
    def _name(self) -> str:
        return str(getattr(self.function, "__name__", ""))

    @_tool.default
    def _make_tool(self) -> Tool:
        return Tool.from_function(self.function, name=self.name)

    def binding(self) -> ToolBinding:
        """Return the tool as an extension contributes it."""
        return ToolBinding(self.function, kwargs={"name": self.name})

    async def call(self, arguments: Json) -> CallToolResult:
        """Call the tool without a request, as the server does within one.

        Raises:
            MCPError: The tool raises it, or it returns an interim result.
        """
        try:
            result = await self._tool.run(arguments, Context(), convert_result=True)
        except ToolError as error:
            # What a caller has passed may be private, so an expected error is logged by its type.
            kind = type(error.__cause__ or error).__name__
            if isinstance(error, UnexpectedToolError):
                _log.error(
                    "tool_crashed", "the tool %s has failed: %s", self.name, kind, cause=error
                )
            else:
                _log.info("tool_failed", "the tool %s has failed: %s", self.name, kind)
            text = TextContent(type="text", text=str(error))
            return CallToolResult(content=[text], is_error=True)
        if not isinstance(result, CallToolResult):
            raise MCPError(
                INTERNAL_ERROR,
                f"the tool {self.name} returned {type(result).__name__} in a task;"
                " ask with current_task().ask() instead",
            )
        return result

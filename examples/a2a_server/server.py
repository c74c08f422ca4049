"""An agent that books a table: it asks how many persons come, and its tasks survive the server.

python server.py FOLDER --port N    http://127.0.0.1:N/
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import uvicorn
from a2a.helpers import get_message_text, new_task, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandlerV2
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import TaskUpdater
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, TaskState
from opslifecycle import SqliteStore
from opslifecycle.protocols.a2a.server import (
    RegistryEventStream,
    RegistryPushConfigStore,
    VersionedRegistryTaskStore,
    fail_interrupted,
)
from starlette.applications import Starlette

from opslifecycle.protocols.a2a.configs import AsyncA2aPushConfigRegistry
from opslifecycle.protocols.a2a.tasks import AsyncA2aTaskRegistry


class Waiter(AgentExecutor):
    """Asks one question, and then waits for a table."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id is not None
        assert context.context_id is not None
        assert context.message is not None
        task = TaskUpdater(event_queue, context.task_id, context.context_id)
        if context.current_task is None:
            first = new_task(context.task_id, context.context_id, TaskState.TASK_STATE_SUBMITTED)
            first.history.append(context.message)
            await event_queue.enqueue_event(first)
            await task.requires_input(new_text_message("how many are you?"))
            return
        await task.start_work()
        wish = get_message_text(context.current_task.history[0])
        persons = get_message_text(context.message)
        while not Path("table-is-free").exists():
            await asyncio.sleep(0.05)
        await task.add_artifact([new_text_part(f"{wish} for {persons}")], name="booking")
        await task.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id is not None
        assert context.context_id is not None
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def card(port: int) -> AgentCard:
    url = f"http://127.0.0.1:{port}/"
    return AgentCard(
        name="waiter",
        description="Books a table.",
        version="1",
        supported_interfaces=[
            AgentInterface(protocol_binding="JSONRPC", protocol_version="1.0", url=url)
        ],
        capabilities=AgentCapabilities(streaming=True, push_notifications=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
    )


async def main(folder: Path, port: int) -> None:
    tasks = await AsyncA2aTaskRegistry.open(store=SqliteStore(folder / "tasks.db"))
    configs = await AsyncA2aPushConfigRegistry.open(store=SqliteStore(folder / "configs.db"))
    async with tasks, configs, RegistryEventStream(tasks) as events:
        await fail_interrupted(tasks)
        handler = DefaultRequestHandlerV2(
            agent_executor=Waiter(),
            task_store=VersionedRegistryTaskStore(tasks),
            agent_card=card(port),
            push_config_store=RegistryPushConfigStore(configs),
            event_stream=events,
        )
        routes = [*create_agent_card_routes(card(port)), *create_jsonrpc_routes(handler, "/")]
        app = Starlette(routes=routes)
        await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning")).serve()
        await handler.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    asyncio.run(main(given.folder, given.port))

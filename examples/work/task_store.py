"""A store of tasks behind a line of JSON for each request, as servers of tools offer it.

python task_store.py [FILE]

    {"id": 1, "method": "create", "params": {"tool": "shout", "arguments": {"text": "hi"}}}
    {"id": 2, "method": "result", "params": {"task": "…"}}

`create` returns once the task is durable. After a crash, `create` with the same key finds the task,
and starts it again if it was interrupted.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from opslifecycle import (
    AsyncRegistry,
    Completed,
    OperationId,
    OperationLifecycleSnapshot,
    OpsLifecycleError,
    SqliteStore,
    unstructure,
)
from opslifecycle.work import Supervisor, current

Json = dict[str, Any]


async def shout(text: str) -> str:
    return text.upper()


async def count(to: int) -> int:
    for number in range(1, to + 1):
        current().progress(f"{number} of {to}", percent=100 * number / to)
        await asyncio.sleep(0.01)
    return to


METHODS = ("create", "get", "list", "result", "cancel")
TOOLS: dict[str, Callable[..., Any]] = {"shout": shout, "count": count}


class TaskStore:
    def __init__(self, registry: AsyncRegistry, work: Supervisor) -> None:
        self.registry = registry
        self.work = work

    async def create(self, tool: str, arguments: Json, key: str | None = None) -> Json:
        operation = await self.work.start(
            partial(TOOLS[tool], **arguments),
            name=tool,
            key=key,
            on_interrupt="return" if key is None else "requeue",
            timeout=3600,
        )
        return self.get(str(operation.id))

    def get(self, task: str) -> Json:
        snapshot = self.registry.snapshot(OperationId(task))
        if snapshot is None:
            raise LookupError(f"there is no task {task}")
        return told(snapshot)

    def list(self) -> list[Json]:
        return [told(each) for each in self.registry.list_operations()]

    async def result(self, task: str) -> Json:
        await self.registry.register_watcher(OperationId(task))
        return self.get(task)

    async def cancel(self, task: str) -> Json:
        await self.work.cancel(OperationId(task), "the client asked for it")
        return self.get(task)


def told(snapshot: OperationLifecycleSnapshot) -> Json:
    task: Json = {"task": str(snapshot.id), "tool": snapshot.display_name}
    task["status"] = snapshot.public_result_class.value
    if snapshot.latest_progress is not None:
        task["progress"] = snapshot.latest_progress.message
    if isinstance(snapshot.terminal_outcome, Completed):
        task["content"] = snapshot.terminal_outcome.result.content
    elif snapshot.terminal_outcome is not None:
        task["outcome"] = unstructure(snapshot.terminal_outcome)
    return task


async def answer(store: TaskStore, line: str) -> None:
    request = json.loads(line)
    try:
        if request["method"] not in METHODS:
            raise LookupError(f"there is no method {request['method']}")
        found = getattr(store, request["method"])(**request.get("params", {}))
        reply = {"result": await found if asyncio.iscoroutine(found) else found}
    except (LookupError, TypeError, OpsLifecycleError) as error:
        reply = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps({"id": request["id"], **reply}), flush=True)


async def main(path: str) -> None:
    registry = await AsyncRegistry.open(store=SqliteStore(path))
    async with registry, Supervisor(registry, max_running=4, on_exit="cancel") as work:
        store = TaskStore(registry, work)
        async with asyncio.TaskGroup() as group:
            while line := await asyncio.to_thread(sys.stdin.readline):
                group.create_task(answer(store, line))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "tasks.db"))

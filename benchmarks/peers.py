"""What others do with the same lifecycle, each in its own fastest recommended use.

Run by another interpreter, in which they are installed: python peers.py NAME. Prints the seconds
for one lifecycle: a new instance, start, a report of progress, complete; or for a task queue, one
task from being asked for to its result. Imports stand in the functions, because each peer is
measured by a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

STATES = ["provisioning", "running", "retiring", "completed", "failed", "aborted", "cancelled",
          "retired", "terminated"]  # fmt: skip
#: Event, sources, target.
EVENTS = [
    ("start", ["provisioning"], "running"),
    ("progress", ["running", "retiring"], None),
    ("complete", ["running", "retiring"], "completed"),
    ("fail", ["provisioning", "running", "retiring"], "failed"),
    ("abort", ["provisioning"], "aborted"),
    ("cancel", ["provisioning", "running", "retiring"], "cancelled"),
    ("request_retire", ["running"], "retiring"),
    ("mark_retired", ["running", "retiring"], "retired"),
    ("terminate", ["provisioning", "running", "retiring"], "terminated"),
]


def transitions() -> float:
    """transitions: one machine for many plain models."""
    from transitions import Machine

    class Model:
        pass

    machine = Machine(None, states=STATES, initial="provisioning", auto_transitions=False)
    for event, sources, target in EVENTS:
        for source in sources:
            machine.add_transition(event, source, target)
    count = 2_000
    start = time.perf_counter()
    for _ in range(count):
        model: Any = Model()
        machine.add_model(model)
        model.start()
        model.progress()
        model.complete()
        machine.remove_model(model)
    return (time.perf_counter() - start) / count


def python_statemachine() -> float:
    """python-statemachine: a class of states, an instance for each operation."""
    from statemachine import State, StateMachine

    space: dict[str, Any] = {
        name: State(initial=name == "provisioning", final=name in STATES[3:]) for name in STATES
    }
    for event, sources, target in EVENTS:
        arcs = [
            space[s].to(space[target]) if target else space[s].to.itself(internal=True)
            for s in sources
        ]
        joined = arcs[0]
        for arc in arcs[1:]:
            joined |= arc
        space[event] = joined
    operation: Any = type("Operation", (StateMachine,), space)
    count = 500
    start = time.perf_counter()
    for _ in range(count):
        machine = operation()
        machine.start()
        machine.progress()
        machine.complete()
    return (time.perf_counter() - start) / count


class _Inputs(Protocol):
    def start(self) -> None: ...
    def progress(self) -> None: ...
    def complete(self) -> None: ...
    def fail(self) -> None: ...
    def abort(self) -> None: ...
    def cancel(self) -> None: ...
    def request_retire(self) -> None: ...
    def mark_retired(self) -> None: ...
    def terminate(self) -> None: ...


def automat() -> float:
    """Automat: a built class over a plain core object."""
    from automat import TypeMachineBuilder

    class Core:
        pass

    builder: Any = TypeMachineBuilder(_Inputs, Core)
    states = {name: builder.state(name) for name in STATES}
    for event, sources, target in EVENTS:
        for source in sources:
            arc = states[source].upon(getattr(_Inputs, event))
            (arc.to(states[target]) if target else arc.loop()).returns(None)
    operation = builder.build()
    count = 5_000
    start = time.perf_counter()
    for _ in range(count):
        machine = operation(Core())
        machine.start()
        machine.progress()
        machine.complete()
    return (time.perf_counter() - start) / count


def sismic() -> float:
    """sismic: an interpreter for each operation, over one shared statechart."""
    from sismic.interpreter import Interpreter
    from sismic.model import BasicState, CompoundState, FinalState, Statechart, Transition

    chart: Any = Statechart("operation")
    chart.add_state(CompoundState("root", initial="provisioning"), None)
    for name in STATES:
        state = FinalState(name) if name in STATES[3:] else BasicState(name)
        chart.add_state(state, "root")
    for event, sources, target in EVENTS:
        for source in sources:
            chart.add_transition(Transition(source, target, event))
    count = 200
    start = time.perf_counter()
    for _ in range(count):
        machine = Interpreter(chart)
        machine.execute()
        for event in ("start", "progress", "complete"):
            machine.queue(event).execute()
    return (time.perf_counter() - start) / count


def xstate() -> float:
    """xstate-statemachine: the synchronous interpreter."""
    from xstate_statemachine import SyncInterpreter, create_machine

    arcs: dict[str, Any] = {name: {"on": {}} for name in STATES}
    for event, sources, target in EVENTS:
        for source in sources:
            arc: dict[str, Any] = {"target": target} if target else {"actions": []}
            arcs[source]["on"][event] = arc
    machine = create_machine({"id": "operation", "initial": "provisioning", "states": arcs})
    count = 200
    start = time.perf_counter()
    for _ in range(count):
        interpreter: Any = SyncInterpreter(machine)
        interpreter.start()
        for event in ("start", "progress", "complete"):
            interpreter.send(event)
        interpreter.stop()
    return (time.perf_counter() - start) / count


# Task queues -------------------------------------------------------------------------------------


def asyncio_tasks() -> float:
    """asyncio alone: a task for each operation, awaited; nothing is remembered."""
    count = 20_000

    async def work() -> int:
        return 1

    async def run() -> float:
        start = time.perf_counter()
        for _ in range(count):
            await asyncio.create_task(work())
        return (time.perf_counter() - start) / count

    return asyncio.run(run())


def huey() -> float:
    """Huey on SQLite with fsync: enqueue, execute, read the result, in one process."""
    from huey import SqliteHuey

    with tempfile.TemporaryDirectory() as folder:
        queue: Any = SqliteHuey("bench", filename=str(Path(folder, "h.db")), fsync=True)

        @queue.task()  # type: ignore[untyped-decorator]
        def work() -> int:
            return 1

        count = 200
        start = time.perf_counter()
        for _ in range(count):
            result = work()
            queue.execute(queue.dequeue())
            assert result.get() == 1
        return (time.perf_counter() - start) / count


def dbos() -> float:
    """DBOS on SQLite: a durable workflow of nothing, called and awaited."""
    import logging

    from dbos import DBOS

    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.db"})

        @DBOS.workflow()  # type: ignore[untyped-decorator]
        def work() -> int:
            return 1

        DBOS.launch()
        count = 50
        work()
        start = time.perf_counter()
        for _ in range(count):
            work()
        taken = (time.perf_counter() - start) / count
        DBOS.destroy()
        return taken


def taskiq() -> float:
    """taskiq with its broker in memory: asked for, and its result awaited."""
    from taskiq import InMemoryBroker

    broker: Any = InMemoryBroker(await_inplace=True)

    @broker.task  # type: ignore[untyped-decorator]
    async def work() -> int:
        return 1

    async def run() -> float:
        await broker.startup()
        count = 500
        start = time.perf_counter()
        for _ in range(count):
            asked = await work.kiq()
            await asked.wait_result(check_interval=0.001)
        return (time.perf_counter() - start) / count

    return asyncio.run(run())


def procrastinate() -> float:
    """procrastinate with its connector in memory: deferred, and worked off together."""
    import procrastinate as library
    from procrastinate.testing import InMemoryConnector

    app: Any = library.App(connector=InMemoryConnector())

    @app.task(name="work")  # type: ignore[untyped-decorator]
    async def work() -> int:
        return 1

    async def run() -> float:
        count = 200
        async with app.open_async():
            start = time.perf_counter()
            for _ in range(count):
                await work.defer_async()
            await app.run_worker_async(wait=False, install_signal_handlers=False, concurrency=1)
            return (time.perf_counter() - start) / count

    return asyncio.run(run())


PEERS: dict[str, Callable[[], float]] = {
    "transitions": transitions, "python-statemachine": python_statemachine, "Automat": automat,
    "sismic": sismic, "xstate-statemachine": xstate, "asyncio tasks": asyncio_tasks, "Huey": huey,
    "DBOS": dbos, "taskiq": taskiq, "procrastinate": procrastinate,
}  # fmt: skip

if __name__ == "__main__":
    print(json.dumps(PEERS[sys.argv[1]]()))

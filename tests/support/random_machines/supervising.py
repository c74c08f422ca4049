"""Work under a supervisor: whatever happens to it, its record says it in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

from opslifecycle import ChannelClosedError, MemoryStore, OpsLifecycleError
from opslifecycle.work import Operation, Supervisor, WorkNotRecordedError, current
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import public_names

from tests.support.random_machines.compiling import Generated
from tests.support.random_machines.values import Values
from tests.support.random_machines.verdicts import FaultError, Tally

#: A supervisor ends its work in far less.
_SECONDS_MAX = 60


async def _returns() -> str:
    current().progress("half", percent=50)
    await asyncio.sleep(0)
    return "12 pages"


async def _raises() -> None:
    raise LookupError("it is gone")


async def _returns_nonsense() -> object:
    return object()


def _in_a_thread() -> dict[str, int]:
    return {"pages": 12}


async def _waits() -> None:
    await asyncio.Event().wait()


#: Work, and the calls of which one records its end.
WORK: list[tuple[Callable[[], object], set[str]]] = [
    (_returns, {"complete", "fail"}),
    (_in_a_thread, {"complete", "fail"}),
    (_raises, {"fail"}),
    (_returns_nonsense, {"complete", "fail"}),
    (_waits, {"cancel", "fail"}),
]


class Supervision:
    """Runs work of every kind under one machine."""

    def __init__(self, found: Generated, tally: Tally) -> None:
        self._program: Program = found.program
        self._package: ModuleType = found.package
        self._features = tally.features
        self._values = Values(found.program, found.package, 1)

    def run(self) -> None:
        """Run work; raises FaultError for an end that is not recorded as the machine says."""
        if self._program.work is None:
            return
        try:
            asyncio.run(self._limited())
        except TimeoutError:
            raise FaultError("work", "a supervisor does not come to its end") from None
        except WorkNotRecordedError as error:
            if self._program.machine.global_guards:
                # They may reject whatever is asked, and what happens then is documented.
                self._features["work: rejected by a global guard"] += 1
                return
            raise FaultError("work", f"an end is not recorded: {error}") from error
        except (OpsLifecycleError, TypeError, AttributeError, KeyError, NameError) as error:
            raise FaultError("work", f"a supervisor crashes: {error!r}") from error

    async def _limited(self) -> None:
        async with asyncio.timeout(_SECONDS_MAX):
            await self._run()

    async def _run(self) -> None:
        kind = getattr(self._package, public_names(self._program.machine).async_registry)
        opened: Awaitable[Any] | None = None
        if self._program.recovery is not None:
            opened = kind._open(store=MemoryStore())
        registry = await opened if opened is not None else kind()
        try:
            operations: list[tuple[Operation[Any, Any], set[str]]] = []
            async with Supervisor(registry, max_running=2) as work:
                for number, (function, ends) in enumerate(WORK):
                    operation = await self._started(work, function, number)
                    if operation is not None:
                        operations.append((operation, ends))
                        if function is _waits:
                            await operation.cancel("enough")
            for operation, ends in operations:
                await self._check(registry, operation, ends)
        finally:
            await registry._close()

    async def _started(self, work: Any, function: Any, number: int) -> Any:
        assert self._program.work is not None
        given = {n: self._values.sample(t, number) for n, t in self._program.work.given.items()}
        try:
            return await work.start(function, given=given or None, key=f"key {number}")
        except OpsLifecycleError:
            # Guards of `create` may refuse it: then there is no record, and nothing runs.
            self._features["work: refused"] += 1
            return None

    async def _check(self, registry: Any, operation: Any, ends: set[str]) -> None:
        try:
            await operation
        except ChannelClosedError:
            # An end that is discarded leaves nothing.
            return
        snapshot = getattr(registry, str(self._program.machine.snapshot.method))(operation.id)
        if snapshot is None or not hasattr(snapshot, "status"):
            return
        if self._program.timers:
            # A timer may have been faster.
            wanted = {*self._program.symbols.status_groups["terminal"]}
        else:
            wanted = {to for end in ends for to in self._targets(end)}
        self._features["work: recorded"] += 1
        if snapshot.status.value not in wanted:
            raise FaultError("work", f"{snapshot} of work that ends in {sorted(wanted)}")

    def _targets(self, end: str) -> set[str]:
        work = self._program.machine.work
        assert work is not None
        name = str(getattr(work, end).do)
        command = next(each for each in self._program.actions if each.name == name)
        return {way.to for way in command.ways}

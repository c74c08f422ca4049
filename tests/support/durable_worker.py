"""A process that works on a store until it is killed, and says on a pipe what was acknowledged."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from opslifecycle import AsyncRegistry, SqliteStore
from opslifecycle.stores.base import Commit

from tests.support.builders import result, spec


class Forgetful(SqliteStore):
    """A store that is wrong on purpose: it acknowledges first and keeps ten commits at a time."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._pending: list[Commit] = []

    def append(self, commit: Commit) -> None:
        self._pending.append(commit)
        if len(self._pending) == 10:
            for each in self._pending:
                super().append(each)
            self._pending.clear()


async def work(path: str, kind: Any, at_once: int, max_completed: int) -> None:
    store = Forgetful(path) if kind == "forgetful" else SqliteStore(path, durability=kind)
    async with AsyncRegistry(store=store, max_completed=max_completed) as registry:

        async def one() -> None:
            while True:
                made = spec()
                say("try", made.id)
                await registry.register_operation(made)
                say("registered", made.id)
                await registry.provisioning_succeeded(made.id)
                await registry.complete_operation(made.id, result(str(made.id)))
                say("completed", made.id)

        say("ready", "")
        await asyncio.gather(*(one() for _ in range(at_once)))


def say(what: str, id: object) -> None:
    # One write for each line, which a pipe takes whole.
    os.write(1, f"{what} {id}\n".encode())


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))

"""A host that shares the registries of a schema with others.

    python -m tests.support.cluster.host_program DSN SCHEMA

It prints a line when it has opened a registry and when it has given one back, and completes every
operation whose name is not `stay`.
"""

from __future__ import annotations

import asyncio
import sys

from opslifecycle import AsyncRegistry, InvalidTransitionError, OperationStatus, OpsLifecycleError
from opslifecycle.cluster import Cluster

from tests.support.builders import result


async def handle(name: str, registry: AsyncRegistry) -> None:
    """Complete what is running."""
    print("opened", name, flush=True)
    try:
        while True:
            for each in registry.list_operations(status=OperationStatus.RUNNING):
                if each.display_name != "stay":
                    try:
                        await registry.complete_operation(each.id, result())
                    except InvalidTransitionError:
                        # It has ended meanwhile.
                        continue
            await asyncio.sleep(0.01)
    except OpsLifecycleError as error:
        print("failed", name, repr(error), flush=True)
        raise
    finally:
        print("released", name, flush=True)


async def main() -> None:
    """Share the registries until SIGTERM."""
    dsn, schema = sys.argv[1:]
    async with Cluster(
        dsn, AsyncRegistry, schema=schema, poll_seconds=0.1, lease_seconds=2
    ) as cluster:
        await cluster.run(handle)
    print("drained", flush=True)


if __name__ == "__main__":
    asyncio.run(main())

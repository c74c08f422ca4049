"""Fetch files, four at once, under a machine of one's own.

python mirror.py [FILE]
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

from opslifecycle import SqliteStore
from opslifecycle.work import Supervisor, current

from download import AsyncDownloadRegistry, DownloadStatus

ADDRESSES = ("a.example/one", "a.example/two", "b.example/gone", "c.example/slow")


async def fetch(address: str) -> str:
    """Stand in for a client: return where the file was saved."""
    current().progress("half of it", percent=50)
    if address.endswith("slow"):
        await asyncio.Event().wait()
    if address.endswith("gone"):
        raise LookupError(f"{address} is gone")
    return f"/srv/{address}"


async def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "mirror.db")
    registry = await AsyncDownloadRegistry.open(store=SqliteStore(path))
    async with registry, Supervisor(registry, max_running=4) as work:
        operations = [
            await work.start(fetch, each, key=each, given={"address": each})
            for each in ADDRESSES
        ]
        print(await operations[-1].cancel("too slow"))
        outcomes = [await operation for operation in operations]
        assert outcomes[0] is DownloadStatus.SAVED
        for each in registry.downloads():
            print(f"{each.address}: {each.status.value} {each.place or ''}".rstrip())


if __name__ == "__main__":
    asyncio.run(main())

"""A kitchen whose process is killed while an oven cooks: the next process has the meal ready.

python kitchen.py [FILE]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

from opslifecycle import SqliteStore

from oven import (
    OvenDoor,
    OvenEngine,
    OvenId,
    OvenOutboxMessage,
    OvenRegistry,
    OvenSnapshot,
)

SOUP_MS, PIE_MS = 300, 400


def show(message: OvenOutboxMessage) -> None:
    """Apply an effect: a real oven would switch its lamp or its bell here."""


def kitchen_of(path: Path) -> OvenRegistry:
    """Open the kitchen in a file."""
    return OvenRegistry(store=SqliteStore(path), on_effect=show)


def begin(path: Path) -> None:
    """Begin to cook the soup, and wait to be killed."""
    kitchen = kitchen_of(path)
    resting = kitchen.ovens(door=OvenDoor.CLOSED, engine=OvenEngine.RESTING)
    id = resting[0].id if resting else OvenId.new()
    if not resting:
        kitchen.install(id)
    kitchen.cook(id, SOUP_MS)
    print("cooking", flush=True)
    sys.stdin.read()


def found(kitchen: OvenRegistry, id: OvenId) -> OvenSnapshot:
    """Return an oven that exists."""
    oven = kitchen.snapshot(id)
    assert oven is not None
    return oven


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "kitchen.db")
    cook = subprocess.Popen(
        [sys.executable, __file__, str(path), "begin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert cook.stdout is not None
    assert cook.stdout.readline() == b"cooking\n"
    cook.kill()
    cook.communicate()
    with kitchen_of(path) as kitchen:
        (oven,) = kitchen.ovens(door=OvenDoor.CLOSED)
        outcome = kitchen.watch(oven.id).result(30)
        print(f"soup: {outcome.value}, although its process was killed")
        kitchen.open_door(oven.id)
        kitchen.cook(oven.id, PIE_MS)
        print(f"pie, with an open door: {found(kitchen, oven.id).status.value}")
        kitchen.close_door(oven.id)
        kitchen.open_door(oven.id)
        interrupted = found(kitchen, oven.id)
        assert 0 < interrupted.rest_ms <= PIE_MS
        print(f"pie, interrupted: {interrupted.status.value}")
        kitchen.close_door(oven.id)
        print(f"pie: {kitchen.watch(oven.id).result(30).value}")
        kitchen.open_door(oven.id)
        kitchen.close_door(oven.id)
        status = found(kitchen, oven.id).status
        print(f"the door is {status.door.value}, the engine {status.engine.value}")


if __name__ == "__main__":
    if sys.argv[2:] == ["begin"]:
        begin(Path(sys.argv[1]))
    else:
        main()

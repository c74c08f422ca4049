"""The lamps of a house, kept in a file: every run switches them, and they stay as they are.

python house.py [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

from opslifecycle import SqliteStore

from lamp import LampId, LampNotFoundError, LampRegistry, LampStatus

ROOMS = ("hall", "kitchen", "study")
SWITCHES_MAX = 3


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "house.db")
    with LampRegistry(store=SqliteStore(path)) as house:
        if not house.lamps():
            for room in ROOMS:
                house.hang(LampId.new(), room)
        for lamp in house.lamps(status=LampStatus.LIT):
            house.darken(lamp.id)
            if lamp.switched == SWITCHES_MAX:
                watch = house.watch(lamp.id)
                house.note_broken(lamp.id)
                assert watch.result(0) is LampStatus.BROKEN
        for lamp in house.lamps(status=LampStatus.DARK):
            house.light(lamp.id)
        try:
            house.light(LampId.new())
        except LampNotFoundError as error:
            print(f"refused by the guard {error.guard}: {type(error).__name__}")
        for lamp in house.lamps():
            print(f"{lamp.room}: {lamp.status.value}, switched {lamp.switched} times")


if __name__ == "__main__":
    main()

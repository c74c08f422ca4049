"""A process that wants a store which another process owns; says whether it was refused.

python -m tests.support.chaos.second_owner PART STORE
"""

from __future__ import annotations

import sys

from opslifecycle import PersistenceError, Registry, SqliteStore

from tests.support.chaos.office_part import approval


def main() -> None:
    part, path = sys.argv[1:]
    make = Registry if part == "operations" else approval.ApprovalRegistry
    try:
        make(store=SqliteStore(path)).close()
    except PersistenceError:
        # That it is owned, or locked for longer than an opening waits.
        print("refused")
    else:
        print("opened")


if __name__ == "__main__":
    main()

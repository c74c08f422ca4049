"""An office in which requests are approved, kept in a file.

    python office.py [FILE]

Three people decide on requests while one waits for all of them. The program then ends without
closing anything, as if it had been killed, and a second look at the file finds what was decided,
what is still open, and the effects that nobody had carried out yet.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

from opslifecycle import SqliteStore

from approval import (
    ApprovalRegistry,
    Ask,
    AsyncApprovalRegistry,
    BatchId,
    DecisionReader,
    OwnRequestError,
    PersonId,
    QuorumMissingError,
    RequestId,
    RequestKind,
    RequestOutboxMessage,
    Vote,
)

HOUR_MS = 3_600_000


def ask(kind: RequestKind, by: PersonId, title: str, amount: int) -> Ask:
    expires_at_ms = time.time_ns() // 1_000_000 + HOUR_MS
    return Ask(RequestId.new(), kind, by, title, amount, expires_at_ms)


async def work(path: Path) -> None:
    """A morning at the office, which ends abruptly."""
    office = AsyncApprovalRegistry(store=SqliteStore(path))
    ada, bob, cleo = PersonId.new(), PersonId.new(), PersonId.new()
    asks = [
        ask(RequestKind.EXPENSE, ada, "train ticket", 120),
        ask(RequestKind.PURCHASE, bob, "a second screen", 300),
        ask(RequestKind.ACCESS, cleo, "the archive", 0),
        ask(RequestKind.PURCHASE, cleo, "a piano", 9_000),
    ]
    for each in asks:
        await office.draft(each)
        await office.circulate(each.id)
    ticket, screen, archive, piano = (each.id for each in asks)
    decided = office.wait_for_batch(BatchId.new(), [ticket, screen, piano])
    now_ms = time.time_ns() // 1_000_000
    try:
        await office.grant(ticket, Vote(ada, now_ms))
    except OwnRequestError as error:
        print(f"refused by {error.guard}: nobody approves a request of their own")
    try:
        await office.grant(archive, Vote(ada, now_ms))
    except QuorumMissingError as error:
        print(
            f"refused by {error.guard}: {error.approvals} of {error.quorum} approvals"
        )
    await office.grant(ticket, Vote(bob, now_ms))
    await office.endorse(screen, Vote(ada, now_ms))
    await office.grant(screen, Vote(cleo, now_ms, "at last"))
    await office.endorse(archive, Vote(ada, now_ms))
    await office.deny(piano, bob, "too loud")
    for _, decision in (await decided).outcomes:
        print(f"decided: {type(decision).__name__}")
    last = office.decisions().watermark
    await office.mark_read(DecisionReader.BOOKKEEPING, last)
    # No close: what was acknowledged is on the disk whatever happens to this process.


def look(path: Path) -> None:
    """What a later process finds, and does for the one before."""
    told: list[str] = []

    def tell(call: RequestOutboxMessage) -> None:
        told.append(f"{call.number} {call.snapshot.ask.title}")

    with ApprovalRegistry(store=SqliteStore(path), on_effect=tell) as office:
        for each in office.requests():
            standing = office.standing_of(each.id).value
            votes = f"{each.approvals} of {each.quorum} approvals"
            print(f"{each.ask.title}: {each.status.value} ({standing}), {votes}")
        public = office.decisions().list_since(0)
        print("public decisions:", ", ".join(entry.title for entry in public.entries))
        print(
            "bookkeeping has read up to", office.read_up_to(DecisionReader.BOOKKEEPING)
        )
        while office.pending_effects():
            time.sleep(0.01)
        print("told:", ", ".join(told))
        print("broken invariants:", office.broken_invariants())


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "office.db")
    if path.exists():
        look(path)
        return
    # In a process of its own, so that its end is a real one.
    script = (
        f"import asyncio, office; asyncio.run(office.work(office.Path({str(path)!r})))"
    )
    script += "; import os; os._exit(1)"
    subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, check=False
    )
    look(path)


if __name__ == "__main__":
    main()

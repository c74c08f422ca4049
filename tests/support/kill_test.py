"""Kill a working process again and again: nothing acknowledged is lost, doubled or torn.

make kill-test        or        python -m tests.support.kill_test [ROUNDS]
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from opslifecycle import Completed, Registry, SqliteStore, Terminated

ROOT = Path(__file__).parents[2]
STORES = ("process", "power")


class Ledger:
    """What a killed process has said, over many lives of one store."""

    def __init__(self) -> None:
        self.tried: set[str] = set()
        self.registered: set[str] = set()
        self.completed: set[str] = set()

    def note(self, lines: Iterator[str]) -> None:
        sets = {"try": self.tried, "registered": self.registered, "completed": self.completed}
        for line in lines:
            what, _, id = line.partition(" ")
            if what in sets:
                sets[what].add(id)


def kill_once(path: Path, how: list[str], ledger: Ledger, seconds: float) -> None:
    """Let a process work for some time, kill it, and note what it has said."""
    command = [sys.executable, "-m", "tests.support.durable_worker", str(path), *how]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        assert lines[0].startswith("ready"), lines
        # The pipe is read only after the kill: what fits into it is what was said before.
        time.sleep(seconds)
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
    # The last line may be cut; a cut line says nothing.
    ledger.note(line.strip() for line in lines if line.endswith("\n"))


def verify(path: Path, ledger: Ledger) -> None:
    """Open the store and compare it with everything that was acknowledged."""
    with Registry(store=SqliteStore(path)) as registry:
        rows = registry.completion_feed().list_since(0)
        seqs = [row.seq for row in rows.entries]
        expected = list(range(rows.dropped_through + 1, rows.watermark + 1))
        assert seqs == expected, "sequences are missing or doubled"
        ended = {str(row.operation_id): row.terminal_outcome for row in rows.entries}
        assert len(ended) == len(seqs), "an operation has ended twice"
        assert registry.broken_invariants() == []
        held = {str(each.id) for each in registry.list_operations()}
    assert ended.keys() == held, "the feed and the records tell different stories"
    lost = (ledger.registered | ledger.completed) - held
    assert len(lost) <= rows.dropped_through, f"acknowledged and lost: {sorted(lost)[:5]}"
    assert held <= ledger.tried, "something is held that nobody asked for"
    for id, outcome in ended.items():
        if isinstance(outcome, Completed):
            assert outcome.result.content == id, "a result belongs to another operation"
        else:
            assert isinstance(outcome, Terminated)
            assert id not in ledger.completed, f"acknowledged as completed, and lost: {id}"


def kill_repeatedly(
    rounds: int,
    seed: int,
    folder: Path,
    *,
    seconds_max: float = 0.3,
    stores: Sequence[str] = STORES,
) -> tuple[int, int]:
    """Kill so many times, each store several times; gives the kills and what was acknowledged."""
    chance = random.Random(seed)
    acknowledged = 0
    for number in range(rounds):
        if number % 10 == 0:
            ledger, path = Ledger(), folder / f"{number}.db"
            max_completed = chance.choice(["40", "100000"])
        store, at_once = chance.choice(stores), str(chance.choice([1, 8, 64]))
        before = len(ledger.registered) + len(ledger.completed)
        kill_once(path, [store, at_once, max_completed], ledger, chance.uniform(0.05, seconds_max))
        acknowledged += len(ledger.registered) + len(ledger.completed) - before
        verify(path, ledger)
    assert acknowledged > rounds, "nothing was acknowledged, so nothing was checked"
    return rounds, acknowledged


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        kills, acknowledged = kill_repeatedly(rounds, seed, Path(folder))
    print(f"{kills} kills, {acknowledged} acknowledged transitions: 0 lost, 0 duplicated, 0 torn")


if __name__ == "__main__":
    main()

"""A threaded program that counts primes and goes on where a killed process stopped: run it again.

python primes.py [FILE]
"""

from __future__ import annotations

import sys

from opslifecycle import Completed, Registry, SqliteStore
from opslifecycle.work import StartAgain, Supervisor, current

WIDTH, SHARES = 500, 40


def count_primes(first: int) -> int:
    found = 0
    for number in range(max(2, first), first + WIDTH):
        current().raise_if_stopped()
        found += all(number % each for each in range(2, int(number**0.5) + 1))
    return found


def main(path: str) -> int:
    total = 0
    with (
        Registry(store=SqliteStore(path)) as registry,
        Supervisor(registry, max_running=4, source="primes") as work,
    ):
        work.recover({"count_primes": count_primes}, on_interrupted=lambda _: StartAgain())
        shares = range(0, SHARES * WIDTH, WIDTH)
        operations = [work.start(count_primes, first, key=f"from {first}") for first in shares]
        for operation in work.as_completed(operations):
            match operation.result():
                case Completed(result):
                    total += int(result.content)
                case outcome:
                    sys.exit(f"{operation.id} ended otherwise: {outcome}")
    return total


if __name__ == "__main__":
    print(main(sys.argv[1] if len(sys.argv) > 1 else "primes.db"))

"""The threaded example, killed by a signal, counts every share once in the end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from opslifecycle import Completed, Registry, SqliteStore

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/work/primes.py"
#: The number of primes below 20,000.
PRIMES = 2262

#: Kills the process in the call of the function with a number.
KILLED = """
import itertools, os, runpy, signal, sys
example = runpy.run_path(sys.argv[1])
real, calls, last = example["count_primes"], itertools.count(1), int(sys.argv[3])

def count_primes(first):
    if next(calls) == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(first)

example["main"].__globals__["count_primes"] = count_primes
example["main"](sys.argv[2])
"""


@pytest.mark.nightly
def test_it_is_killed_by_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "primes.db"
    for call in (1, 9):
        run = [sys.executable, "-c", KILLED, str(EXAMPLE), str(path), str(call)]
        done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == -signal.SIGKILL, done.stderr
    run = [sys.executable, str(EXAMPLE), str(path)]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == f"{PRIMES}\n", done.stderr
    with Registry(store=SqliteStore(path)) as registry:
        entries = registry.completion_feed().list_since(0).entries
        assert len(entries) == len({each.operation_id for each in entries}) == 40
        assert all(isinstance(each.terminal_outcome, Completed) for each in entries)

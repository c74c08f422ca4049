"""Another revision of the package, measured in turns with this one by the contests of here.

A process of its own imports the other revision's package, from a worktree under `build/`, and runs
a round of a contestant for each line that it is sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.measuring import Contest, Named, Ratio, figure_of

ROOT = Path(__file__).parents[1]

#: Gives the figure of one round of a contestant, by the names of its contest and itself.
Ask = Callable[[str, str], float]


@contextlib.contextmanager
def revision(name: str) -> Iterator[Ask]:
    """Another revision of the package, by its name in git, for as long as it is asked."""
    git = ["git", "-C", str(ROOT)]
    asked = [*git, "rev-parse", "--quiet", "--verify", f"{name}^{{commit}}"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"git knows no revision {name!r}")
    worktree = str(ROOT / "build" / "revision")
    remove = [*git, "worktree", "remove", "--force", worktree]
    # A run that was killed may have left it.
    subprocess.run(remove, capture_output=True, check=False)
    add = [*git, "worktree", "add", "--quiet", "--detach", worktree, found.stdout.strip()]
    subprocess.run(add, check=True)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks", "--answer"], cwd=ROOT, text=True,
            env={**os.environ, "PYTHONPATH": os.path.join(worktree, "src")},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        with process:
            yield partial(_ask, process)
    finally:
        subprocess.run(remove, check=True)


def _ask(process: subprocess.Popen[str], contest: str, contestant: str) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([contest, contestant]) + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise RuntimeError(f"the other revision cannot hold {contest!r}; what it printed is above")
    return float(answer)


def beside(contest: Contest, ask: Ask) -> tuple[Contest, list[Ratio]]:
    """A contest in which each contestant takes turns with itself before, and their ratios."""
    before = {f"{one}, before": partial(ask, contest.name, one) for one in contest.contestants}
    contestants = {
        name: run
        for pair in zip(contest.contestants.items(), before.items(), strict=True)
        for name, run in pair
    }
    ratios = [
        Ratio(f"{one}, in parts of before", contest.name, (one,), (f"{one}, before",), 1.0,
              at_least=False)
        for one in contest.contestants
    ]  # fmt: skip
    return Contest(contest.name, contest.unit, contestants, contest.in_bytes), ratios


def answer(contests: Sequence[Named]) -> None:
    """Run what standard input asks for, one contest held at a time."""
    makes, held = dict(contests), None
    for line in sys.stdin:
        name, contestant = json.loads(line)
        if held is None or held.name != name:
            # The one before goes first: some hold much in memory.
            held = None
            held = makes[name]()
        print(figure_of(held.contestants[contestant]), flush=True)

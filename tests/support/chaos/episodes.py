"""Episodes: programs on fresh stores, and faults by chance until the time is up."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from attrs import define, field

from tests.support.chaos import batch_faults
from tests.support.chaos.batch import BatchRun
from tests.support.chaos.clocks import wall_clock
from tests.support.chaos.faults import FAULTS, possible
from tests.support.chaos.library import Library
from tests.support.chaos.places import Skips, may_be_another_user, small_disk
from tests.support.chaos.target import Limits, Target
from tests.support.chaos.verdict import ViolationError


@define
class Findings:
    """What a campaign has done and found."""

    seed: int
    skips: Skips = field(factory=Skips)
    faults: Counter[str] = field(factory=Counter)
    counts: Counter[str] = field(factory=Counter)
    violations: list[str] = field(factory=list)
    kinds: list[str] = field(factory=list)

    def lines(self) -> list[str]:
        """Return the figures."""
        shown = [f"{count} {name}" for name, count in sorted(self.faults.items())]
        lines = [f"seed {self.seed}", f"{self.faults.total()} faults: {', '.join(shown)}"]
        lines += [f"{count} {name}" for name, count in sorted(self.counts.items())]
        return [*lines, *self.skips.lines(), *self.violations, self._verdict()]

    def _verdict(self) -> str:
        found = Counter(self.kinds)
        names = ("lost", "duplicated", "wrong", "hang", "orphan", "traceback")
        return ", ".join(f"{found[name]} {name}" for name in names)


@contextlib.contextmanager
def judged(target: Target, findings: Findings, seed: int, keep: Path | None) -> Iterator[None]:
    """Note a violation, with what is needed to look into it."""
    try:
        yield
    except ViolationError as error:
        findings.kinds.append(error.kind)
        findings.violations.append(f"{type(target).__name__} episode {seed}: {error}")
        print(findings.violations[-1], flush=True)
        if keep is not None:
            place = keep / f"{type(target).__name__}-{seed}"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(target.folder, place, ignore=shutil.ignore_patterns("fill"))
            journal = "\n".join(json.dumps(line) for line in target.journal())
            (place / "journal").write_text(journal)
            findings.violations.append(f"  its files: {place}")


def library_episode(
    findings: Findings,
    seed: int,
    seconds: float,
    limits: Limits,
    *,
    defect: str = "none",
    faults: Container[str] = FAULTS,
    keep: Path | None = None,
) -> None:
    """Have faults befall a library program for so long, and compare it after each."""
    with contextlib.ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        # Another user has to come through it.
        folder.chmod(0o755)
        disk = ends.enter_context(small_disk(folder / "disk", findings.skips))
        library = Library(disk, seed, limits, defect)
        library.clock = wall_clock(folder, findings.skips)
        if not may_be_another_user():
            findings.skips.add("other_user", "no program of the project can run as another user")
        ends.callback(library.release)
        ends.enter_context(judged(library, findings, seed, keep))
        ends.callback(lambda: findings.counts.update(library.models.counts))
        library.start()
        library.goes_on()
        weights = {name: of for name, of in possible(library).items() if name in faults}
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            library.hear(limits.calm_max * library.chance.random())
            library.goes_on()
            (name,) = library.chance.choices(list(weights), list(weights.values()))
            findings.faults[name] += 1
            FAULTS[name][1](library)
            library.goes_on()
        library.finish()
        library.verify(owner_lives=False)


def batch_episode(
    findings: Findings, seed: int, seconds: float, limits: Limits, *, keep: Path | None = None
) -> None:
    """Have faults befall one run of a batch after another for so long."""
    with contextlib.ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        disk = ends.enter_context(small_disk(folder / "disk", findings.skips))
        run = BatchRun(disk, seed, limits)
        ends.callback(run.release)
        ends.enter_context(judged(run, findings, seed, keep))
        ends.callback(lambda: findings.counts.update(run.counts))
        weights = batch_faults.possible(run)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            run.start()
            run.await_store()
            if run.chance.random() < 0.5:
                run.follow()
            run.hear(limits.calm_max * run.chance.random())
            (name,) = run.chance.choices(list(weights), list(weights.values()))
            findings.faults[name] += 1
            batch_faults.FAULTS[name][1](run)
        batch_faults.collect(run)


Episode = Callable[[int, float], None]


def campaign(findings: Findings, seconds: float, episode_seconds: float, *kinds: Episode) -> None:
    """Run episodes of each kind in turn until the time is up."""
    chance = random.Random(findings.seed)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        for kind in kinds:
            kind(chance.randrange(2**32), min(episode_seconds, left / len(kinds)))

"""What notices a small mistake in the machine's file.

A mutant is killed by the compiler, which refuses it; by the tables of the contract, which were
written by hand; by a property that does not hold; or by figures that differ from the baseline. And
of one that breaks a property, induction must not show that it keeps all of them.

python -m tests.support.proof.mutation [--share 0.1]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

from attrs import frozen
from opslifecycle_codegen.analysis.analyze import analyze
from opslifecycle_codegen.base.diagnostics import Diagnostics, InvalidMachineError
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck import baseline
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.symbolic.induction import induction
from opslifecycle_codegen.source.parser import parse

from tests.support.proof.machines import ROOT
from tests.support.proof.mutants import EQUIVALENT, Mutant, mutants, tree
from tests.support.proof.table_oracle import broken_cell

KNOWN = baseline.load(ROOT / "machine/ops_lifecycle.baseline.json")


def killer(mutant: Mutant) -> str | None:
    """What notices a mutant; None if nothing does."""
    root = tree()
    mutant.edit(root)
    diagnostics = Diagnostics()
    try:
        program = analyze(parse(root, diagnostics), diagnostics)
    except InvalidMachineError:
        return "the compiler"
    cell = broken_cell(program)
    if cell is not None:
        return "the tables of the contract"
    return _searched(program)


def _searched(program: Program) -> str | None:
    for scenario in scenarios(program):
        if scenario.declared.large:
            continue
        known = KNOWN[scenario.name]
        found = Search(scenario, states_max=known["states"]).run()
        if found.violation is not None:
            return "a property"
        if not found.closed or baseline.differences(KNOWN, [found]):
            return "the figures"
    return None


@frozen
class Tried:
    """What became of some mutants: who killed how many, and who lives for no stated reason."""

    killed: Counter[str]
    #: Those that break a property.
    broken: tuple[str, ...]
    lived: tuple[str, ...]
    same: tuple[str, ...]

    @property
    def total(self) -> int:
        return self.killed.total() + len(self.lived) + len(self.same)


def tried(chosen: list[Mutant]) -> Tried:
    """Try some mutants, on two processes."""
    with ProcessPoolExecutor(2) as pool:
        killers = list(pool.map(killer_named, [each.name for each in chosen], chunksize=4))
    pairs = list(zip(chosen, killers, strict=True))
    alive = [mutant.name for mutant, by in pairs if by is None]
    return Tried(
        Counter(by for _, by in pairs if by is not None),
        tuple(mutant.name for mutant, by in pairs if by == "a property"),
        tuple(name for name in alive if name not in EQUIVALENT),
        tuple(name for name in alive if name in EQUIVALENT),
    )


def killer_named(name: str) -> str | None:
    """What notices the mutant of this name; a rule that cannot be carried out is noticed, too."""
    mutant = next(each for each in mutants() if each.name == name)
    try:
        return killer(mutant)
    except (AssertionError, IndexError, KeyError, TypeError, ValueError):
        return "the interpreter"


def is_shown(name: str) -> bool:
    """Whether induction shows every property of the mutant of this name."""
    mutant = next(each for each in mutants() if each.name == name)
    root = tree()
    mutant.edit(root)
    diagnostics = Diagnostics()
    return not induction(analyze(parse(root, diagnostics), diagnostics)).failed


def shown_though_broken(names: Iterable[str]) -> list[str]:
    """Which mutants that break a property in the search are shown to keep all of them."""
    chosen = list(names)
    with ProcessPoolExecutor(2) as pool:
        shown = pool.map(is_shown, chosen)
        return [name for name, is_wrong in zip(chosen, shown, strict=True) if is_wrong]


def main(arguments: list[str]) -> int:
    """Try all mutants, or a share of them, and print who lived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="how many of them to try")
    options = parser.parse_args(arguments)
    every = mutants()
    random.Random(0).shuffle(every)
    started = time.perf_counter()
    result = tried(every[: max(1, round(len(every) * options.share))])
    seconds = time.perf_counter() - started
    print(f"{result.killed.total()} of {result.total} mutants killed in {seconds:.0f} s")
    for by, count in result.killed.most_common():
        print(f"  {count} by {by}")
    for name in result.same:
        print(f"  the same: {name}, because {EQUIVALENT[name]}")
    for name in result.lived:
        print(f"  lived: {name}")
    shown = shown_though_broken(result.broken)
    print(
        f"{len(result.broken) - len(shown)} of {len(result.broken)} "
        "broken properties not shown by z3"
    )
    for name in shown:
        print(f"  shown: {name}")
    return 1 if result.lived or shown or not result.total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

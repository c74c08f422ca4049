"""Ten minutes of random machines: `make nightly`.

Every failure is printed with its number, which makes the same machine again (`--number`), and with
the smallest machine that shows it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence

from tests.support.random_machines.building import Tree
from tests.support.random_machines.coverage import ACCEPTED_MIN, FEATURES, HOSTILE
from tests.support.random_machines.examining import Examination
from tests.support.random_machines.features import build
from tests.support.random_machines.isolating import (
    VERSIONS,
    Chunk,
    Failure,
    Findings,
    examine,
    examined,
)
from tests.support.random_machines.minimizing import minimized
from tests.support.random_machines.mutations import mutated
from tests.support.random_machines.text import yaml_of
from tests.support.random_machines.verdicts import FaultError, Tally
from tests.support.random_machines.versions import versioned

#: So many machines are examined by one process, before another one takes its place.
_CHUNK = 50
_SHOWN_MAX = 5
#: How often what is missing is sought, among so many machines, and for how long.
_ROUNDS_MAX, _BUILT, _ROUND_SECONDS_MAX = 4, 2_000, 120
#: Two random machines to one that is changed, and one that has other versions.
_MIXED = ("random", "random", "mutated", VERSIONS)
SOURCES = {"random": build, "mutated": mutated, VERSIONS: versioned}


def shows(failure: Failure, tree: Tree) -> bool:
    """Whether a machine has the fault of another one, if it is examined like that one."""
    examination = Examination(thorough=True)
    try:
        examine(failure.source, failure.number, tree, frozenset(), examination)
    except FaultError as error:
        return error.kind == failure.kind
    except Exception:
        # What is left is no machine of which the examination could speak.
        return False
    return False


def smallest(failure: Failure, seconds: float = 60) -> str:
    """Return the YAML of the smallest machine with the same fault."""
    tree, _ = SOURCES[failure.source](failure.number)
    if failure.survived:
        # What ends its process would end this one, too.
        tree = minimized(tree, lambda less: shows(failure, less), seconds=seconds)
    return yaml_of(tree)


def _chunks(seed: int, sources: Sequence[str]) -> Iterator[Chunk]:
    numbers = random.Random(seed)
    while True:
        for source in sources:
            first = numbers.randrange(10**12)
            yield Chunk(source, SOURCES[source], range(first, first + _CHUNK))


def run(seed: int, seconds: float, processes: int, source: str | None = None) -> int:
    """Examine machines for so long, of one source or of all, and print what was found.

    Returns:
        The exit status.
    """
    print(f"seed {seed}, for {seconds:g} seconds in {processes} processes", flush=True)
    until = time.monotonic() + seconds
    chunks = _chunks(seed, _MIXED if source is None else [source])
    found = examined(chunks, until=until, processes=processes)
    print(found.tally)
    if source is not None:
        # One source alone does not have to show every feature.
        _print_failures(found.failures)
        return 1 if found.failures else 0
    seek(found, seed, processes=processes)
    problems = _problems(found.tally)
    for problem in problems:
        print(problem)
    _print_failures(found.failures)
    return 1 if found.failures or problems else 0


def seek(found: Findings, seed: int, *, processes: int) -> None:
    """Examine machines with what no accepted machine had: on a slow computer that may be chance."""
    numbers = itertools.count(random.Random(-seed).randrange(10**12))
    for _ in range(_ROUNDS_MAX):
        missing = set(found.tally.missing(FEATURES))
        if not missing:
            return
        among = itertools.islice(numbers, _BUILT)
        chosen = [number for number in among if missing & build(number)[1]][:_CHUNK]
        if not chosen:
            continue
        print(f"seeking {', '.join(sorted(missing))} in {len(chosen)} machines", flush=True)
        until = time.monotonic() + _ROUND_SECONDS_MAX
        more = examined(iter([Chunk("random", build, chosen)]), until=until, processes=processes)
        print(more.tally)
        found.tally.add(more.tally)
        found.failures += more.failures


def _problems(tally: Tally) -> list[str]:
    found = []
    if tally.share < ACCEPTED_MIN:
        found.append(f"fewer than {ACCEPTED_MIN:.0%} of the machines were accepted")
    if tally.missing(FEATURES):
        found.append(f"no accepted machine had: {', '.join(tally.missing(FEATURES))}")
    tried = [each for each in HOSTILE if not tally.tried[each]]
    if tried:
        found.append(f"no machine had: {', '.join(tried)}")
    return found


def _print_failures(failures: list[Failure]) -> None:
    kinds: dict[str, list[Failure]] = {}
    for failure in failures:
        kinds.setdefault(failure.kind, []).append(failure)
    for kind, found in sorted(kinds.items(), key=lambda item: -len(item[1])):
        print(f"\n{len(found)} machines: {kind}")
        for failure in found[:_SHOWN_MAX]:
            print(f"  {failure}")
    for found in list(kinds.values())[:_SHOWN_MAX]:
        print(f"\nThe smallest machine like {found[0]}\n\n{smallest(found[0])}")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--number", type=int, help="examine one machine, and print the smallest")
    parser.add_argument("--mutated", dest="source", action="store_const", const="mutated")
    parser.add_argument("--versions", dest="source", action="store_const", const=VERSIONS)
    parser.add_argument("--random", dest="source", action="store_const", const="random")
    options = parser.parse_args()
    if options.number is None:
        return run(options.seed, options.seconds, options.processes, options.source)
    source = options.source or "random"
    chunk = Chunk(source, SOURCES[source], [options.number])
    found = examined(iter([chunk]), until=time.monotonic() + 1, processes=1)
    print(found.tally)
    _print_failures(found.failures)
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""What the command line does with proofs: searches slices, has SPIN count them, prints them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from opslifecycle_codegen.base.config import InvalidConfigError
from opslifecycle_codegen.base.diagnostics import nearest
from opslifecycle_codegen.cli.project import Compiled
from opslifecycle_codegen.emit import write
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck import figures
from opslifecycle_codegen.modelcheck import prove as proving
from opslifecycle_codegen.modelcheck.search import Found, Search
from opslifecycle_codegen.modelcheck.slices import Slice, slices
from opslifecycle_codegen.modelcheck.symbolic import spin
from opslifecycle_codegen.modelcheck.symbolic.induction import induction
from opslifecycle_codegen.modelcheck.symbolic.promela import promela
from opslifecycle_codegen.modelcheck.symbolic.relation import relation
from opslifecycle_codegen.modelcheck.symbolic.solver import SKIPPED
from opslifecycle_codegen.modelcheck.symbolic.tla import tla
from opslifecycle_codegen.modelcheck.symmetry import NOTHING_SWAPPED

_RECORD = "opslifecycle-codegen prove --record"
_LANGUAGES = {"promela": promela, "tla": tla}


def prove(machines: Sequence[Compiled], options: argparse.Namespace) -> list[str]:
    """Search the slices of machines and print what was found; return what is wrong, printed too."""
    wrong = [text for each in machines for text in _proved(each, options)]
    for text in wrong:
        print(text)
    return wrong


def _proved(machine: Compiled, options: argparse.Namespace) -> Iterator[str]:
    source = machine.config.source
    path = figures.figures_path(source)
    known = figures.load(options.project / path)
    chosen, left = proving.chosen(machine.program, large=options.all)
    found: list[Found] = []
    wrong: list[str] = []
    for scenario in chosen:
        result, lines = proving.searched(scenario)
        print("\n".join(lines), flush=True)
        found.append(result)
        wrong += proving.wrong(result, source, machine.config.module)
        if options.spin and result.closed:
            told, mistakes = compared_with_spin(scenario, result, str(source))
            print(f"  {told}", flush=True)
            wrong += mistakes
    wrong += [f"{source}: {text}" for text in proving.never(machine.program, found)]
    total = sum(result.states for result in found)
    claims = len(proving.claims_of(chosen[0])) if chosen else 0
    print(f"{source}: {claims} claims on {total} states of {len(found)} slice(s)")
    if left:
        print(f"not searched without --all: {', '.join(left)}")
    if options.induction:
        wrong += _shown(machine.program, str(source))
    yield from wrong
    if options.record and not wrong:
        text = figures.printed(known, found, [*(s.name for s in chosen), *left])
        write.write(options.project, {path: text})
        print(f"wrote {path}")
    elif known:
        hint = f"; if that is meant: {_RECORD}"
        yield from (f"{path}: {text}{hint}" for text in figures.differences(known, found))
    if not found:
        yield f"{source}: there is no slice to search; give one without `large`"


def _shown(program: Program, source: str) -> list[str]:
    """Show claims for any number of records, and tell what was shown; return what is wrong."""
    try:
        shown = induction(program)
    except ImportError:
        print(f"induction: {SKIPPED}")
        return []
    calls = len(shown.possible)
    print(f"induction: {shown.proved} steps shown for any number of records, of "
          f"{len(shown.claims)} claims and {calls} calls, each of which is possible")  # fmt: skip
    for name, reason in shown.outside.items():
        print(f"  not shown: {name}: {reason}")
    return [f"{source}: {text}" for text in shown.failed]


def compared_with_spin(scenario: Slice, found: Found, source: str) -> tuple[str, list[str]]:
    """Have SPIN count the states of a slice; return what to tell, and what is wrong.

    SPIN takes no states as one, so where the search did, it is made again without.
    """
    programs = spin.find()
    if programs is None:
        return f"SPIN {spin.SKIPPED}", []
    if found.symmetry.swapped:
        found = Search(scenario, NOTHING_SWAPPED).run()
    try:
        counted = spin.count(promela(scenario, relation(scenario), source), programs)
    except spin.SpinError as error:
        return "SPIN failed", [f"{source}: {scenario.name}: SPIN: {error}"]
    if counted.broken is not None:
        told = f"SPIN {counted.version} finds {counted.broken} broken"
        return told, [f"{source}: {scenario.name}: {told}, the search does not"]
    # One state of the model stands for all that are past a bound.
    states = counted.states - bool(found.beyond)
    told = f"SPIN {counted.version} finds {states} states, the search {found.states}"
    if found.symmetry is NOTHING_SWAPPED:
        told += " if nothing is taken as one"
    return told, [] if states == found.states else [f"{source}: {scenario.name}: {told}"]


def exported(machine: Compiled, name: str, language: str) -> str:
    """Return a slice in the language of another model checker."""
    every = {scenario.name: scenario for scenario in slices(machine.program)}
    if name not in every:
        raise InvalidConfigError(f"there is no slice {name!r}; {nearest(name, list(every))}")
    scenario = every[name]
    return _LANGUAGES[language](scenario, relation(scenario), str(machine.config.source))

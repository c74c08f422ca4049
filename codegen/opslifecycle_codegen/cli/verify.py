"""The commands `verify` and `export`: search scenarios, ask SPIN, print for other tools."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from opslifecycle_codegen.base.config import InvalidConfigError
from opslifecycle_codegen.base.diagnostics import nearest
from opslifecycle_codegen.cli.project import Compiled
from opslifecycle_codegen.emit import write
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck import baseline, verification
from opslifecycle_codegen.modelcheck.scenarios import Scenario, scenarios
from opslifecycle_codegen.modelcheck.search import Found, Search
from opslifecycle_codegen.modelcheck.symbolic import spin
from opslifecycle_codegen.modelcheck.symbolic.induction import induction
from opslifecycle_codegen.modelcheck.symbolic.promela import UncoveredError, promela
from opslifecycle_codegen.modelcheck.symbolic.relation import relation
from opslifecycle_codegen.modelcheck.symbolic.solver import SKIPPED
from opslifecycle_codegen.modelcheck.symbolic.tla import tla
from opslifecycle_codegen.modelcheck.symmetry import NOTHING_SWAPPED

_UPDATE = "opslifecycle-codegen verify --update-baseline"
_LANGUAGES = {"promela": promela, "tla": tla}


def verify(machines: Sequence[Compiled], options: argparse.Namespace) -> list[str]:
    """Search the scenarios of machines; print the results, and return and print the faults."""
    wrong = [text for each in machines for text in _verified(each, options)]
    for text in wrong:
        print(text)
    return wrong


def _verified(machine: Compiled, options: argparse.Namespace) -> Iterator[str]:
    source = machine.config.source
    path = baseline.baseline_path(source)
    known = baseline.load(options.project / path)
    chosen, left = verification.chosen(machine.program, large=options.all)
    found: list[Found] = []
    wrong: list[str] = []
    for scenario in chosen:
        result, lines = verification.searched(scenario)
        print("\n".join(lines), flush=True)
        found.append(result)
        wrong += verification.wrong(result, source, machine.config.module)
        if options.spin and result.closed:
            told, mistakes = compared_with_spin(scenario, result, str(source))
            print(f"  {told}", flush=True)
            wrong += mistakes
    wrong += [f"{source}: {text}" for text in verification.never(machine.program, found)]
    total = sum(result.states for result in found)
    properties = len(verification.properties_of(chosen[0])) if chosen else 0
    print(f"{source}: {properties} properties on {total} states of {len(found)} scenario(s)")
    if left:
        print(f"not searched without --all: {', '.join(left)}")
    if options.induction:
        wrong += _shown(machine.program, str(source))
    yield from wrong
    if options.update_baseline and not wrong:
        text = baseline.printed(known, found, [*(s.name for s in chosen), *left])
        write.write(options.project, {path: text})
        print(f"wrote {path}")
    elif known:
        hint = f"; if that is meant: {_UPDATE}"
        yield from (f"{path}: {text}{hint}" for text in baseline.differences(known, found))
    if not found:
        yield f"{source}: there is no scenario to search; add one without `large`"


def _shown(program: Program, source: str) -> list[str]:
    """Prove properties for any number of records and print the result; return the faults."""
    try:
        shown = induction(program)
    except ImportError:
        print(f"induction: {SKIPPED}")
        return []
    calls = len(shown.possible)
    count = len(shown.properties)
    print(f"induction: {shown.proved} steps proved for any number of records, of "
          f"{count} properties and {calls} calls, each of which is possible")  # fmt: skip
    for name, reason in shown.outside.items():
        print(f"  not proved: {name}: {reason}")
    return [f"{source}: {text}" for text in shown.failed]


def compared_with_spin(scenario: Scenario, found: Found, source: str) -> tuple[str, list[str]]:
    """Have SPIN count the states of a scenario; return a line to print, and the faults.

    SPIN takes no states as one, so where the search did, it is made again without.
    """
    programs = spin.find()
    if programs is None:
        return f"SPIN {spin.SKIPPED}", []
    if found.symmetry.swapped:
        found = Search(scenario, NOTHING_SWAPPED).run()
    try:
        model = promela(scenario, relation(scenario), source)
    except UncoveredError as error:
        return f"SPIN not covered: {error}", []
    try:
        counted = spin.count(model, programs)
    except spin.SpinError as error:
        return "SPIN failed", [f"{source}: {scenario.name}: SPIN: {error}"]
    if counted.broken is not None:
        told = f"SPIN {counted.version} finds {counted.broken} broken"
        return told, [f"{source}: {scenario.name}: {told}, the search does not"]
    # One state of the model stands for all that are past a bound.
    states = counted.states - bool(found.beyond)
    told = f"SPIN {counted.version} finds {states} states, the search {found.states}"
    if found.symmetry is NOTHING_SWAPPED:
        told += " without symmetry"
    return told, [] if states == found.states else [f"{source}: {scenario.name}: {told}"]


def exported(machine: Compiled, name: str, language: str) -> str:
    """Return a scenario in the language of another model checker."""
    every = {scenario.name: scenario for scenario in scenarios(machine.program)}
    if name not in every:
        raise InvalidConfigError(f"there is no scenario {name!r}; {nearest(name, list(every))}")
    scenario = every[name]
    try:
        return _LANGUAGES[language](scenario, relation(scenario), str(machine.config.source))
    except UncoveredError as error:
        raise InvalidConfigError(f"{name} cannot be exported to {language}: {error}") from None

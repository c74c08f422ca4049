"""The commands `verify` and `export`: search scenarios, compare with SPIN, export models."""

from __future__ import annotations

import argparse
import sys
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
from opslifecycle_codegen.modelcheck.symbolic.promela import promela
from opslifecycle_codegen.modelcheck.symbolic.relation import NotCoveredError, relation
from opslifecycle_codegen.modelcheck.symbolic.solver import SKIPPED
from opslifecycle_codegen.modelcheck.symbolic.tla import tla
from opslifecycle_codegen.modelcheck.symmetry import NOTHING_SWAPPED

_UPDATE = "opslifecycle-codegen verify --update-baseline"
_LANGUAGES = {"promela": promela, "tla": tla}


def verify(
    machines: Sequence[Compiled], options: argparse.Namespace
) -> tuple[list[str], list[str]]:
    """Search the scenarios of machines, and print the results.

    Returns:
        The violations, and why searches have not ended.
    """
    unfinished: list[str] = []
    wrong = [text for each in machines for text in _verified(each, options, unfinished)]
    for text in wrong + unfinished:
        print(text)
    return wrong, unfinished


def _verified(
    machine: Compiled, options: argparse.Namespace, unfinished: list[str]
) -> Iterator[str]:
    source = machine.config.source
    path = baseline.baseline_path(source)
    known = baseline.load(options.project / path)
    chosen, left = verification.chosen(machine.program, large=options.all)
    found: list[Found] = []
    wrong: list[str] = []
    stopped: list[str] = []
    for scenario in chosen:
        result, lines = verification.searched(scenario, options.max_states, _say)
        print("\n".join(lines), flush=True)
        found.append(result)
        wrong += verification.wrong(result, source, machine.config.module)
        if not result.closed and result.violation is None:
            stopped.append(verification.unfinished(result, source))
        if options.spin and result.closed:
            comparison, mistakes = compared_with_spin(result.scenario, result, str(source))
            print(f"  {comparison}", flush=True)
            wrong += mistakes
    unfinished += stopped
    if not stopped:
        wrong += [f"{source}: {text}" for text in verification.never(machine.program, found)]
    total = sum(result.states for result in found)
    properties = len(verification.properties_of(chosen[0])) if chosen else 0
    print(f"{source}: {properties} properties on {total} states of {len(found)} scenario(s)")
    if left:
        print(f"not searched without --all: {', '.join(left)}")
    if options.induction:
        wrong += _shown(machine.program, str(source))
    yield from wrong
    if stopped:
        return
    if options.update_baseline and not wrong:
        text = baseline.printed(known, found, [*(s.name for s in chosen), *left])
        write.write(options.project, {path: text})
        print(f"wrote {path}")
    elif known:
        hint = f"; if that is meant: {_UPDATE}"
        yield from (f"{path}: {text}{hint}" for text in baseline.differences(known, found))
    if not found:
        yield f"{source}: there is no scenario to search; add one without `large`"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _shown(program: Program, source: str) -> list[str]:
    """Prove properties for any number of records; print the result, return the failures."""
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
    """Count the states of a scenario with SPIN; return a line to print, and the differences.

    SPIN does not merge symmetric states. A search that did is repeated without symmetry.
    """
    programs = spin.find()
    if programs is None:
        return f"SPIN {spin.SKIPPED}", []
    if found.symmetry.swapped:
        found = Search(scenario, NOTHING_SWAPPED).run()
    try:
        model = promela(scenario, relation(scenario), source)
    except NotCoveredError as error:
        return f"SPIN does not cover this: {error}", []
    try:
        counted = spin.count(model, programs)
    except spin.SpinError as error:
        return "SPIN failed", [f"{source}: {scenario.name}: SPIN: {error}"]
    if counted.broken is not None:
        comparison = f"SPIN {counted.version} finds {counted.broken} broken"
        return comparison, [f"{source}: {scenario.name}: {comparison}, the search does not"]
    # One state of the model represents all states beyond a bound.
    states = counted.states - bool(found.beyond)
    comparison = f"SPIN {counted.version} finds {states} states, the search {found.states}"
    if found.symmetry is NOTHING_SWAPPED:
        comparison += " without symmetry"
    return comparison, [] if states == found.states else [
        f"{source}: {scenario.name}: {comparison}"
    ]


def exported(machine: Compiled, name: str, language: str) -> str:
    """Return a scenario in the language of another model checker."""
    every = {scenario.name: scenario for scenario in scenarios(machine.program)}
    if name not in every:
        raise InvalidConfigError(f"there is no scenario {name!r}; {nearest(name, list(every))}")
    scenario = every[name]
    try:
        return _LANGUAGES[language](scenario, relation(scenario), str(machine.config.source))
    except NotCoveredError as error:
        raise InvalidConfigError(f"{name} cannot be exported: {error}") from None

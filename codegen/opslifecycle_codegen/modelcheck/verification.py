"""Bounded verification: search the scenarios of a machine, and format the results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck.counterexample import counterexample, source_of_test
from opslifecycle_codegen.modelcheck.scenarios import Scenario, scenarios
from opslifecycle_codegen.modelcheck.search import STATES_MAX, Found, Search

_WIDEN = (
    "declare a scenario that reaches them: higher `bounds`, more `entities`, other `settings` "
    "or `params`, less in `exclude`"
)


def chosen(program: Program, *, large: bool) -> tuple[list[Scenario], list[str]]:
    """Return the scenarios to search, and the names of large ones that are skipped."""
    every = scenarios(program)
    return (
        [each for each in every if large or not each.declared.large],
        [each.name for each in every if each.declared.large and not large],
    )


def searched(scenario: Scenario) -> tuple[Found, list[str]]:
    """Search one scenario; return the result and its description."""
    found = Search(scenario).run()
    symmetry = found.symmetry
    lines = [f"{scenario.name}: {scenario.declared.summary}"]
    count = len(scenario.interpreter.ids)
    lines.append(
        f"  {found.states} states, {found.edges} steps, {found.refused} refusals, "
        f"depth {found.depth}, {'closed' if found.closed else 'NOT CLOSED'}, {found.seconds:.1f} s"
    )
    lines.append(f"  {count} {'id' if count == 1 else 'ids'}, {len(scenario.calls)} calls")
    for path, values in scenario.values.chosen.items():
        lines.append(f"  tried {path}: {', '.join(map(str, values))}")
    for bound in scenario.bounds:
        past = found.beyond.get(bound.name, 0)
        if past:
            low = f"{bound.least} <= " if bound.least is not None else ""
            lines.append(
                f"  bound {low}{bound.name} <= {bound.most}: "
                f"{past} states past it were checked, not continued"
            )
    if scenario.declared.exclude:
        lines.append(f"  excluded: {', '.join(scenario.declared.exclude)}")
    for path, words in scenario.declared.params.items():
        lines.append(f"  only {path}: {', '.join(words)}")
    lines += [f"  symmetric: {name}" for name in symmetry.swapped]
    lines += [f"  not symmetric: {reason}" for reason in symmetry.not_swapped]
    return found, lines


def wrong(found: Found, source: PurePosixPath, module: str) -> Iterator[str]:
    """Yield the failures of a search, such as a violated property, or too many states."""
    for path, word in sorted(found.scenario.values.unknown):
        yield f"{source}: {found.scenario.name}: {path} has no value {word!r}"
    if found.violation is not None:
        yield f"{source}: {counterexample(found.violation)}"
        test = source_of_test(found.violation, module)
        if test is not None:
            yield f"as a test:\n\n{test}"
    elif not found.closed:
        yield f"{source}: {found.scenario.name} has more than {STATES_MAX} states: make it smaller"


def never(program: Program, found: list[Found]) -> list[str]:
    """Return the statuses, commands and guards that no scenario has reached, then the fix."""
    if not found or any(each.violation is not None for each in found):
        # A search ends with the first counterexample, before it has reached the rest.
        return []
    groups = program.symbols.status_groups
    reached = {status for each in found for status in each.statuses}
    fired = {method for each in found for method in each.fired}
    refused = {guard for each in found for guard in each.refusals}
    methods = dict.fromkeys(call.method for each in found for call in each.scenario.calls)
    methods |= dict.fromkeys(
        str(e.methods[0]) for e in program.machine.actions.values() if e.methods
    )
    # Except guards of ranges: a search uses small numbers, so it reaches no limit but zero.
    guards = [*map(str, program.machine.guards)]
    statuses = {*groups["live"], *groups["terminal"]}
    if any(set(action.from_statuses) != statuses for action in program.actions):
        guards.append(LEGAL_STATUS)
    missed = [
        *(f"no scenario reaches {s}" for s in (*groups["live"], *groups["terminal"])
          if s not in reached),
        *(f"no scenario lets {method} happen" for method in methods if method not in fired),
        *(f"no scenario is refused by the guard {g}" for g in guards if g not in refused),
    ]  # fmt: skip
    return [*missed, _WIDEN] if missed else []


def properties_of(scenario: Scenario) -> list[str]:
    """Return every checked property, including those of every machine."""
    eventually = [str(name) for name in scenario.interpreter.program.machine.eventually]
    return [*scenario.properties.names(), *eventually]

"""Bounded verification: search the scenarios of a machine, and format the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck.counterexample import counterexample, source_of_test
from opslifecycle_codegen.modelcheck.scenarios import Scenario, default_scenarios, scenarios
from opslifecycle_codegen.modelcheck.search import STATES_MAX, Found, Search

#: The number of states after which a machine without scenarios is searched in a smaller one.
DEFAULT_STATES_MAX = 50_000
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


def searched(
    scenario: Scenario, states_max: int = STATES_MAX, say: Callable[[str], None] | None = None
) -> tuple[Found, list[str]]:
    """Search one scenario; return the result and its description.

    Args:
        scenario: The scenario. The default one of a machine that declares none gives way to a
            smaller one, which the result then names, if it has very many states.
        states_max: The number of states after which the search stops.
        say: Is called with a line about how far a search is that takes long.
    """
    if scenario.interpreter.program.machine.scenarios:
        found, too_large = Search(scenario, states_max=states_max, say=say).run(), list[str]()
    else:
        found, too_large = _searched_by_default(scenario.interpreter.program, states_max, say)
        scenario = found.scenario
    lines = [f"{scenario.name}: {scenario.declared.summary}", *too_large]
    return found, lines + _described(found)


def _searched_by_default(
    program: Program, states_max: int, say: Callable[[str], None] | None
) -> tuple[Found, list[str]]:
    """Search the largest default scenario that ends and reaches what larger ones reach.

    Returns:
        The result, and a line about each scenario that did not.
    """
    few, others = min(states_max, DEFAULT_STATES_MAX), list[str]()
    reached = set[str]()
    ended: list[Found] = []
    *larger, smallest = default_scenarios(program)
    for each in larger:
        found = Search(each, states_max=few, say=say).run()
        if found.violation is not None or (found.closed and reached <= found.reached):
            return found, others
        reached |= found.reached
        if found.closed:
            ended.append(found)
            continue
        others.append(f"  {_size(each)}: more than {few} states, so this is a smaller one")
        if say is not None:
            # Now, because a smaller one may take long as well.
            say(
                f"{each.name}: more than {few} states, so a smaller one is searched; most values"
                f" have {_most(found)}: lower their `bounds` in `scenarios`"
            )
    found = Search(smallest, states_max=states_max, say=say).run()
    if found.violation is not None or not ended:
        return found, others
    # None reaches as much as a larger one that does not end: the one that reaches most.
    most = max([*ended, *([found] if found.closed else [])], key=lambda each: len(each.reached))
    return most, others


def _size(scenario: Scenario) -> str:
    count = len(scenario.interpreter.ids)
    bounds = ", ".join(f"{each.name} <= {each.notation(each.most)}" for each in scenario.bounds)
    return f"{count} {'record' if count == 1 else 'records'}{bounds and f', {bounds}'}"


def _described(found: Found) -> list[str]:
    scenario, symmetry, lines = found.scenario, found.symmetry, list[str]()
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
            low = f"{bound.notation(bound.least)} <= " if bound.least is not None else ""
            lines.append(
                f"  bound {low}{bound.name} <= {bound.notation(bound.most)}: "
                f"{past} states past it were checked, not continued"
            )
    if scenario.declared.exclude:
        lines.append(f"  excluded: {', '.join(scenario.declared.exclude)}")
    for path, words in scenario.declared.params.items():
        lines.append(f"  only {path}: {', '.join(words)}")
    lines += [f"  symmetric: {name}" for name in symmetry.swapped]
    lines += [f"  not symmetric: {reason}" for reason in symmetry.not_swapped]
    return lines


def _most(found: Found) -> str:
    """Return the fields with the most values in a search that has not ended."""
    most = found.different.most_common(3)
    return ", ".join(f"{name} ({count})" for name, count in most if count > 1)


def unfinished(found: Found, source: PurePosixPath) -> str:
    """Return why a search has shown nothing: which fields have too many values."""
    return (
        f"{source}: {found.scenario.name} has more than {found.states_max} states: make it smaller."
        f" The most values have {_most(found)}: declare lower `bounds` for them in `scenarios`,"
        " or fewer `entities`, or fewer values of `params`; or search longer with --max-states"
    )


def wrong(found: Found, source: PurePosixPath, module: str) -> Iterator[str]:
    """Yield the failures of a search: values that are none, a violated property with a test."""
    for path, word in sorted(found.scenario.values.unknown):
        yield f"{source}: {found.scenario.name}: {path} has no value {word!r}"
    if found.violation is not None:
        yield f"{source}: {counterexample(found.violation)}"
        test = source_of_test(found.violation, module)
        if test is not None:
            yield f"as a test:\n\n{test}"


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

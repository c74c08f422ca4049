"""Carry out every layer of the proof in full, and write docs/explanation/assurance.md from it.

python -m tests.support.proof.assurance
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from opslifecycle_codegen.modelcheck import verification
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Search

from tests.support.proof.machines import ROOT, SCENARIOS, edited, scenario_of

PAGE = ROOT / "docs/explanation/assurance.md"
_NOT_CLAIMED = """\
* Scenarios are small: so many ids, counts up to a bound. What needs more of either to go wrong is
  found by induction only, which speaks of the properties below, one call at a time; that ending all
  operations is ending one after another is looked at in every state of two.
* Texts and whatever no rule looks into have one value each in the search, and all times are 0.
* A crash in the search loses nothing that was acknowledged, and no deferred write. That a store
  keeps what was acknowledged is what the power cuts and the killed processes of `make kill-test`
  show.
* The interpreter and the generator read the same typed trees: they share a mistake of the parser or
  of the analysis.
* The generated authority is compared at the states that the search reaches, one command at a time.
  Threads, batches and stores are compared by steps on the whole registry, which are sampled, and
  so are the states of which recovery is compared.
* Mutants are those of the machine's file and of what is generated from it. Those of the handwritten
  code are tried by `make mutate`, which takes most of an hour; of those that are no equivalents,
  one in ten may live.
* Schedules are explored where the shell takes a lock, waits, or hands something over, with a store
  in memory; what happens between two such points, and in SQLite, the kill and hammer tests cover
  by chance only.
* SPIN looks at a model that we print. What the printing leaves out of the rules and the search
  leaves out alike would go unnoticed.
"""


@frozen
class Layer:
    """What one layer looked at, and in how long."""

    name: str
    figures: list[str]
    seconds: float
    wrong: list[str]


def search(name: str) -> Layer:
    """The search of one scenario."""
    found, _ = verification.searched(scenario_of(edited(), name))
    wrong = [] if found.closed else [f"{name} is not closed, or breaks a property"]
    past = sum(found.beyond.values())
    figures = [
        f"scenario `{name}`: {found.states:,} states, {found.edges:,} steps, "
        f"{found.refused:,} refusals, depth {found.depth}, {past:,} states past a bound checked"
    ]
    return Layer("search", figures, found.seconds, wrong)


def asked_of_spin(name: str) -> Layer:
    """The states of one scenario, counted by SPIN."""
    from opslifecycle_codegen.cli.verify import compared_with_spin

    started = time.perf_counter()
    scenario = scenario_of(edited(), name)
    told, wrong = compared_with_spin(scenario, Search(scenario).run(), "machine/ops_lifecycle.yaml")
    return Layer("spin", [f"scenario `{name}`: {told}"], time.perf_counter() - started, wrong)


def shown() -> Layer:
    """The properties for any number of operations."""
    from opslifecycle_codegen.modelcheck.symbolic.induction import induction

    started = time.perf_counter()
    found = induction(edited())
    figures = [
        f"{found.proved} steps shown by z3, of {len(found.properties)} properties and "
        f"{len(found.possible)} calls, each of which is possible"
    ]
    figures += [f"not shown: `{name}`: {reason}" for name, reason in found.outside.items()]
    return Layer("induction", figures, time.perf_counter() - started, found.failed)


def comparisons(name: str) -> Layer:
    """The generated authority against the file, over one scenario."""
    from tests.proof.test_generated import Comparison

    started = time.perf_counter()
    done = Search(scenario_of(edited(), name))
    done.run()
    comparison = Comparison(done.found.scenario)
    comparison.look_at_all(done.states)
    counts = comparison.compared
    share = counts["refused"] / counts.total()
    figures = [f"scenario `{name}`: {counts.total():,} comparisons, {share:.0%} of them refusals"]
    return Layer("comparison", figures, time.perf_counter() - started, [])


def recoveries(name: str) -> Layer:
    """What the registry makes of what was kept, against the file, over one scenario."""
    from tests.proof.test_recovery import CALLS, Recovery, compared, stop_clocks

    started = time.perf_counter()
    done = Search(scenario_of(edited(), name))
    done.run()
    count = min(1_500, len(done.states))
    with pytest.MonkeyPatch.context() as patch:
        stop_clocks(patch)
        wrong = compared(Recovery(done.found.scenario), list(done.states), count)
    figures = [f"scenario `{name}`: {count:,} states written and opened, each in {len(CALLS)} ways"]
    return Layer("recovery", figures, time.perf_counter() - started, wrong)


def steps(examples: int) -> Layer:
    """The whole registry against the file."""
    os.environ["OPSLIFECYCLE_EXAMPLES"] = str(examples)
    from hypothesis.stateful import run_state_machine_as_test

    from tests.proof.test_stateful import RegistryAndFile, TestRegistryAndFile
    from tests.support.proof.both_sides import HAPPENED

    started = time.perf_counter()
    run_state_machine_as_test(RegistryAndFile, settings=TestRegistryAndFile.settings)
    accepted, refused = HAPPENED["accepted"], HAPPENED["refused"]
    total = accepted + refused
    figures = [f"{total:,} steps of up to 50 operations, {accepted / total:.0%} accepted, "
               f"{HAPPENED['crash']:,} restarts"]  # fmt: skip
    wrong = [] if accepted >= refused else ["most steps were refused"]
    return Layer("steps", figures, time.perf_counter() - started, wrong)


def power_cuts(durability: str) -> Layer:
    """Every image that a disk may hold after a power cut, opened."""
    from tests.test_crash_images import Recording, compact_early, opened

    started = time.perf_counter()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        compact_early(patch)
        images = Path(folder) / "images"
        images.mkdir()
        found = list(opened(Recording(Path(folder) / "store.db", durability), images, 1))
    count, lost = len(found), found.count(False)
    control = durability != "power"
    told = f"{count:,} images of a store with `{durability}`, {lost:,} of them lost something"
    wrong = [] if (lost > 0) is control and count else [told]
    told += " (the control: it does not sync, and has to)" if control else ""
    return Layer("power cuts", [told], time.perf_counter() - started, wrong)


def schedules(name: str) -> Layer:
    """One scenario under every schedule with three disturbances, and more at random."""
    from tests.support.schedules.exploring import explore, sample
    from tests.support.schedules.scenarios import SCENARIOS as SCHEDULED

    started = time.perf_counter()
    scenario = next(each for each in SCHEDULED if each.__name__ == name)
    explored, seeds = explore(scenario, 3), range(1_000)
    sample(scenario, seeds)
    figures = [f"`{name}`: {explored.runs:,} schedules of up to {explored.choices_max} choices, "
               f"{len(seeds):,} at random"]  # fmt: skip
    return Layer("schedules", figures, time.perf_counter() - started, [])


def mutation() -> Layer:
    """Every mutant of the machine's file."""
    from tests.support.proof.mutants import EQUIVALENT, mutants
    from tests.support.proof.mutation import tried

    started = time.perf_counter()
    result = tried(mutants())
    by = ", ".join(f"{count} by {name}" for name, count in result.killed.most_common())
    figures = [f"{result.killed.total()} of {result.total} killed: {by}"]
    figures += [f"equivalent mutant: `{name}`: {EQUIVALENT[name]}" for name in result.same]
    figures += [f"**lived**: `{name}`" for name in result.lived]
    return Layer("mutation", figures, time.perf_counter() - started, [*result.lived])


def artifacts() -> Layer:
    """Some of the mistakes around the compiler."""
    from tests.support.proof.artifact_mutants import KINDS, sample, tried

    started = time.perf_counter()
    chosen = sample(0.1)
    left = [each.name for each in tried(chosen)]
    counts = ", ".join(f"{sum(m.kind == kind for m in chosen)} `{kind}`" for kind in KINDS)
    figures = [f"{len(chosen) - len(left)} of {len(chosen)} noticed: {counts}"]
    figures += [f"**not noticed**: `{name}`" for name in left]
    return Layer("artifacts", figures, time.perf_counter() - started, left)


def layers() -> Iterator[Layer]:
    """Every layer, on two processes; the longest first."""
    from tests.support.schedules.scenarios import SCENARIOS as SCHEDULED

    large = [each.name for each in scenarios(edited()) if each.declared.large]
    with ProcessPoolExecutor(2) as pool:
        waiting: list[Any] = [pool.submit(search, name) for name in large]
        waiting += [pool.submit(schedules, each.__name__) for each in SCHEDULED]
        waiting += [pool.submit(comparisons, name) for name in SCENARIOS]
        waiting += [pool.submit(recoveries, name) for name in SCENARIOS]
        waiting += [pool.submit(search, name) for name in SCENARIOS]
        waiting += [pool.submit(asked_of_spin, name) for name in SCENARIOS]
        waiting.append(pool.submit(shown))
        waiting.append(pool.submit(steps, 400))
        waiting += [pool.submit(power_cuts, each) for each in ("power", "process")]
        for each in waiting:
            yield each.result()
    yield mutation()
    yield artifacts()


_TITLES = {
    "search": "Every state of the machine, searched (`opslifecycle-codegen verify`)",
    "spin": "The same states, counted by an independent checker",
    "induction": "Properties for any number of operations",
    "comparison": "The generated authority against the file",
    "recovery": "Recovery against the file",
    "steps": "The whole registry against the file",
    "schedules": "Every schedule of a few tasks and threads, up to three disturbances",
    "power cuts": "Power cuts",
    "mutation": "Mistakes in the file, one at a time",
    "artifacts": "A tenth of the mistakes around the compiler, by which files are no longer fresh",
}


def page(found: list[Layer]) -> str:
    """The page, as the last run found it."""
    properties = verification.properties_of(scenario_of(edited(), SCENARIOS[0]))
    lines = ["<!-- Written by `make verify-all` from what it found. -->", "", "# Assurance", ""]
    lines.append("What the last full run of `make verify-all` looked at, and what is not claimed.")
    for name, title in _TITLES.items():
        chosen = [each for each in found if each.name == name]
        seconds = sum(each.seconds for each in chosen)
        lines += ["", f"## {title}", ""]
        lines += [f"* {figure}" for each in chosen for figure in each.figures]
        lines += ["", f"{seconds:.0f} s."]
    told = "\n".join(f"* `{prop}`" for prop in properties)
    lines += ["", "## Properties", "", "On every state, step, or way to an end:", "", told]
    lines += ["", "## Not claimed", "", _NOT_CLAIMED]
    return "\n".join(lines)


def main() -> int:
    """Carry out everything; the page is written only if nothing is wrong."""
    found = []
    for each in layers():
        found.append(each)
        for figure in each.figures:
            print(f"{each.name}: {figure} ({each.seconds:.0f} s)", flush=True)
    wrong = [text for each in found for text in each.wrong]
    for text in wrong:
        print(f"wrong: {text}")
    if not wrong:
        PAGE.write_text(page(found), encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

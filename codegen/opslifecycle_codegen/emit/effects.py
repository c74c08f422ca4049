"""The closed set of the effects, and the constants that hold the effects of commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from opslifecycle_codegen.ir.built_ins import BUILT_IN_EFFECTS
from opslifecycle_codegen.ir.expr import Expression, reads
from opslifecycle_codegen.ir.program import EndStep, Program
from opslifecycle_codegen.ir.public_names import PublicNames
from opslifecycle_codegen.ir.symbols import EnumInfo, MemberInfo

Effects = tuple[str, ...]
NO_EFFECTS = "_NO_EFFECTS"
#: With more tests the code of an end has no branch for each combination, of which it would have
#: twice as many with every test: it gathers its effects one step after another.
_TESTS_MAX = 3
_SUMMARIES = {
    "append_to_feed": "Append the entry of the record to the feed.",
    "count_in_barriers": "Count the end in the barriers that hold the record.",
    "wake_watchers": "Resolve the watches of the record with its outcome.",
    "evict_oldest": "Evict the oldest entries above the limit of the feed.",
    "close_watchers": "End the watches without an outcome.",
    "fail_barriers": "Fail the barriers that hold the record.",
    "plan_timers": "Plan the timers of the record, and cancel those of an earlier status.",
    "cancel_timers": "Cancel the timers of the record.",
    "erase": "Erase the record.",
}


def effect_set(program: Program, names: PublicNames) -> EnumInfo:
    """Return the closed set of the effects that the authority returns; no store holds them."""
    used = {effect for step in program.on_terminal for effect in step.effects}
    ways = [way for each in (program.create, *program.actions) for way in each.ways]
    used.update(effect for way in ways for effect in way.effects)
    used.update(effect for way in ways for step in way.steps for effect in step.effects)
    used.update(program.rollback.effects if program.rollback else ())
    used.update(program.erase.effects if program.erase else ())
    used.update(("erase",) if program.collect else ())
    members = {e: MemberInfo(e, _SUMMARIES[e]) for e in BUILT_IN_EFFECTS if e in used}
    for name, declared in program.machine.effects.items():
        members[str(name)] = MemberInfo(str(name), declared.summary)
    summary = "What the shell carries out after a command was accepted."
    return EnumInfo(names.effect, summary, members)


class EffectConstants:
    """The constants of the authority's module that hold effects.

    A command's effects are called after the first command that has them. Those of an end are called
    after what not every end has: `_END_ERASE_EFFECTS`.
    """

    def __init__(self, program: Program) -> None:
        tests = {step.test for step in program.on_terminal if step.test is not None}
        #: Whether each combination of the tests of an end has a branch and a constant of its own.
        self.branches = len(tests) <= _TESTS_MAX
        self._ends = dict.fromkeys(_ends(program.on_terminal, {}, ()) if self.branches else ())
        #: The constants that are used, by their effects.
        self.used: dict[Effects, str] = {}

    def of_command(self, name: str, effects: Effects) -> str:
        """Return the constant of a command's effects."""
        return self._named(effects, name)

    def of_end(self, effects: Effects) -> str:
        """Return the constant of the effects of an end."""
        return self._named(effects, "_".join(["end", *self._distinguishing(effects)]))

    def of_step(self, effects: Effects) -> str:
        """Return the constant of the effects of one step of an end."""
        return self._named(effects, f"end_{effects[0]}")

    def _named(self, effects: Effects, words: str) -> str:
        if not effects:
            return self.used.setdefault((), NO_EFFECTS)
        # Behind two underscores, a class would look for a name of its own.
        words = words.upper().lstrip("_")
        name = f"_{words}_EFFECTS"
        if name in self.used.values() and self.used.get(effects) != name:
            # A command is called as the effects of an end are.
            name = f"_{words}_{len(self.used)}_EFFECTS"
        return self.used.setdefault(effects, name)

    def _distinguishing(self, effects: Effects) -> list[str]:
        """Return the effects that not every end has; one of several that always occur together."""
        seen: set[frozenset[Effects]] = set()
        found = []
        for effect in effects:
            having = frozenset(each for each in self._ends if effect in each)
            if len(having) < len(self._ends) and having not in seen:
                seen.add(having)
                found.append(effect)
        return found


def still_known(known: Mapping[Expression, bool], step: EndStep) -> dict[Expression, bool]:
    """Return the tests whose results a step leaves as they are; the others are tested anew."""
    changed = {update.target.name for update in step.updates}
    return {test: held for test, held in known.items() if not reads(test, changed)}


def _ends(
    steps: Sequence[EndStep], known: Mapping[Expression, bool], effects: Effects
) -> Iterator[Effects]:
    """Yield the effects of an end for every combination of its tests."""
    for place, step in enumerate(steps):
        if step.test is not None and step.test not in known:
            for holds in (True, False):
                yield from _ends(steps[place:], {**known, step.test: holds}, effects)
            return
        if step.test is None or known[step.test]:
            known, effects = still_known(known, step), (*effects, *step.effects)
    yield effects

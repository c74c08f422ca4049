"""Faults that were once in the compiler, planted again: random machines notice each of them.

Each is planted where its fix stands: a rule that reports nothing, a part of the generated code that
is left out. So many machines that could show it are examined, at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from opslifecycle.runtime import v1
from opslifecycle.shell import timers as shell_timers
from opslifecycle.shell.codec import RecordCodec
from opslifecycle_codegen.analysis import analyze, ranges, reserved, rules
from opslifecycle_codegen.analysis.commands import Commands
from opslifecycle_codegen.analysis.guards import Guards
from opslifecycle_codegen.analysis.placement import _Placement
from opslifecycle_codegen.analysis.range_guards import Ranges
from opslifecycle_codegen.analysis.timers import Timers
from opslifecycle_codegen.base.reserved_words import RESERVED
from opslifecycle_codegen.emit.authority import CommandLowering
from opslifecycle_codegen.emit.methods import MethodLowering
from opslifecycle_codegen.ir import naming
from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS
from opslifecycle_codegen.ir.expr import Among, Field, Or
from opslifecycle_codegen.ir.types import BOOL

from tests.support.random_machines.building import Tree
from tests.support.random_machines.examining import Examination
from tests.support.random_machines.features import build
from tests.support.random_machines.verdicts import FaultError

MACHINES_MAX = 60
NUMBERS_MAX = 5_000

Patch = pytest.MonkeyPatch


def _a_guard_weakens_the_status_test(patch: Patch) -> None:
    original = Guards._legality

    def weakened(self: Any, name: Any, scope: Any, *more: Any) -> Any:
        check, scope = original(self, name, scope, *more)
        assert isinstance(check.test, Among)
        ended = Field(BOOL, check.test.value, "terminal")
        return evolve(check, test=Or(BOOL, (check.test, ended))), scope

    patch.setattr(Guards, "_legality", weakened)


def _the_status_test_is_not_printed(patch: Patch) -> None:
    original = MethodLowering._checks

    def without(self: Any, checks: Any, **options: Any) -> Any:
        left = tuple(check for check in checks if check.guard != LEGAL_STATUS)
        return original(self, left, **options)

    patch.setattr(MethodLowering, "_checks", without)


def _effects_of_an_ending_action_are_dropped(patch: Patch) -> None:
    original = CommandLowering._ending

    def dropping(self: Any, command: Any, *more: Any) -> Any:
        return original(self, evolve(command, effects=()), *more)

    patch.setattr(CommandLowering, "_ending", dropping)


def _built_in_effects_stand_anywhere(patch: Patch) -> None:
    patch.setattr(_Placement, "_refuse_built_in_effects", lambda self: None)


def _words_are_written_as_they_are(patch: Patch) -> None:
    patch.setattr(naming, "_escaped", lambda word, taken: str(word))


def _no_word_is_reserved(patch: Patch) -> None:
    none: frozenset[str] = frozenset()
    free = {where: (none, why) for where, (_, why) in RESERVED.items()}
    patch.setattr(reserved, "RESERVED", free)


def _create_leaves_out_what_it_needs(patch: Patch) -> None:
    patch.setattr(rules, "check_create", lambda *arguments: None)


def _numbers_leave_their_ranges(patch: Patch) -> None:
    patch.setattr(analyze, "find_ranges", lambda *arguments: Ranges())


def _a_status_does_not_begin_anew(patch: Patch) -> None:
    original = Timers.action

    def without(self: Any, command: Any, timers: Any) -> Any:
        return evolve(original(self, command, timers), notes=command.notes)

    patch.setattr(Timers, "action", without)


def _an_action_plans_no_timers(patch: Patch) -> None:
    original = Timers.action

    def without(self: Any, command: Any, timers: Any) -> Any:
        return evolve(original(self, command, timers), steps=command.steps)

    patch.setattr(Timers, "action", without)


def _a_timer_is_late(patch: Patch) -> None:
    patch.setattr(
        shell_timers, "later", lambda since, ms: None if since is None else since + ms + 1
    )
    patch.setattr(v1, "later", shell_timers.later)


def _a_finished_record_is_not_restored(patch: Patch) -> None:
    original = RecordCodec.restore

    def without(self: Any, *arguments: Any) -> Any:
        return original(evolve(self, has_sequence=self.has_feed), *arguments)

    patch.setattr(RecordCodec, "restore", without)


def _divisors_of_erase_are_not_checked(patch: Patch) -> None:
    original = ranges._Finder._checked

    def without(self: Any, command: Any, state: Any) -> Any:
        if command is self._program.erase:
            return state
        return original(self, command, state)

    patch.setattr(ranges._Finder, "_checked", without)


def _create_replaces_a_record(patch: Patch) -> None:
    patch.setattr(Commands, "_require_new_id", lambda self, declared, scope: None)


#: What is planted, what a machine has that could show it, a kind of fault that must be found, and
#: the machine that showed it last, which is tried first.
PLANTED: list[tuple[Callable[[Patch], None], str, set[str], int]] = [
    (_a_guard_weakens_the_status_test, "", {"an illegal transition", "a generated test fails"}, 6),
    (_the_status_test_is_not_printed, "", {"a generated test fails"}, 13),
    (_effects_of_an_ending_action_are_dropped, "effect: of an ending action", {"effects"}, 352),
    (_built_in_effects_stand_anywhere, "hostile: a built-in effect in the list", set(), 949),
    (_words_are_written_as_they_are, "hostile: a name", set(), 39),
    (_no_word_is_reserved, "hostile: a name", set(), 708),
    (_numbers_leave_their_ranges, "", set(), 182),
    (_a_status_does_not_begin_anew, "timer: after", {"snapshot: status"}, 685),
    (_an_action_plans_no_timers, "timer: after", {"snapshot: status"}, 6),
    (_a_timer_is_late, "timer: after", {"snapshot: status"}, 33),
    (_a_finished_record_is_not_restored, "collect", {"another value"}, 1002),
    (_divisors_of_erase_are_not_checked, "erase", {"the interpreter crashes"}, 132),
    (
        _create_leaves_out_what_it_needs,
        "hostile: a create method leaves out a parameter",
        set(),
        3533,
    ),
    (
        _create_replaces_a_record,
        "hostile: a create that may replace a record",
        {"an ended record changes"},
        53,
    ),
]


#: They take the longest to find, or others of their kind are tried by day.
AT_NIGHT = {
    _create_replaces_a_record,
    _the_status_test_is_not_printed,
    _a_timer_is_late,
    _a_status_does_not_begin_anew,
    _an_action_plans_no_timers,
    _a_finished_record_is_not_restored,
    _divisors_of_erase_are_not_checked,
}


@pytest.mark.parametrize(
    ("plant", "feature", "kinds", "first"),
    [
        pytest.param(
            *each,
            id=each[0].__name__.strip("_"),
            marks=[pytest.mark.nightly] * (each[0] in AT_NIGHT),
        )
        for each in PLANTED
    ],
)
def test_a_planted_fault_is_found(
    plant: Callable[[Patch], None], feature: str, kinds: set[str], first: int
) -> None:
    kind = first_fault(plant, feature, first)
    assert not kinds or kind in kinds


def first_fault(plant: Callable[[Patch], None], feature: str, first: int) -> str:
    """Return the kind of the first fault that machines with a feature show, and only planted."""
    count = 0
    for number in (first, *range(NUMBERS_MAX)):
        tree, features = build(number)
        if feature and feature not in features:
            continue
        count += 1
        with pytest.MonkeyPatch.context() as patch:
            plant(patch)
            kind = kind_of_fault(tree)
        if kind and not kind_of_fault(tree):
            return kind
        if count == MACHINES_MAX:
            break
    raise AssertionError(f"{count} machines have shown nothing")


def kind_of_fault(tree: Tree) -> str:
    """Return the kind of fault that a machine shows; empty if it shows none."""
    try:
        Examination().of(tree)
    except FaultError as error:
        return error.kind
    except ZeroDivisionError:
        # Without the guard of its range, the interpreter divides as the file says.
        return "a division by zero"
    return ""

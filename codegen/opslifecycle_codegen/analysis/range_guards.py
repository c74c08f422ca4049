"""The guards that keep numbers in their ranges, placed behind a command's own ones."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, field, frozen

from opslifecycle_codegen.analysis.stored_numbers import Made
from opslifecycle_codegen.base.diagnostics import Location
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.built_ins import BUILT_IN_REJECTIONS, OUT_OF_RANGE, RANGE_GUARD
from opslifecycle_codegen.ir.expr import Expression, Root
from opslifecycle_codegen.ir.program import Check, Command, Program
from opslifecycle_codegen.ir.types import DATETIME


@frozen
class Guard:
    """A guard that a command needs: the number, and the tests of its range."""

    made: Made
    test: Expression
    mark: Location


def only_if(condition: Expression, guard: Guard) -> Guard:
    """Return a guard that asks only where a condition is true."""
    outside = nodes.conjunction([condition, nodes.negation(guard.test)])
    return evolve(guard, test=nodes.negation(outside))


@frozen
class Ranges:
    """The guards that a program's numbers need, by command."""

    create: list[Guard] = field(factory=list)
    rollback: list[Guard] = field(factory=list)
    actions: dict[str, list[Guard]] = field(factory=dict)


def with_guards(program: Program, found: Ranges) -> Program:
    """Return the program with its range guards, after each command's own guards."""
    rollback = program.rollback
    return evolve(
        program,
        create=_guarded(program.create, found.create, "create"),
        rollback=_guarded(rollback, found.rollback, rollback.name) if rollback else None,
        actions=tuple(
            _guarded(each, found.actions.get(each.name, []), each.name) for each in program.actions
        ),
    )


def _guarded(command: Command, needed: Sequence[Guard], title: str) -> Command:
    """Return a command with guards whose names no machine can declare."""
    checks: list[Check] = []
    for guard in needed:
        name = f"{RANGE_GUARD}{guard.made.place} in {title}"
        count = sum(1 for each in checks if each.guard.startswith(name))
        value = guard.made.value
        if value.type == DATETIME:
            # It cannot be computed.
            value = nodes.text("outside the years 1 to 9999")
        facts = nodes.text(guard.made.place), value
        refusal = nodes.Refusal(BUILT_IN_REJECTIONS[OUT_OF_RANGE][0], facts, built_in=True)
        if count:
            name += f" ({count + 1})"
        checks.append(Check((), guard.test, refusal, name, guard.mark))
    foreseen = tuple(each for each in checks if not _needs_more(each, command))
    later = tuple(each.guard for each in checks if _needs_more(each, command))
    return evolve(
        command,
        guards=(*command.guards, *checks),
        foreseeable=(*command.foreseeable, *foreseen),
        depends_on=(*command.depends_on, *later),
    )


def _needs_more(check: Check, command: Command) -> bool:
    """Return whether a check depends on a parameter, directly or through another check."""
    return bool(command.depends_on) or check.reads(Root.PARAMETER)

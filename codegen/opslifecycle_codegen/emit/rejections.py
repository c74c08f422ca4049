"""Lowering of the guards with which several commands begin: one test, and one method of errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import evolve, frozen

from opslifecycle_codegen.ir import expr
from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS
from opslifecycle_codegen.ir.expr import Expression, Root
from opslifecycle_codegen.ir.program import Check, Command, Program
from opslifecycle_codegen.ir.types import BOOL, STATUSES

#: Roots that a method of errors can read; arguments differ between commands.
_READABLE = {
    Root.ID, Root.RECORD, Root.REGISTRY, Root.NOW, Root.ACTION_LABEL, Root.ACTION_STATUSES,
}  # fmt: skip


@frozen
class Beginning:
    """The guards up to the test of the status, as any action has them, and their method."""

    method: str
    checks: tuple[Check, ...]
    #: Whether a command that has them can be done already.
    has_done: bool

    def reads(self, root: Root) -> bool:
        """Return whether the method of errors reads a root."""
        tests = [check.test for check in self.checks[:-1]]
        fields = [field for check in self.checks for field in check.refusal.fields]
        return any(root in expr.roots_in(tree) for tree in (*tests, *fields))

    def begins(self, command: Command) -> bool:
        """Return whether the guards of a command begin with these."""
        return _begins(command, self.checks)


def beginnings(program: Program) -> list[Beginning]:
    """Return the beginnings that several commands of a program have."""
    removing = [each for each in (program.rollback, program.erase) if each is not None]
    found: dict[tuple[Check, ...], list[Command]] = {}
    for action in program.actions:
        checks = _up_to_status(action.foreseeable)
        if _is_simple(checks) and _begins(action, checks):
            found.setdefault(checks, []).append(action)
    made: list[Beginning] = []
    for number, (checks, commands) in enumerate(found.items()):
        sharing = [*commands, *(each for each in removing if _begins(each, checks))]
        if len(sharing) > 1:
            method = f"_{commands[0].name}_rejection" if number else "_rejection"
            has_done = any(each.idempotent_in for each in sharing)
            made.append(Beginning(method, checks, has_done))
    return made


def any_fails(checks: Sequence[Check]) -> Expression:
    """Return the test that one of some guards fails."""
    failing = [expr.negation(check.test) for check in checks]
    return expr.Or(BOOL, tuple(part for each in failing for part in _operands(each)))


def _up_to_status(checks: Sequence[Check]) -> tuple[Check, ...]:
    names = [check.guard for check in checks]
    return tuple(checks[: names.index(LEGAL_STATUS) + 1]) if LEGAL_STATUS in names else ()


def _is_simple(checks: Sequence[Check]) -> bool:
    """Return whether checks can be one condition, which no linter wants written otherwise."""
    return len(checks) > 1 and all(
        not check.lets
        and isinstance(check.test, expr.IsNone | expr.Field | expr.Not | expr.Among)
        and all(expr.roots_in(field) <= _READABLE for field in check.refusal.fields)
        for check in checks
    )


def _begins(command: Command, checks: Sequence[Check]) -> bool:
    """Return whether the guards of a command begin with these checks of any action."""
    own = (expr.text(command.label), expr.StatusSet(STATUSES, command.from_statuses))
    return tuple(_of(check, *own) for check in checks) == command.guards[: len(checks)]


def _of(check: Check, label: Expression, statuses: Expression) -> Check:
    """Return a check of any action as one command has it."""

    def change(node: Expression) -> Expression:
        if isinstance(node, expr.Name) and node.root is Root.ACTION_LABEL:
            return label
        if isinstance(node, expr.Name) and node.root is Root.ACTION_STATUSES:
            return statuses
        return node

    fields = tuple(expr.replaced(field, change) for field in check.refusal.fields)
    refusal = evolve(check.refusal, fields=fields)
    return evolve(check, test=expr.replaced(check.test, change), refusal=refusal)


def _operands(tree: Expression) -> Iterator[Expression]:
    if isinstance(tree, expr.Or):
        yield from tree.operands
    else:
        yield tree

"""One declaration of a machine as a fact, and expressions in the names of the newer version."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.compat.limits import bare
from opslifecycle_codegen.compat.renames import Renames
from opslifecycle_codegen.ir.expr import Expression, Field
from opslifecycle_codegen.ir.messages import EFFECTS
from opslifecycle_codegen.ir.migrations import TYPES
from opslifecycle_codegen.ir.notation import notation, update_notation
from opslifecycle_codegen.ir.program import Assignment, Program
from opslifecycle_codegen.ir.types import Type


@frozen
class Fact:
    """One declaration of a machine, and the rules that report its changes.

    An empty rule means that another fact reports the change.
    """

    subject: str
    value: str
    added: str = ""
    removed: str = ""
    changed: str = ""


class Spelling:
    """Spells the parts of a program in the names of the newer version."""

    def __init__(self, program: Program, names: Renames) -> None:
        self._program = program
        self._names = names

    def bare(self, type: Type) -> str:
        """Return a type without its limits."""
        return bare(self._names.type(type))

    def text(self, tree: Expression, action: str = "") -> str:
        """Return an expression; `action` is the action that it belongs to."""
        return notation(self._names.tree(tree, action))

    def status(self, status: str) -> str:
        """Return today's name of a status."""
        return self.member(self._program.symbols.status_enum, status)

    def member(self, enum: str, word: str) -> str:
        """Return today's name of a member of a closed set."""
        return self._names.name(self._names.name(TYPES, enum), word)

    def effects(self, effects: tuple[str, ...]) -> str:
        """Return the names of effects."""
        return ", ".join(self._names.name(EFFECTS, each) for each in effects) or "none"

    def updates(self, updates: tuple[Assignment, ...], action: str = "") -> str:
        """Return updates in the notation of the machine."""
        found = []
        for each in updates:
            target = self._names.tree(each.target)
            assert isinstance(target, Field)
            found.append(update_notation(target, self._names.tree(each.value, action)))
        return ", ".join(found) or "nothing"

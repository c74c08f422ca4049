"""Lowering of members of closed sets to constants of a module."""

from __future__ import annotations

import re
from collections.abc import Iterable

from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.symbols import snake

#: What other constants of these modules begin with; those of effects end with `_EFFECTS`.
_PREFIXES = ("_FROM_", "_DONE_IN_")


class Constants:
    """Members that a module names, and the constants that stand for them.

    They are far quicker to read than a member of its class, which goes through a class of classes.
    What they are called decides where lines are broken, so lines are made twice: first to see which
    members they name. `taken` are names that the module has otherwise.
    """

    def __init__(self, program: Program, *taken: str) -> None:
        self._program = program
        self._taken = taken
        self._constants: dict[str, str] = {}
        self._named: re.Pattern[str] | None = None

    def choose(self, lines: Iterable[str]) -> list[str]:
        """Choose constants for what some lines name; return their definitions."""
        members = [
            (info.name, member.constant)
            for info in self._program.symbols.enums.values()
            for member in info.members.values()
        ]
        text = "\n".join(lines)
        used = [(e, m) for e, m in members if re.search(rf"\b{e}\.{m}\b", text)]
        plain = [member for _, member in used]
        long = [f"_{snake(enum).upper()}_{member}" for enum, member in used]
        for (enum, member), qualified in zip(used, long, strict=True):
            # Where neither is free, the member is written as it is.
            if plain.count(member) == 1 and self._free(f"_{member}") and f"_{member}" not in long:
                self._constants[f"{enum}.{member}"] = f"_{member}"
            elif self._free(qualified) and long.count(qualified) == 1:
                self._constants[f"{enum}.{member}"] = qualified
        if self._constants:
            names = "|".join(re.escape(name) for name in self._constants)
            self._named = re.compile(rf"\b(?:{names})\b(?!\w)")
        return [f"{constant} = {member}" for member, constant in self._constants.items()]

    def short(self, code: Code) -> Code:
        """Code with constants for members, once they are chosen."""
        return code.renamed(self._named, self._constants) if self._named is not None else code

    def _free(self, constant: str) -> bool:
        return not (
            constant in self._taken
            or constant.startswith(_PREFIXES)
            or constant.endswith("_EFFECTS")
        )

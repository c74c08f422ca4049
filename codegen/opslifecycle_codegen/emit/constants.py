"""Lowering of members of closed sets to constants of a module."""

from __future__ import annotations

import re
from collections.abc import Iterable

from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.symbols import snake

#: Prefixes of other constants in these modules; names of effects end with `_EFFECTS`.
_PREFIXES = ("_FROM_", "_DONE_IN_")


class Constants:
    """The members that a module uses, and their constants.

    A constant is much faster to read than an attribute of an enum class, which its metaclass looks
    up. Names determine line breaks, so lines are printed twice, the first time to collect the
    members. `taken` are the module's other names.
    """

    def __init__(self, program: Program, *taken: str) -> None:
        self._program = program
        self._taken = taken
        self._constants: dict[str, str] = {}
        self._named: re.Pattern[str] | None = None

    def choose(self, lines: Iterable[str]) -> list[str]:
        """Choose constants for the members in some lines; return their definitions."""
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
            # If neither is free, the member itself is printed.
            if plain.count(member) == 1 and self._free(f"_{member}") and f"_{member}" not in long:
                self._constants[f"{enum}.{member}"] = f"_{member}"
            elif self._free(qualified) and long.count(qualified) == 1:
                self._constants[f"{enum}.{member}"] = qualified
        if self._constants:
            names = "|".join(re.escape(name) for name in self._constants)
            self._named = re.compile(rf"\b(?:{names})\b(?!\w)")
        return [f"{constant} = {member}" for member, constant in self._constants.items()]

    def short(self, code: Code) -> Code:
        """Return code with the chosen constants."""
        return code.renamed(self._named, self._constants) if self._named is not None else code

    def _free(self, constant: str) -> bool:
        return not (
            constant in self._taken
            or constant.startswith(_PREFIXES)
            or constant.endswith("_EFFECTS")
        )

"""Lowering of members and of lists of statuses to constants of a module."""

from __future__ import annotations

import re
from collections.abc import Iterable

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.ir.symbols import snake

#: Prefixes and suffixes of other constants in these modules.
_PREFIXES = ("_FROM_", "_DONE_IN_")
_SUFFIXES = ("_FROM", "_DONE_IN", "_EFFECTS")
# A longer name of a list of statuses is less readable than a short one beside the list.
_CHARACTERS_MAX = 40


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
        # Behind two underscores, a class would look for a name of its own.
        return not (
            constant in self._taken
            or constant.startswith(("__", *_PREFIXES))
            or constant.endswith(_SUFFIXES)
        )


class StatusConstants:
    """The constants of the authority's module that hold several statuses.

    The name is that of a declared group with these members, or else consists of the members. Where
    that would be long, it is the name of the first command that has the list. A list of one status
    has no constant.
    """

    def __init__(self, program: Program) -> None:
        self._symbols = program.symbols
        self._names: dict[tuple[str, tuple[str, ...]], str] = {}
        removing = (program.rollback, program.erase)
        for command in (*program.actions, *(each for each in removing if each is not None)):
            self._name(command, "FROM", command.from_statuses)
        for command in program.actions:
            self._name(command, "DONE_IN", command.idempotent_in)

    def _name(self, command: Command, kind: str, members: tuple[str, ...]) -> None:
        if len(members) < 2 or (kind, members) in self._names:
            return
        groups = self._symbols.status_groups
        group = next((name for name, each in groups.items() if each == members), "")
        name = f"_{kind}_{group.upper() or '_OR_'.join(map(str.upper, members))}"
        # Names of statuses may make two lists read alike, or a list like a group.
        taken = {*self._names.values(), *(f"_{kind}_{each.upper()}" for each in groups)}
        if not group and (len(name) > _CHARACTERS_MAX or name in taken):
            name = f"_{command.name.upper()}_{kind}"
        while name in taken and not group:
            name += "_"
        self._names[kind, members] = name

    def starting(self, members: tuple[str, ...]) -> Code:
        """Return the statuses that an action starts from."""
        return self._code("FROM", members)

    def done(self, members: tuple[str, ...]) -> Code:
        """Return the statuses in which an action counts as done already."""
        return self._code("DONE_IN", members)

    def _code(self, kind: str, members: tuple[str, ...]) -> Code:
        name = self._names.get((kind, members))
        return Code(name) if name is not None else self._written_out(members)

    def _written_out(self, members: tuple[str, ...]) -> Code:
        status = self._symbols.status_enum
        return layout.called("", [Code(f"{status}.{each.upper()}") for each in members])

    def definitions(self, constants: Constants, width: int) -> list[str]:
        """Return the definitions of the constants."""
        lines: list[str] = []
        for (_, members), name in self._names.items():
            code = constants.short(self._written_out(members))
            line = layout.statement(f"{name} = ", code, "", indent=0, width=width)
            lines += line if len(line) == 1 else self._long(name, members, width) or line
        return lines

    def _long(self, name: str, members: tuple[str, ...], width: int) -> list[str]:
        """Return a definition by a rule, for all statuses that are not terminal; else nothing."""
        status = self._symbols.enums[self._symbols.status_enum]
        if members != tuple(n for n, each in status.members.items() if not each.values["terminal"]):
            return []
        element = Code("each")
        clauses = [
            Code(status.name, prefix="for each in "),
            Code("not each.terminal", prefix="if "),
        ]
        code = layout.comprehension("tuple", element, clauses)
        return layout.statement(f"{name} = ", code, "", indent=0, width=width)

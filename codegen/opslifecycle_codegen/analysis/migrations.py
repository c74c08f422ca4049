"""Stage 3, analyze: migrations of data that older versions have stored.

A migration edits parts by name (`ir/parts.py`). It uses the names of its own version; a later
migration applies its own renames. `types` renames classes, which stored data does not contain.
"""

from __future__ import annotations

from attrs import evolve

from opslifecycle_codegen.analysis.added_values import added_value
from opslifecycle_codegen.analysis.placement import placed_names
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.compat.compare import PERSISTED, RULES, acceptable
from opslifecycle_codegen.ir.messages import ACTIONS
from opslifecycle_codegen.ir.migrations import RECORD, AddedValue, Migration, Migrations
from opslifecycle_codegen.ir.parts import (
    FEED_ENTRY,
    METHODS,
    SNAPSHOT,
    all_parts,
    fields_in,
    names_in,
    stored_parts,
)
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.source import property_model
from opslifecycle_codegen.source.reader import Node
from opslifecycle_codegen.source.words import Text


def migrations_of(program: Program, diagnostics: Diagnostics) -> Migrations:
    """Return the declared migrations, checked against the current declarations."""
    return _Checker(program, diagnostics).run()


class _Checker:
    def __init__(self, program: Program, diagnostics: Diagnostics) -> None:
        self._machine = program.machine
        self._symbols = program.symbols
        self._program = program
        self._parts = all_parts(program)
        self._stored = stored_parts(program)
        self._placed = placed_names(program.machine)
        self._diagnostics = diagnostics

    def run(self) -> Migrations:
        found: dict[int, tuple[Text, property_model.Migration]] = {}
        for key, declared in self._machine.migrations.items():
            if not key.isdecimal() or not 2 <= int(key) <= self._machine.version:
                message = f"{key!s} is no version of this machine"
                hint = f"a migration leads to one of the versions 2 to {self._machine.version}"
                self._diagnostics.add(key.mark, "unknown-version", message, hint)
                continue
            found[int(key)] = (key, declared)
        steps = tuple(self._migration(v, found[v][1]) for v in sorted(found))
        enums = {
            info.source: name
            for name, info in self._symbols.enums.items()
            if info.source in self._symbols.unions
        }
        migrations = Migrations(steps, enums)
        for version in sorted(found):
            self._check_names(version, found[version][1], migrations)
        return evolve(migrations, steps=self._with_followers(steps))

    def _with_followers(self, steps: tuple[Migration, ...]) -> tuple[Migration, ...]:
        """Return steps with the renames of what is called like a renamed field or action."""
        result = list(steps)
        machine, enums = self._program.machine, self._program.symbols.enums
        of_actions = [str(n) for n, each in machine.enums.items() if each.members_from == ACTIONS]
        of_actions += [name for name in [public_names(machine).action] if name in enums]
        followers = [(RECORD, SNAPSHOT), (RECORD, FEED_ENTRY), (ACTIONS, METHODS)]
        followers += [(ACTIONS, name) for name in of_actions]
        for part, following in followers:
            names = set(names_in(self._program, following))
            for place in reversed(range(len(result))):
                step = result[place]
                implied = {
                    old: new
                    for old, new in step.renames.get(part, {}).items()
                    if new in names and old not in names
                }
                declared = step.renames.get(following, {})
                names = names - set(implied.values()) - set(declared.values())
                names |= {*implied, *declared}
                if implied:
                    edits = {**step.renames, following: {**implied, **declared}}
                    result[place] = evolve(step, renames=edits)
        return tuple(result)

    def _migration(self, version: int, declared: property_model.Migration) -> Migration:
        for part in declared.renames:
            if part not in self._parts:
                message = f"{part!s} is no part of this machine whose names can change"
                hint = nearest(part, self._parts)
                self._diagnostics.add(part.mark, "unknown-name", message, hint)
        for part in {*declared.removes, *declared.adds}:
            if part not in self._stored:
                message = f"{part!s} is no stored type"
                hint = nearest(part, self._stored)
                self._diagnostics.add(part.mark, "unknown-name", message, hint)
        for rule in declared.accepts:
            self._check_accepted(rule)
        return Migration(
            version,
            str(declared.reason),
            declared.refuses,
            {str(p): {str(o): str(n) for o, n in e.items()} for p, e in declared.renames.items()},
            {str(p): [str(name) for name in names] for p, names in declared.removes.items()},
            {
                str(part): {str(name): self._added(part, name, node) for name, node in e.items()}
                for part, e in declared.adds.items()
            },
            {str(rule): str(reason) for rule, reason in declared.accepts.items()},
        )

    def _check_accepted(self, rule: Text) -> None:
        """Report a rule that a reason cannot accept."""
        if acceptable(rule):
            return
        if RULES.get(rule) == PERSISTED:
            message = f"no reason makes stored data readable after a change of {rule!s}"
            hint = "declare `renames`, `removes`, `adds` or `refuses` in its place"
        else:
            message = f"{rule!s} is no rule of a breaking change"
            hint = nearest(rule, [name for name in RULES if acceptable(name)])
        self._diagnostics.add(rule.mark, "unknown-name", message, hint)

    def _check_names(
        self, version: int, declared: property_model.Migration, every: Migrations
    ) -> None:
        """Report renames to missing names, and renames or removals of existing names."""
        for part, edits in declared.renames.items():
            if part not in self._parts:
                continue
            today = self._spelled(part, version, every)
            for old, new in edits.items():
                if new not in today:
                    message = f"{part!s} has no {new!s} in version {version}"
                    self._diagnostics.add(new.mark, "unknown-name", message, nearest(new, today))
                if old in today:
                    message = f"{part!s} still has {old!s} in version {version}"
                    self._diagnostics.add(old.mark, "name-collision", message)
        for part, names in declared.removes.items():
            today = self._spelled(part, version, every)
            # A version between this one and today's may have lacked a feature with its fields.
            placed = self._placed.get(part, ()) if version < self._machine.version else ()
            for name in names:
                if name in today and name not in {*declared.adds.get(part, {}), *placed}:
                    message = f"{part!s} still has {name!s} in version {version}"
                    self._diagnostics.add(name.mark, "name-collision", message)

    def _spelled(self, part: str, version: int, every: Migrations) -> list[str]:
        """Return the names of a part as a version spells them."""
        return [every.spelled(part, name, version) for name in names_in(self._program, part)]

    def _added(self, part: Text, name: Text, node: Node) -> AddedValue:
        """Return the JSON value of a field that older data lacks."""
        fields = fields_in(self._program, part)
        type = fields.get(name)
        if part == RECORD and name == "terminal_outcome":
            message = "records that have not ended have no outcome, so that none can be added"
            self._diagnostics.add(name.mark, "owned-field", message, "declare `refuses: true`")
            return None
        if type is None:
            hint = nearest(name, fields)
            self._diagnostics.add(name.mark, "unknown-name", f"{part!s} has no {name!s}", hint)
            return None
        return added_value(self._symbols, type, node, self._diagnostics)

"""Stage 3, analyze: rules about the machine as a whole."""

from __future__ import annotations

import re

from opslifecycle_codegen.analysis.checked_by import check_checked_by
from opslifecycle_codegen.analysis.commands import Commands
from opslifecycle_codegen.analysis.history import transition_class
from opslifecycle_codegen.analysis.listing import check_pages
from opslifecycle_codegen.analysis.message_rules import check_messages
from opslifecycle_codegen.analysis.name_rules import check_create, check_names
from opslifecycle_codegen.analysis.parents import check_parent
from opslifecycle_codegen.analysis.resolve import Resolver
from opslifecycle_codegen.analysis.scenario_rules import check_slices
from opslifecycle_codegen.analysis.stamps import check_stamps
from opslifecycle_codegen.analysis.timers import declared_timers
from opslifecycle_codegen.analysis.times import check_times
from opslifecycle_codegen.analysis.unique import check_unique
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.built_ins import BUILT_IN_EFFECTS
from opslifecycle_codegen.ir.feeds import feeds_announcements
from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.ir.several import element_of
from opslifecycle_codegen.source.words import Declared, Expr, Text, TypeExpr, TypeName


def check(
    program: Program, resolver: Resolver, commands: Commands, diagnostics: Diagnostics
) -> None:
    """Report unreachable statuses, unused declarations, endless cycles and missing methods."""
    rules = _Rules(program, resolver, commands, diagnostics)
    rules.draft()
    rules.statuses()
    rules.sources()
    rules.deferred()
    rules.recovery()
    check_slices(program, diagnostics)
    check_unique(program, diagnostics)
    check_parent(program, diagnostics)
    check_stamps(program.machine, program.symbols, diagnostics)
    check_times(program, diagnostics)
    check_pages(program, diagnostics)
    rules.methods()
    check_messages(program, diagnostics)
    check_checked_by(program, diagnostics)
    rules.unused()
    rules.cycles()
    check_names(program.machine, diagnostics)
    check_create(program.machine, program.create, diagnostics)


class _Rules:
    def __init__(
        self, program: Program, resolver: Resolver, commands: Commands, found: Diagnostics
    ) -> None:
        self._program = program
        self._machine = program.machine
        self._resolver = resolver
        self._commands = commands
        self._diagnostics = found

    def _add(self, name: Text, rule: str, message: str, hint: str = "") -> None:
        """Report a finding about a name."""
        self._diagnostics.add(name.mark, rule, message, hint, of=str(name))

    def draft(self) -> None:
        """Report a status of the machine itself other than `draft`."""
        status = self._machine.status
        if status is not None and status != "draft":
            message = f"a machine is a draft or published; found {str(status)!r}"
            hint = "write `status: draft`, or remove the key"
            self._diagnostics.add(status.mark, "wrong-shape", message, hint)

    def statuses(self) -> None:
        """Report statuses that are unreachable, or from which no final status is reachable."""
        machine, groups = self._machine, self._program.symbols.status_groups
        real = [*groups["live"], *groups["terminal"]]
        edges = {
            (source, way.to or source)
            for action in self._program.actions
            for way in action.ways
            for source in way.from_statuses
        }
        first = {str(machine.create.to)} if machine.create.to else set(real)
        reached = _closure(first, edges)
        for wire, status in machine.statuses.members.items():
            if not status.pseudo and wire not in reached:
                message = f"no action leads to {wire}"
                self._add(wire, "unreachable-status", message)
        back = {(to, source) for source, to in edges}
        ending = _closure(set(groups["terminal"]), back)
        for wire in machine.statuses.members if groups["terminal"] else ():
            if str(wire) in real and str(wire) in reached and wire not in ending:
                message = f"no terminal status can be reached from {wire}"
                self._add(wire, "endless-status", message)
        if not groups["terminal"]:
            self._without_an_end()
        for eventually in machine.eventually.values():
            goals = _closure(set(self._resolver.statuses(eventually.reaches)), back)
            for start in self._resolver.statuses(eventually.from_):
                if start not in goals:
                    message = f"none of {', '.join(eventually.reaches)} is reached from {start}"
                    self._diagnostics.add(eventually.mark, "endless-status", message)
        for name, action in machine.actions.items():
            for source in self._resolver.statuses(action.idempotent_in):
                if source in self._resolver.statuses(action.from_):
                    message = f"{name} is legal from {source}: rejecting it there cannot happen"
                    self._diagnostics.add(name.mark, "dead-idempotence", message)

    def sources(self) -> None:
        """Report commands that no status allows."""
        machine = self._machine
        sources = [(str(name), each.mark, each.from_) for name, each in machine.actions.items()]
        for removing in (machine.rollback, machine.erase):
            if removing is not None:
                sources.append((str(removing.method), removing.mark, removing.from_))
        for name, mark, words in sources:
            if not self._resolver.statuses(words):
                message, hint = f"no status allows {name}", "name a status in `from`"
                self._diagnostics.add(mark, "empty-set", message, hint)

    def _without_an_end(self) -> None:
        """Report what would wait for the end of records that have none."""
        machine, awaited = self._machine, self._program.symbols.announced
        waits: list[tuple[str, Declared | None, object]] = [
            ("watch", machine.watch, awaited),
            ("barrier", machine.barrier, awaited),
            ("feed", machine.feed if feeds_announcements(machine) else None, awaited),
            ("collect", machine.collect, ()),
            ("erase", machine.erase, ()),
            ("on_terminal", machine.on_terminal[0] if machine.on_terminal else None, ()),
        ]
        for section, declared, found in waits:
            if declared is not None and not found:
                message = f"{section} is for records that end, and no status is terminal"
                hint = "add `terminal: true` to the statuses in which a record has ended"
                self._diagnostics.add(declared.mark, "endless-status", message, hint, section)

    def deferred(self) -> None:
        """Report `deferred` on commands that a crash must not lose, or without a store."""
        terminal = self._program.symbols.status_groups["terminal"]
        hint = "remove `deferred`: the action is then durable when its call returns"
        for name, action in self._machine.actions.items():
            if not action.deferred:
                continue
            ends = [str(target.status) for target in action.to if str(target.status) in terminal]
            if ends:
                message = f"{name} leads to {ends[0]}, a terminal status: it cannot be deferred"
            elif any(way.effects for way in self._ways(name)):
                message = f"{name} has effects, which follow its commit: it cannot be deferred"
            elif self._machine.recovery is None:
                message = f"{name} is deferred, but nothing is stored without `recovery`"
            else:
                continue
            self._add(name, "deferred-write", message, hint)

    def _ways(self, name: Text) -> tuple[Command, ...]:
        return next(each.ways for each in self._program.actions if each.name == name)

    def recovery(self) -> None:
        """Report records that stay live in any case."""
        declared = self._machine.recovery
        if declared is not None and declared.unless is not None and declared.do is None:
            message = "every live record stays live at recovery, because `do` is missing"
            hint = "remove `unless`, or name the action that ends the other records"
            self._diagnostics.add(declared.unless.mark, "missing-key", message, hint)

    def methods(self) -> None:
        """Report actions without a method."""
        machine = self._machine
        done = {str(each.do) for each in machine.bulk.values() if each.do is not None}
        done |= {str(name) for each in machine.methods.values() for name in each.actions}
        done |= {str(timer.do) for _, timer in declared_timers(machine)}
        if machine.recovery is not None and machine.recovery.do is not None:
            done.add(str(machine.recovery.do))
        for name, action in machine.actions.items():
            if not action.methods and name not in done:
                message = f"{name} has no method, and no other command applies it"
                self._add(name, "dead-action", message)
        for method in machine.create.optional_methods:
            if method not in machine.create.methods:
                message = f"there is no method {str(method)!r}"
                hint = nearest(method, machine.create.methods)
                self._diagnostics.add(method.mark, "unknown-name", message, hint)

    def unused(self) -> None:
        """Report unused declarations."""
        machine = self._machine
        for name in machine.guards:
            if name not in self._commands.guards.used:
                self._add(name, "unused-guard", f"no command uses the guard {name}")
        for name, effect in machine.effects.items():
            if effect.attempts < 1:
                message = f"{name} needs at least 1 attempt"
                self._diagnostics.add(effect.mark, "wrong-shape", message)
            if name in BUILT_IN_EFFECTS:
                message = f"{name} is an effect of the shell"
                self._diagnostics.add(name.mark, "name-collision", message)
            elif name not in self._commands.changes.used_effects:
                self._add(name, "unused-effect", f"no command has the effect {name}")
        for name in machine.errors:
            if name not in self._commands.guards.used_rejections:
                message = f"no guard raises {name}"
                self._add(
                    name, "unused-error", message, "name it as the `error` of a guard, or remove it"
                )
        mentioned = self._mentions() | {transition_class(machine)}
        for declared in (*machine.ids, *machine.types, *machine.values):
            if declared not in mentioned:
                self._add(declared, "unused-type", f"nothing uses {declared}")

    def _mentions(self) -> set[str]:
        """Return all words in the machine's expressions and types."""
        words: set[str] = set()

        def walk(value: object) -> None:
            if isinstance(value, TypeExpr | Expr | TypeName):
                words.update(re.findall(r"\w+", value))
            elif isinstance(value, dict):
                for key, each in value.items():
                    # The key of a declaration is not a use.
                    walk(each)
                    if isinstance(key, Expr):
                        walk(key)
            elif isinstance(value, list | tuple):
                for each in value:
                    walk(each)
            elif isinstance(value, Declared):
                for name in getattr(type(value), "__slots__", ()):
                    if name != "__weakref__":
                        walk(getattr(value, name))

        walk(self._machine)
        words.update(str(each.members_from) for each in self._machine.enums.values())
        words.add(self._program.symbols.entity_fields["id"].name)
        return words

    def cycles(self) -> None:
        """Report values that contain themselves, and closed sets typed by themselves."""
        symbols = self._program.symbols
        always: set[tuple[str, str]] = set()
        for record in symbols.records.values():
            needs = (f.type.name for f in record.fields.values() if not f.type.optional)
            always |= {(record.name, need) for need in needs}
        perhaps = {
            (record.name, element_of(info.type).name)
            for record in symbols.records.values()
            for info in record.fields.values()
        }
        others = set()
        for union in symbols.unions.values():
            others |= {(union.name, variant) for variant in union.variants}
        for enum in symbols.enums.values():
            needs = (p.type.name for p in enum.properties.values())
            others |= {(enum.name, need) for need in needs}
        for name in (*self._machine.values, *self._machine.enums):
            if self._contains_itself(name, always | others):
                message = f"{name} cannot be constructed: it always contains another {name}"
                self._diagnostics.add(name.mark, "cycle", message)
            elif self._contains_itself(name, always | perhaps | others):
                message = f"{name} may contain another {name}, and so on without end"
                hint = "a value has a fixed depth: store the id of another record in its place"
                self._diagnostics.add(name.mark, "cycle", message, hint)

    def _contains_itself(self, name: Text, edges: set[tuple[str, str]]) -> bool:
        return name in _closure({to for source, to in edges if source == name}, edges)


def _closure(start: set[str], edges: set[tuple[str, str]]) -> set[str]:
    reached = set(start)
    while True:
        more = {to for source, to in edges if source in reached} - reached
        if not more:
            return reached
        reached |= more

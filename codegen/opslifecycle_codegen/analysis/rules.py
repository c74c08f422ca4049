"""Stage 3, analyze: what must hold of the machine as a whole."""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Iterable

from opslifecycle_codegen.analysis.changes import EFFECTS
from opslifecycle_codegen.analysis.commands import Commands
from opslifecycle_codegen.analysis.guards import BUILT_IN_REJECTIONS
from opslifecycle_codegen.analysis.resolve import Resolver
from opslifecycle_codegen.analysis.slice_rules import check_slices
from opslifecycle_codegen.base.diagnostics import Diagnostics, Mark, nearest
from opslifecycle_codegen.emit.imports import RESERVED_TYPE_NAMES
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.source.words import Declared, Expr, Text, TypeExpr, TypeName

# Words that generated code uses for something else, by where they would stand.
_ENUM_WORDS = frozenset({"mro", "name", "value", "generated_variant", "wire", "cls", "member"})
_RECORD_WORDS = frozenset({"clock_offset_ms", "constant_text"})
_REGISTRY_WORDS = frozenset(
    {"records", "ended", "now_ms", "clock_offset_ms", "cursors", "self"} | {"effects_given"}
)
_METHOD_WORDS = frozenset(
    {"close", "allowed", "capture", "restore", "broken_invariants"}
    | {"pending_effects"}
    | {"erase", "evict", "register", "cursor_of", "recover_interrupted"}
)


def check(
    program: Program, resolver: Resolver, commands: Commands, diagnostics: Diagnostics
) -> None:
    """Report what is unreachable, unused, endless or named twice."""
    rules = _Rules(program, resolver, commands, diagnostics)
    rules.statuses()
    rules.effects()
    rules.deferred()
    check_slices(program, diagnostics)
    rules.methods()
    rules.rejections()
    rules.unused()
    rules.names()
    rules.words()
    rules.cycles()


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
        """Report what is found of a name."""
        self._diagnostics.add(name.mark, rule, message, hint, of=str(name))

    def statuses(self) -> None:
        """Every real status can be reached, and an end can be reached from each."""
        machine, groups = self._machine, self._program.symbols.status_groups
        real = [*groups["live"], *groups["terminal"]]
        edges = {
            (source, action.to or source)
            for action in self._program.actions
            for source in action.from_statuses
        }
        reached = _closure({str(machine.create.to)}, edges)
        for wire, status in machine.statuses.members.items():
            if not status.pseudo and wire not in reached:
                message = f"no action leads to {wire}"
                self._add(wire, "unreachable-status", message)
        back = {(to, source) for source, to in edges}
        ending = _closure(set(groups["terminal"]), back)
        for wire in machine.statuses.members:
            if str(wire) in real and str(wire) in reached and wire not in ending:
                message = f"no end can be reached from {wire}"
                self._add(wire, "endless-status", message)
        if not groups["terminal"]:
            mark = machine.statuses.mark
            self._diagnostics.add(mark, "endless-status", "none of the statuses is terminal")
        for eventually in machine.eventually.values():
            goals = _closure(set(self._resolver.statuses(eventually.reaches)), back)
            for start in self._resolver.statuses(eventually.from_):
                if start not in goals:
                    message = f"none of {', '.join(eventually.reaches)} is reached from {start}"
                    self._diagnostics.add(eventually.mark, "endless-status", message)
        for name, action in machine.actions.items():
            if not self._resolver.statuses(action.from_):
                self._add(name, "dead-action", f"no status allows {name}")
            for source in self._resolver.statuses(action.idempotent_in):
                if source in self._resolver.statuses(action.from_):
                    message = f"{name} is legal from {source}: rejecting it there cannot happen"
                    self._diagnostics.add(name.mark, "dead-idempotence", message)

    def effects(self) -> None:
        """What waits for an end is told of every end, whatever the record."""
        machine = self._machine
        always = {name for step in machine.on_terminal if step.if_ is None for name in step.effects}
        for feature, declared, effect in (
            ("watch", machine.watch, "wake_watchers"),
            ("barrier", machine.barrier, "count_in_barriers"),
        ):
            if declared is not None and effect not in always:
                message = f"{feature} would never end: no step of on_terminal always does {effect}"
                hint = f"add to on_terminal: - effects: [{effect}]"
                self._diagnostics.add(declared.mark, "missing-effect", message, hint)

    def deferred(self) -> None:
        """A write is deferred only where a crash may lose it, and only where there is a store."""
        terminal = self._program.symbols.status_groups["terminal"]
        hint = "leave out `deferred`: the action is durable when its call returns"
        for name, action in self._machine.actions.items():
            if not action.deferred:
                continue
            if action.to is not None and str(action.to) in terminal:
                message = f"{name} leads to {action.to}, which is an end: it cannot be deferred"
            elif action.effects:
                message = f"{name} has effects: they follow the commit that `deferred` puts off"
            elif self._machine.recovery is None:
                message = f"{name} is deferred, but nothing is stored: there is no `recovery`"
            else:
                continue
            self._add(name, "deferred-write", message, hint)

    def methods(self) -> None:
        """Public methods have names of their own, and every action can be asked for."""
        machine = self._machine
        done = {str(each.do) for each in machine.for_all_live.values()}
        for name, action in machine.actions.items():
            if not action.methods and name not in done:
                message = f"{name} has no method and no command that does it"
                self._add(name, "dead-action", message)
        for method, params in machine.create.methods.items():
            for param in params:
                if param not in machine.create.takes:
                    hint = nearest(param, machine.create.takes)
                    message = f"{method} takes {str(param)!r}, which is not declared"
                    self._diagnostics.add(param.mark, "unknown-name", message, hint)
        for method in machine.create.optional_methods:
            if method not in machine.create.methods:
                message = f"there is no method {str(method)!r}"
                hint = nearest(method, machine.create.methods)
                self._diagnostics.add(method.mark, "unknown-name", message, hint)
        self._no_collisions(self._public_methods(), "method")
        actions_methods = {method for each in machine.actions.values() for method in each.methods}
        created = set(machine.create.methods)
        others = [m for m in self._public_methods() if m not in actions_methods | created]
        self._no_collisions([*machine.actions, *others], "command of the authority")

    def _public_methods(self) -> Iterable[Text]:
        machine = self._machine
        yield from machine.create.methods
        for action in machine.actions.values():
            yield from action.methods
        yield from machine.for_all_live
        for feature in (
            machine.rollback,
            machine.collect,
            machine.watch,
            machine.feed,
            machine.barrier,
            machine.snapshot,
            machine.listing,
        ):
            if feature is not None:
                yield feature.method
        if machine.cursors is not None:
            yield from (machine.cursors.get, machine.cursors.advance)
        yield from machine.classifiers

    def rejections(self) -> None:
        """What a rejection says names its own facts only."""
        for name, rejection in self._machine.rejections.items():
            try:
                fields = [field for _, field, _, _ in string.Formatter().parse(rejection.says)]
            except ValueError as error:
                message = f"{name} says what cannot be filled in: {error}"
                self._diagnostics.add(rejection.says.mark, "bad-template", message)
                continue
            for field in fields:
                root = re.split(r"[.\[]", field)[0] if field is not None else None
                if root is not None and root not in rejection.facts:
                    hint = nearest(root, rejection.facts)
                    message = f"{name} says {{{field}}}, which is none of its facts"
                    self._diagnostics.add(rejection.says.mark, "unknown-name", message, hint)

    def unused(self) -> None:
        """Whatever is declared is used, or waived with a reason."""
        machine = self._machine
        for name in machine.guards:
            if name not in self._commands.guards.used:
                self._add(name, "unused-guard", f"nothing checks {name}")
        for name in machine.effects:
            if name in EFFECTS:
                message = f"{name} is an effect of the shell"
                self._diagnostics.add(name.mark, "name-collision", message)
            elif name not in self._commands.changes.used_effects:
                self._add(name, "unused-effect", f"nothing has the effect {name}")
        for name in machine.rejections:
            if name not in self._commands.guards.used_rejections:
                message = f"nothing is refused with {name}"
                self._add(name, "rejection-never-given", message, "a guard gives it")
        for type_name, value in machine.values.items():
            for field_name, field in value.fields.items():
                if field.checked_by is not None and field.checked_by not in machine.guards:
                    hint = nearest(field.checked_by, machine.guards)
                    message = f"{field_name} of {type_name} is checked by no guard there is"
                    self._diagnostics.add(field.checked_by.mark, "unknown-guard", message, hint)
        mentioned = self._mentions()
        for declared in (*machine.ids, *machine.values):
            if declared not in mentioned:
                self._add(declared, "unused-type", f"nothing uses {declared}")

    def _mentions(self) -> set[str]:
        """Every word in the machine's expressions and types."""
        words: set[str] = set()

        def walk(value: object) -> None:
            if isinstance(value, TypeExpr | Expr | TypeName):
                words.update(re.findall(r"\w+", value))
            elif isinstance(value, dict):
                for key, each in value.items():
                    # The key of a declaration names it; that alone is no use of it.
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

    def names(self) -> None:
        """No two things are called the same where Python would not tell them apart."""
        machine = self._machine
        types: list[Text] = [
            *machine.ids,
            *machine.enums,
            *machine.values,
            *(name for value in machine.values.values() for name in value.variants),
            *(rejection.error for rejection in machine.rejections.values()),
        ]
        if machine.feed is not None:
            types += [machine.feed.batch, machine.feed.entry.name]
        if machine.barrier is not None:
            types += [machine.barrier.wait, machine.barrier.result, machine.barrier.token]
        if machine.names is not None:
            given = (machine.names.seam, machine.names.registry, machine.names.snapshot)
            types += [name for name in (*given, machine.names.watch) if name is not None]
        self._no_collisions(types, "type")
        built_in = {error for error, _ in BUILT_IN_REJECTIONS.values()}
        for name in types:
            if name in built_in:
                message = f"{name} is an error that every machine has"
                self._diagnostics.add(name.mark, "name-collision", message)
        for name in types:
            if name in RESERVED_TYPE_NAMES:
                message = f"{name} is the name of something that generated code uses"
                self._diagnostics.add(name.mark, "reserved-name", message)

    def words(self) -> None:
        """No member, field or method has a name that generated code needs."""
        machine = self._machine
        members: list[Text] = [*machine.statuses.members, *machine.statuses.properties]
        for enum in machine.enums.values():
            members += [*enum.members, *enum.properties]
        self._reserve(members, _ENUM_WORDS, "a closed set")
        self._reserve(machine.fields, _RECORD_WORDS, "a record")
        self._reserve([*machine.settings, *machine.registry], _REGISTRY_WORDS, "a registry")
        self._reserve(self._public_methods(), _METHOD_WORDS, "a registry's methods")
        self._reserve(machine.actions, _METHOD_WORDS, "an authority's methods")
        for value in machine.values.values():
            fields = [value.fields, *(variant.fields for variant in value.variants.values())]
            self._reserve([name for each in fields for name in each], {"self"}, "a value")

    def _reserve(self, names: Iterable[Text], words: Collection[str], where: str) -> None:
        for name in names:
            if name in words:
                message = f"{str(name)!r} cannot stand in {where}: generated code uses the word"
                self._diagnostics.add(name.mark, "reserved-name", message)

    def cycles(self) -> None:
        """No value needs itself, and no closed set is typed by itself."""
        symbols = self._program.symbols
        edges: set[tuple[str, str]] = set()
        for record in symbols.records.values():
            needs = (f.type.name for f in record.fields.values() if not f.type.optional)
            edges |= {(record.name, need) for need in needs}
        for union in symbols.unions.values():
            edges |= {(union.name, variant) for variant in union.variants}
        for enum in symbols.enums.values():
            needs = (p.type.name for p in enum.properties.values())
            edges |= {(enum.name, need) for need in needs}
        for name in (*self._machine.values, *self._machine.enums):
            after = {to for source, to in edges if source == name}
            if name in _closure(after, edges):
                message = f"{name} cannot be made: it needs another {name} first"
                self._diagnostics.add(name.mark, "cycle", message)

    def _no_collisions(self, names: Iterable[Text], what: str) -> None:
        seen: dict[str, Mark] = {}
        for name in names:
            first = seen.setdefault(str(name), name.mark)
            if first != name.mark:
                message = f"{name} names two things: each {what} needs a name of its own"
                hint = f"the other stands at line {first.line}"
                self._diagnostics.add(name.mark, "name-collision", message, hint)


def _closure(start: set[str], edges: set[tuple[str, str]]) -> set[str]:
    reached = set(start)
    while True:
        more = {to for source, to in edges if source in reached} - reached
        if not more:
            return reached
        reached |= more

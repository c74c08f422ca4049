"""Stage 3, analyze: a parsed machine to a program, or all its errors."""

from __future__ import annotations

from functools import partial

from attrs import evolve

from opslifecycle_codegen.analysis import rules
from opslifecycle_codegen.analysis.bulk import BulkCommands
from opslifecycle_codegen.analysis.choices import choices
from opslifecycle_codegen.analysis.commands import Commands
from opslifecycle_codegen.analysis.counters import stored_counters
from opslifecycle_codegen.analysis.crossings import Crossings
from opslifecycle_codegen.analysis.defaults import keywords_of
from opslifecycle_codegen.analysis.ends import Ends
from opslifecycle_codegen.analysis.expressions import compile_expression
from opslifecycle_codegen.analysis.groups import flattened
from opslifecycle_codegen.analysis.history import with_entry
from opslifecycle_codegen.analysis.listing import listed
from opslifecycle_codegen.analysis.migrations import migrations_of
from opslifecycle_codegen.analysis.milestones import with_outcome
from opslifecycle_codegen.analysis.overlaps import analyze_guards
from opslifecycle_codegen.analysis.parents import Parents
from opslifecycle_codegen.analysis.placement import EVICT_RECORDS, counters, placed
from opslifecycle_codegen.analysis.range_guards import with_guards
from opslifecycle_codegen.analysis.ranges import find_ranges
from opslifecycle_codegen.analysis.regions import without_regions
from opslifecycle_codegen.analysis.resolve import Resolver
from opslifecycle_codegen.analysis.returned import is_value, refuse_unasked, returned
from opslifecycle_codegen.analysis.timers import Timers, since_fields
from opslifecycle_codegen.analysis.transitions import Transitions, entry_constants
from opslifecycle_codegen.analysis.unique import UniqueKeys
from opslifecycle_codegen.analysis.waivers import waive
from opslifecycle_codegen.analysis.work import WorkCalls
from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.base.rule_catalogue import WAIVABLE
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root, nodes_of
from opslifecycle_codegen.ir.feeds import CREATE, feeds_announcements, feeds_transitions
from opslifecycle_codegen.ir.migrations import Migrations
from opslifecycle_codegen.ir.program import Command, Program, Retention
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import ViewInfo
from opslifecycle_codegen.ir.times import stamp
from opslifecycle_codegen.ir.types import (
    BARRIER,
    BOOL,
    ENTITY,
    INT,
    REGISTRY,
    ROW,
    UNKNOWN,
    Type,
    collection,
    optional,
)
from opslifecycle_codegen.ir.views import Rule, Views
from opslifecycle_codegen.source import model, property_model, view_model
from opslifecycle_codegen.source.words import Expr, Name

_REGISTRY = nodes.Name(REGISTRY, Root.REGISTRY, "registry")


def analyze(machine: model.Machine, diagnostics: Diagnostics) -> Program:
    """Return the program of a machine; raises InvalidMachineError with all errors."""
    program = _ranged(machine, diagnostics)
    waive(program.machine, diagnostics)
    diagnostics.stop_if_any()
    return program


def _ranged(machine: model.Machine, diagnostics: Diagnostics) -> Program:
    """Return the program with the guards that keep numbers in their ranges."""
    machine = without_regions(flattened(machine, diagnostics), diagnostics)
    program = _Analyzer(placed(machine, diagnostics), diagnostics).run()
    if _is_contradictory(diagnostics):
        return program
    program = with_guards(program, find_ranges(program, diagnostics))
    return evolve(program, counters=stored_counters(program))


def _is_contradictory(diagnostics: Diagnostics) -> bool:
    """Return whether a finding cannot be waived."""
    return any(finding.rule not in WAIVABLE for finding in diagnostics.findings)


class _Analyzer:
    def __init__(self, machine: model.Machine, diagnostics: Diagnostics) -> None:
        self._machine = machine
        self._diagnostics = diagnostics
        self._resolver = Resolver(machine, diagnostics)
        self._symbols = self._resolver.run()
        self._commands = Commands(machine, self._symbols, self._resolver, diagnostics)
        self._parents = Parents(machine, self._symbols, self._commands, diagnostics)
        self._keys = UniqueKeys(machine, self._symbols, self._commands, diagnostics)

    def run(self) -> Program:
        machine, commands = self._machine, self._commands
        ends = Ends(machine, self._symbols, commands.changes, self._compile)
        feed = Transitions(machine, self._symbols, ends.of_a_transition)
        crossings = Crossings(machine, commands.changes, self._diagnostics)
        create, create_id = commands.create(machine.create)
        create = with_entry(feed.create(crossings.create(create)), machine, self._symbols, CREATE)
        actions = self._actions(crossings, feed)
        refuse_unasked(machine.actions, self._diagnostics)
        timed = Timers(machine, self._symbols, self._resolver, self._compile, self._diagnostics)
        timers = timed.timers({each.name: each for each in actions})
        create = timed.create(create, timers)
        actions = tuple(each.with_ways(lambda way: timed.action(way, timers)) for each in actions)
        all_live = BulkCommands(
            machine, self._symbols, commands, actions, self._compile, self._diagnostics
        )
        initial = self._starts(create)
        create, unique = self._keys.claimed(self._parents.asked(create, initial), initial)
        program = Program(
            machine=machine,
            symbols=self._symbols,
            create=create,
            create_id=create_id,
            initial=initial,
            actions=actions,
            on_terminal=ends.steps(),
            choices=choices(machine, actions, commands, self._diagnostics),
            bulk=tuple(all_live.bulk(n, e) for n, e in machine.bulk.items()),
            timers=timers,
            unique=unique,
            rollback=commands.rollback(machine.rollback) if machine.rollback else None,
            erase=commands.erase(machine.erase) if machine.erase else None,
            collect=commands.collect(machine.collect) if machine.collect else None,
            watch=commands.watch(machine.watch) if machine.watch else None,
            cursors=commands.cursors(machine.cursors) if machine.cursors else None,
            barrier=commands.barrier(machine.barrier) if machine.barrier else None,
            retention=self._retention(),
            recovery=all_live.recovery(),
            work=WorkCalls(self._resolver, self._symbols, self._diagnostics).work(
                machine, create, actions
            ),
            views=self._views(),
            classifiers=tuple(self._classifier(n, e) for n, e in machine.classifiers.items()),
            invariants=tuple(self._invariant(n, e) for n, e in machine.invariants.items()),
            transition_invariants=tuple(
                self._step(n, e) for n, e in machine.transition_invariants.items()
            ),
            always=self._always(),
            field_defaults=self._field_defaults(),
            registry_initial=self._registry_initial(),
            error_fields=self._error_fields(),
            migrations=Migrations(),
        )
        program = evolve(program, migrations=migrations_of(program, self._diagnostics))
        rules.check(program, self._resolver, commands, self._diagnostics)
        if _is_contradictory(self._diagnostics):
            # Guards with errors are not analysed further.
            return program
        return evolve(program, guard_analysis=analyze_guards(program, self._diagnostics))

    def _actions(self, crossings: Crossings, feed: Transitions) -> tuple[Command, ...]:
        """Return the actions, each way with what outcomes, the feed and the history add to it."""
        machine, symbols = self._machine, self._symbols

        def noted(way: Command) -> Command:
            return with_entry(feed.action(with_outcome(way, machine, symbols)), machine, symbols)

        return tuple(
            crossings.action(self._commands.action(name, each), each).with_ways(noted)
            for name, each in machine.actions.items()
        )

    def _compile(self, expr: Expr, scope: Scope, wanted: Type | None = None) -> Expression:
        tree = compile_expression(expr, scope, self._diagnostics, wanted)
        return tree or nodes.Literal(wanted or UNKNOWN, None)

    def _starts(self, create: Command) -> dict[str, Expression]:
        """Return the initial values of fields."""
        scope = self._commands.base_scope(create.params)
        id = nodes.Name(self._symbols.entity_fields["id"], Root.ID, "id")
        starts: dict[str, Expression] = {}
        scope = scope.with_names({"id": id})
        for name, field in self._machine.fields.items():
            type = self._symbols.entity_fields[name]
            if name in since_fields(self._machine):
                starts[str(name)] = stamp()
            elif field.initial is not None:
                starts[str(name)] = self._compile(field.initial, scope, type)
            elif not (type.optional or type == UNKNOWN) and field.stamped != "created":
                message = f"{name} needs an initial value, or a type with `| None`"
                self._diagnostics.add(field.mark, "missing-key", message)
        return starts

    def _registry_initial(self) -> dict[str, Expression]:
        scope, feed = Scope(self._symbols, {}), self._machine.feed
        placed = counters(feed) if feed is not None else {}
        return {
            str(name): nodes.number(0)
            if name in placed
            else self._compile(field.initial, scope, self._symbols.registry_fields[name])
            for name, field in self._machine.registry.items()
        }

    def _record_scope(self) -> Scope:
        entity = self._machine.entity
        return Scope(self._symbols, {entity: nodes.Name(ENTITY, Root.RECORD, str(entity))})

    def _retention(self) -> Retention | None:
        declared = self._machine.retention
        if declared is None:
            return None
        scope = Scope(self._symbols, {"registry": _REGISTRY})
        most = self._compile(declared.max_entries, scope, INT)
        held = self._machine.cursors is not None and not declared.beyond_cursors
        return Retention(most, declared.evict == EVICT_RECORDS, held)

    # Views --------------------------------------------------------------------------------------

    def _views(self) -> Views:
        machine, scope = self._machine, self._record_scope()
        counted = scope.with_names(
            {"watcher_count": nodes.Name(INT, Root.WATCHERS, "watcher_count")}
        )
        self._known_form(machine.snapshot)
        left_out = machine.snapshot.json == "omit_none"
        snapshot = tuple(
            self._view(name, each, counted, left_out)
            for name, each in machine.snapshot.fields.items()
        )
        entry, needs = self._entry()
        order, filters, pages = listed(
            machine, partial(self._compile, scope=scope), self._diagnostics
        )
        return Views(snapshot, entry, needs, order, filters, pages)

    def _view(
        self, name: Name, declared: view_model.ViewField, scope: Scope, left_out: bool
    ) -> tuple[ViewInfo, Expression]:
        typed = self._compile(declared.expr, scope)
        if not is_value(typed.type):
            message = f"a field of a view has a value; this is {typed.type}"
            self._diagnostics.add(declared.expr.mark, "wrong-type", message)
        self._known_form(declared)
        rule = declared.json
        keep = rule == "keep_none" or (rule is None and not left_out)
        return ViewInfo(str(name), typed.type, keep), typed

    def _known_form(self, declared: view_model.ViewField | view_model.Snapshot) -> None:
        form = declared.json
        if form is not None and form not in ("omit_none", "keep_none"):
            message = f"json: {str(form)!r} is unknown; expected omit_none or keep_none"
            self._diagnostics.add(form.mark, "unknown-name", message)

    def _entry(self) -> tuple[tuple[tuple[ViewInfo, Expression], ...], tuple[str, ...]]:
        """Return the feed entry of a finished record, whose outcome is present."""
        feed = self._machine.feed
        if feed is None:
            return (), ()
        entity = self._machine.entity
        given, constants = ["sequence"], entry_constants(self._machine, self._symbols)
        if feeds_announcements(self._machine):
            given.append("terminal_outcome")
        if not feeds_transitions(self._machine):
            given += [str(n) for n, f in self._machine.fields.items() if f.stamped == "terminal"]
        for name in given:
            type = self._symbols.entity_fields.get(name, UNKNOWN).required
            constants[f"{entity}.{name}"] = nodes.Name(type, Root.ENTRY, name)
        scope = evolve(self._record_scope(), constants=constants)
        fields = tuple(
            self._view(name, each, scope, False) for name, each in feed.entry.fields.items()
        )
        self._symbols.row_fields = {info.name: info.type for info, _ in fields}
        if self._symbols.row_fields.get("seq") != INT:
            message = "a feed entry needs the field seq, the sequence of its record"
            self._diagnostics.add(feed.entry.mark, "missing-field", message)
        read = {
            node.name
            for _, tree in fields
            for node in nodes_of(tree)
            if isinstance(node, nodes.Name) and node.root is Root.ENTRY
        }
        needs = tuple(name for name in dict.fromkeys((*given, *sorted(read))) if name in read)
        return fields, needs

    # Rules --------------------------------------------------------------------------------------

    def _classifier(self, name: Name, declared: view_model.Classifier) -> Rule:
        params = self._commands.params(declared.params)
        defaults = self._commands.defaults.of_parameters(declared.params, params)
        keywords = keywords_of(declared.params)
        self._commands.defaults.of_method(list(declared.params), params, defaults, keywords)
        of_record = declared.of == view_model.OF_RECORD
        if not of_record and declared.of != view_model.OF_REGISTRY:
            message = f"a classifier cannot be asked of {str(declared.of)!r}"
            hint = f"expected {view_model.OF_RECORD} or {view_model.OF_REGISTRY}"
            self._diagnostics.add(declared.of.mark, "unknown-name", message, hint)
        record = optional(ENTITY) if of_record else None
        scope = self._commands.base_scope(params, operation=record, timed=False)
        tree = returned(declared.returns, scope, str(name), self._diagnostics)
        tree = tree or nodes.Literal(UNKNOWN, None)
        return Rule(str(name), declared.summary, tree, params, defaults, keywords, of_record)

    def _state_names(self) -> dict[str, Expression]:
        many = f"{self._machine.entity}s"
        names: dict[str, Expression] = {
            many: nodes.Name(collection(ENTITY), Root.RECORDS, many),
            "registry": _REGISTRY,
        }
        if self._machine.feed is not None:
            names["feed"] = nodes.Name(collection(ROW), Root.FEED, "feed")
        if self._machine.barrier is not None:
            names["barriers"] = nodes.Name(collection(BARRIER), Root.BARRIERS, "barriers")
        if self._symbols.cursor_enum:
            names["cursors"] = nodes.Name(self._cursors(), Root.CURSORS, "cursors")
        return names

    def _invariant(self, name: Name, declared: property_model.Invariant) -> Rule:
        scope = Scope(self._symbols, self._state_names())
        return Rule(str(name), declared.summary, self._compile(declared.expr, scope, BOOL), {})

    def _cursors(self) -> Type:
        return Type("counts", inner=Type("enum", self._symbols.cursor_enum))

    def _step(self, name: Name, declared: property_model.Invariant) -> Rule:
        names: dict[str, Expression] = {
            root.value: nodes.Name(REGISTRY, root, root.value) for root in (Root.BEFORE, Root.AFTER)
        }
        constants: dict[str, Expression] = {}
        if self._symbols.cursor_enum:
            constants = {
                f"{when}.cursors": nodes.Field(self._cursors(), names[when], "cursors")
                for when in names
            }
        scope = Scope(self._symbols, names, constants)
        return Rule(str(name), declared.summary, self._compile(declared.expr, scope, BOOL), {})

    def _error_fields(self) -> dict[str, dict[str, Type]]:
        guards = self._commands.guards
        return {str(n): guards.fact_types(each) for n, each in self._machine.errors.items()}

    def _always(self) -> dict[tuple[str, str], Expression]:
        """Return the derived fields of values, which the constructor sets."""
        derived = {}
        for record in self._symbols.records.values():
            names: dict[str, Expression] = {
                info.name: nodes.Name(info.type, Root.OWN, info.name)
                for info in record.fields.values()
            }
            scope = Scope(self._symbols, names)
            for info in record.fields.values():
                if info.declared.always is not None:
                    typed = self._compile(info.declared.always, scope, info.type)
                    derived[record.name, info.name] = typed
        return derived

    def _field_defaults(self) -> dict[tuple[str, str], Expression]:
        """Return the values of fields that are left out when a value is made."""
        defaults = self._commands.defaults
        return {
            (record.name, info.name): tree
            for record in self._symbols.records.values()
            for info in record.fields.values()
            if (tree := defaults.of_field(info.declared, info.type)) is not None
        }

"""Stage 3, analyze: the calls by which a supervisor records what it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve

from opslifecycle_codegen.analysis.defaults import Defaults
from opslifecycle_codegen.analysis.expressions import compile_expression
from opslifecycle_codegen.analysis.reserved import refuse_reserved
from opslifecycle_codegen.analysis.resolve import Resolver
from opslifecycle_codegen.base.diagnostics import Diagnostics, Location, nearest
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root
from opslifecycle_codegen.ir.program import Command
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import FieldInfo, Symbols
from opslifecycle_codegen.ir.types import ENTITY, FLOAT, INT, NONE, STR, Type, optional
from opslifecycle_codegen.ir.work import Work, WorkCall, outcomes_of
from opslifecycle_codegen.source import model, work_model
from opslifecycle_codegen.source.words import Expr, Name, Text

#: What a supervisor has for each of its calls, beside the id of the record.
OFFERS: dict[str, dict[str, Type]] = {
    "register": {"name": STR, "source": STR, "call": optional(STR)},
    "start": {},
    "complete": {"content": STR, "duration_ms": INT},
    "fail": {"error": STR},
    "cancel": {"reason": optional(STR)},
    "progress": {"message": STR, "percent": optional(FLOAT)},
    "stop": {"reason": optional(STR)},
    "time_out": {"error": STR},
}


class WorkCalls:
    """Checks the section `work`: a supervisor must be able to record every end of its work."""

    def __init__(self, resolver: Resolver, symbols: Symbols, found: Diagnostics) -> None:
        self._resolver = resolver
        self._symbols = symbols
        self._diagnostics = found

    def work(
        self, machine: model.Machine, create: Command, actions: tuple[Command, ...]
    ) -> Work | None:
        """Return the calls; None if the machine does not declare them."""
        self._machine, self._create = machine, create
        self._actions = {action.name: action for action in actions}
        declared = self._machine.work
        if declared is None:
            return None
        if self._machine.watch is None:
            message = "work needs `watch`, by which a supervisor waits for the end of a record"
            self._diagnostics.add(declared.mark, "missing-key", message)
        given = {str(name): self._resolver.type_of(type) for name, type in declared.given.items()}
        refuse_reserved("given to a supervisor", declared.given, self._diagnostics)
        calls = {"register": self._register(declared, given)}
        for word in ("start", "complete", "fail", "cancel", "progress", "stop", "time_out"):
            call: work_model.WorkCall | None = getattr(declared, word)
            if call is not None:
                calls[word] = self._call(word, call)
        self._check_statuses(declared)
        return Work(calls, given, self._stored_call(declared))

    def _register(self, declared: work_model.Work, given: dict[str, Type]) -> WorkCall:
        method, words = self._creating(declared)
        params = {
            str(word): self._create.params[word] for word in words if word in self._create.params
        }
        self._refuse_keywords(self._create, params, str(method), declared.mark)
        offers = {**OFFERS["register"], **given}
        path = self._machine.create.id.strip()
        own = next((expr for target, expr in declared.register.items() if target == path), None)
        if own is None or own.strip() != "id":
            message = f"{method} must create the record that the supervisor asks for"
            mark = declared.mark if own is None else own.mark
            self._diagnostics.add(mark, "missing-key", message, f"write {path}: id")
        arguments = self._arguments(
            declared.register, params, self._create.defaults, offers, declared.mark
        )
        return WorkCall(str(method), offers, arguments)

    def _creating(self, declared: work_model.Work) -> tuple[Text, list[Name]]:
        """Return the first method of `create` with all parameters that are given."""
        given = {str(target).partition(".")[0] for target in declared.register}
        methods = list(self._machine.create.methods.items())
        whole = [each for each in methods if given <= set(map(str, each[1]))]
        return next(iter([*whole, *methods]), (Text("", declared.mark), []))

    def _stored_call(self, declared: work_model.Work) -> Expression | None:
        if declared.call is None:
            return None
        record = nodes.Name(ENTITY, Root.RECORD, str(self._machine.entity))
        scope = Scope(self._symbols, {str(self._machine.entity): record})
        return self._compile(declared.call, scope, optional(STR))

    def _call(self, word: str, declared: work_model.WorkCall) -> WorkCall:
        action = self._actions.get(declared.do)
        if action is None:
            message = f"there is no action {str(declared.do)!r}"
            hint = nearest(declared.do, self._actions)
            self._diagnostics.add(declared.do.mark, "unknown-action", message, hint)
            return WorkCall("", {}, ())
        methods = self._machine.actions[Name(action.name, declared.mark)].methods
        if not methods:
            message = f"{action.name} has no method that a supervisor could call"
            self._diagnostics.add(declared.do.mark, "missing-key", message)
        method = next((str(m) for m in methods if m == action.label), str((*methods, "")[0]))
        self._refuse_keywords(action, action.params, action.name, declared.do.mark)
        offers = OFFERS[word]
        if word == "complete" and not declared.with_ and len(action.params) == 1:
            (type,) = action.params.values()
            value = nodes.Name(type, Root.PARAMETER, "value")
            return WorkCall(method, {"value": type}, (value,), takes_value=True)
        arguments = self._arguments(
            declared.with_, action.params, action.defaults, offers, declared.mark
        )
        return WorkCall(method, offers, arguments)

    def _refuse_keywords(
        self, command: Command, params: Iterable[str], what: str, mark: Location
    ) -> None:
        """Report parameters that a supervisor, which passes arguments in order, cannot pass."""
        for param in params:
            if param in command.keywords:
                message = f"a supervisor passes {param} by its place, and {what} takes it by name"
                self._diagnostics.add(mark, "wrong-shape", message, f"remove `keyword` of {param}")

    # Arguments ----------------------------------------------------------------------------------

    def _arguments(
        self,
        given: Mapping[Text, Expr],
        params: Mapping[str, Type],
        defaults: Mapping[str, Expression],
        offers: Mapping[str, Type],
        mark: Location,
    ) -> tuple[Expression, ...]:
        names: dict[str, Expression] = {
            name: nodes.Name(type, Root.PARAMETER, name) for name, type in offers.items()
        }
        names["id"] = nodes.Name(self._symbols.entity_fields["id"], Root.ID, "id")
        scope = Scope(self._symbols, names)
        arguments = []
        for param, type in params.items():
            exprs = {
                target: expr
                for target, expr in given.items()
                if str(target).partition(".")[0] == param
            }
            if not exprs and param in defaults:
                arguments.append(defaults[param])
            else:
                arguments.append(self._argument(param, type, exprs, scope, mark))
        for target in given:
            if str(target).partition(".")[0] not in params:
                message = f"{str(target)!r} is no parameter of the method"
                self._diagnostics.add(target.mark, "unknown-name", message, nearest(target, params))
        return tuple(arguments)

    def _argument(
        self, param: str, type: Type, given: Mapping[Text, Expr], scope: Scope, mark: Location
    ) -> Expression:
        whole = next((expr for target, expr in given.items() if target == param), None)
        if whole is not None:
            return self._compile(whole, scope, type)
        if not given:
            if not type.optional:
                self._diagnostics.add(mark, "missing-key", f"nothing is given for {param}")
            return nodes.Literal(NONE, None)
        record = self._symbols.records.get(type.required.name)
        if record is None or type.required.kind not in ("record", "variant"):
            target = next(iter(given))
            message = f"{param} is of type {type}, which has no fields to be given"
            self._diagnostics.add(target.mark, "wrong-type", message)
            return nodes.Literal(type, None)
        return self._constructed(param, type.required, given, scope, mark)

    def _constructed(
        self, param: str, type: Type, given: Mapping[Text, Expr], scope: Scope, mark: Location
    ) -> Expression:
        fields = self._symbols.records[type.name].fields
        for target in given:
            if str(target).partition(".")[2] not in fields:
                message = f"{type.name} has no field {str(target).partition('.')[2]!r}"
                self._diagnostics.add(target.mark, "unknown-name", message, nearest(target, fields))
        exprs = {str(target).partition(".")[2]: expr for target, expr in given.items()}
        last = max((place for place, name in enumerate(fields) if name in exprs), default=-1)
        arguments = []
        for place, (name, info) in enumerate(fields.items()):
            if name in exprs:
                arguments.append(self._compile(exprs[name], scope, info.type))
            elif not _may_be_left_out(info):
                message = f"nothing is given for {param}.{name}"
                self._diagnostics.add(mark, "missing-key", message)
            elif place < last:
                arguments.append(self._default(info))
        return nodes.Construct(type, type.name, tuple(arguments))

    def _default(self, info: FieldInfo) -> Expression:
        # What is wrong with it was reported where the value is declared.
        default = Defaults(self._symbols, Diagnostics()).of_field(info.declared, info.type)
        return default or nodes.Literal(NONE, None)

    def _compile(self, expr: Expr, scope: Scope, wanted: Type) -> Expression:
        tree = compile_expression(expr, scope, self._diagnostics, wanted)
        if tree is not None and tree.type.integral and wanted.required.integral:
            # It has to be in the range of the parameter.
            return evolve(tree, type=wanted)
        return tree or nodes.Literal(wanted, None)

    # Statuses -----------------------------------------------------------------------------------

    def _check_statuses(self, declared: work_model.Work) -> None:
        """Check that each call is legal wherever a supervisor makes it."""
        live = set(self._symbols.status_groups["live"])
        start = self._actions.get(declared.start.do)
        if start is None:
            return
        begun = [way.to for way in start.ways]
        if not live.issuperset(begun) or self._create.to not in start.from_statuses:
            message = f"{start.name} must lead from {self._create.to} to a live status"
            self._diagnostics.add(declared.start.do.mark, "not-total", message)
            return
        working = self._reached(begun, live)
        queued = self._reached([self._create.to], live)
        self._check_end(declared.complete, working)
        self._check_end(declared.fail, queued)
        self._check_end(declared.cancel, queued)
        if declared.progress is not None:
            self._check_legal(declared.progress, working)
            action = self._actions.get(declared.progress.do)
            if action is not None and any(way.to and way.to not in live for way in action.ways):
                message = f"{action.name} ends the record: it reports no progress"
                self._diagnostics.add(declared.progress.do.mark, "not-total", message)
        if declared.stop is not None:
            self._check_legal(declared.stop, [start.to])
            action = self._actions.get(declared.stop.do)
            if action is not None and action.to not in live:
                message = f"{action.name} must lead to a live status: the work has not ended yet"
                self._diagnostics.add(declared.stop.do.mark, "not-total", message)
        if declared.time_out is not None:
            self._check_end(declared.time_out, working)
            self._check_distinct(declared, declared.time_out)
        for call in (declared.fail, declared.cancel, declared.time_out):
            if call is not None:
                self._check_guards(call)

    def _reached(self, statuses: Iterable[str], live: set[str]) -> list[str]:
        """Return the live statuses that other commands can lead to meanwhile."""
        found = list(dict.fromkeys(statuses))
        for each in found:
            for action in self._actions.values():
                for way in action.ways if each in action.from_statuses else ():
                    if way.to in live - set(found):
                        found.append(way.to)
        return found

    def _check_end(self, declared: work_model.WorkCall, statuses: list[str]) -> None:
        self._check_legal(declared, statuses)
        action = self._actions.get(declared.do)
        terminal = set(self._symbols.status_groups["terminal"])
        if action is not None and not terminal.issuperset(way.to for way in action.ways):
            message = f"{action.name} must lead to a terminal status: it ends the work"
            self._diagnostics.add(declared.do.mark, "not-total", message)

    def _check_distinct(self, declared: work_model.Work, time_out: work_model.WorkCall) -> None:
        """Check that callers can recognise a timeout by its outcome."""
        type = self._symbols.entity_fields["terminal_outcome"].required
        own = _words(self._actions.get(time_out.do), type)
        others = {
            "completes": declared.complete,
            "fails": declared.fail,
            "is cancelled": declared.cancel,
        }
        for end, other in others.items():
            if own & _words(self._actions.get(other.do), type):
                message = f"the outcome of {time_out.do} is also that of work that {end}"
                hint = "callers recognise a timeout by its outcome: give it one of its own"
                self._diagnostics.add(time_out.do.mark, "not-total", message, hint)
                return

    def _check_legal(self, declared: work_model.WorkCall, statuses: list[str]) -> None:
        action = self._actions.get(declared.do)
        missing = [each for each in statuses if action and each not in action.from_statuses]
        if action is not None and missing:
            message = f"{action.name} is not legal in {', '.join(missing)}, where work can end"
            self._diagnostics.add(declared.do.mark, "not-total", message)

    def _check_guards(self, declared: work_model.WorkCall) -> None:
        action = self._machine.actions.get(declared.do)
        if action is not None and action.guards is not None:
            message = f"{declared.do} has guards of its own, so it could be rejected"
            hint = "a supervisor must be able to end every record that it has registered"
            self._diagnostics.add(declared.do.mark, "not-total", message, hint)


def _words(action: Command | None, type: Type) -> set[str]:
    """Return the names of the outcomes that an action leads to."""
    if action is None:
        return set()
    return {
        node.word if isinstance(node, nodes.Member) else node.variant
        for node in outcomes_of((way.outcome for way in action.ways), type)
    }


def _may_be_left_out(info: FieldInfo) -> bool:
    declared = info.declared
    return info.type.optional or declared.default is not None or declared.always is not None

"""Lowering of the authority: its record, its commands, its classifiers."""

from __future__ import annotations

import re

from attrs import frozen

from opslifecycle_codegen import layout
from opslifecycle_codegen.layout import Code
from opslifecycle_codegen.lower.names import PublicNames
from opslifecycle_codegen.lower.state import StateLowering, record_parameters
from opslifecycle_codegen.program import (
    Assignment,
    Check,
    Command,
    EndStep,
    ForAll,
    Program,
    Rule,
)
from opslifecycle_codegen.symbols import snake

_DECISION = "Effects | OpsLifecycleError"


@frozen
class Method:
    """A method: its signature, docstring and body, as lines."""

    signature: list[str]
    doc: list[str]
    body: list[str]


@frozen
class AuthorityView:
    """The authority as the template prints it."""

    constants: list[str]
    record_slots: list[str]
    record_init: list[str]
    record_body: list[str]
    slots: list[str]
    init: list[str]
    init_body: list[str]
    methods: list[Method]


class AuthorityLowering:
    """Turns the commands of a program into the methods of its authority."""

    def __init__(self, program: Program, names: PublicNames, width: int) -> None:
        self._program = program
        self._machine = program.machine
        self._names = names
        self._entity = names.entity
        self._width = width
        self._effects: dict[tuple[str, ...], str] = {}
        self._constants: dict[str, str] = {}
        self._named: re.Pattern[str] | None = None

    def view(self) -> AuthorityView:
        # Twice: members that methods name get constants of the module, which are quicker to read,
        # and what they are called decides where lines are broken.
        members = self._name_members(self._methods())
        self._effects.clear()
        methods = self._methods()
        state = StateLowering(self._program, self._names, self._width)
        record_init, record_body = state.record_init()
        init, init_body = state.init()
        constants = [*members, *state.constants(self._effects)]
        return AuthorityView(
            constants, state.record_slots(), record_init, record_body, state.slots(), init,
            init_body, methods,
        )  # fmt: skip

    def _methods(self) -> list[Method]:
        program = self._program
        methods = [
            self._create(),
            *(self._action(command) for command in program.actions),
            *(self._for_all(each) for each in program.for_all),
        ]
        if program.recovery is not None:
            methods.append(self._for_all(program.recovery.command))
        if program.rollback is not None:
            methods.append(self._rollback(program.rollback))
        if program.collect is not None:
            methods.append(self._collect(program.collect))
        if program.watch is not None:
            methods.append(self._watch(program.watch))
        if program.cursors is not None:
            methods.append(self._advance(program.cursors))
            methods.append(self._cursor_of(program.cursors))
        if program.barrier is not None:
            methods.append(self._barrier())
        methods += [self._classifier(rule) for rule in program.classifiers]
        methods.append(self._erase())
        if self._machine.feed is not None:
            methods.append(self._evict())
        return [*methods, self._end()]

    def _name_members(self, methods: list[Method]) -> list[str]:
        """Choose constants for the members that methods name; gives their definitions."""
        members = [
            (info.name, member.constant)
            for info in self._program.symbols.enums.values()
            for member in info.members.values()
        ]
        text = "\n".join(line for method in methods for line in method.body)
        used = [(e, m) for e, m in members if re.search(rf"\b{e}\.{m}\b", text)]
        plain = [member for _, member in used]
        for enum, member in used:
            clear = plain.count(member) == 1
            constant = f"_{member}" if clear else f"_{snake(enum).upper()}_{member}"
            self._constants[f"{enum}.{member}"] = constant
        if used:
            names = "|".join(re.escape(name) for name in self._constants)
            self._named = re.compile(rf"\b(?:{names})\b(?!\w)")
        return [f"{constant} = {member}" for member, constant in self._constants.items()]

    def _short(self, code: Code) -> Code:
        """Code with constants for members, once they are chosen."""
        return code.renamed(self._named, self._constants) if self._named is not None else code

    # Commands -----------------------------------------------------------------------------------

    def _method(
        self, name: str, parameters: list[str], returns: str, doc: list[str], body: list[str]
    ) -> Method:
        signature = layout.call(
            f"def {name}", ["self", *parameters], f" -> {returns}:", indent=4, width=self._width
        )
        return Method(signature, doc, [f"        {line}" for line in body])

    def _doc(self, summary: str, *more: str) -> list[str]:
        return layout.docstring(summary, more, indent=4 + 4, width=self._width)

    def _params(self, command: Command) -> list[str]:
        return [f"{name}: {type.python}" for name, type in command.params.items()]

    def _checks(self, checks: tuple[Check, ...], *, lookup: bool = True) -> list[str]:
        """The guards in their order; the record is looked up where the first of them reads it."""
        lines: list[str] = []
        found = f"{self._entity} = self.records.get(id)"
        for check in checks:
            if lookup and check.reads_record and found not in lines:
                lines.append(found)
            for name, code in check.lets:
                lines += self._statement(f"{name} = ", code)
            lines += self._statement("if ", check.refuse_if, ":")
            lines += self._refuse(check.refusal, depth=1)
        return lines

    def _statement(self, before: str, code: Code, after: str = "", *, depth: int = 0) -> list[str]:
        """A statement that stands so many blocks deep in a method."""
        code, indent = self._short(code), 8 + 4 * depth
        lines = layout.statement(before, code, after, indent=indent, width=self._width)
        return [line[8:] for line in lines]

    def _refuse(self, refusal: Code, *, depth: int) -> list[str]:
        return self._statement("return ", refusal, depth=depth)

    def _assign(self, updates: tuple[Assignment, ...]) -> list[str]:
        return [
            line
            for each in updates
            for line in self._statement(f"{each.target} {each.operator} ", each.code)
        ]

    def _stamps(self, when: str) -> list[str]:
        entity = self._entity
        return [
            f"{entity}.{name} = {entity}.clock_offset_ms + self.now_ms"
            for name, field in self._machine.fields.items()
            if field.stamped == when
        ]

    def _create(self) -> Method:
        command, entity = self._program.create, self._entity
        stamps = [n for n, f in self._machine.fields.items() if f.stamped == "created"]
        given = {"clock_offset_ms": "self.clock_offset_ms"}
        given.update({str(name): "self.clock_offset_ms + self.now_ms" for name in stamps})
        arguments = [given.get(name, name) for name, _ in record_parameters(self._program)]
        made = self._program.create_id.text
        body = [*([] if made == "id" else [f"id = {made}"]), *self._checks(command.checks)]
        record = layout.called(self._names.record, [Code(argument) for argument in arguments])
        body += self._statement(f"{entity} = ", record)
        body += [f"self.records[id] = {entity}", *self._assign(command.updates)]
        body += ["return _NO_EFFECTS"]
        self._effects.setdefault((), "_NO_EFFECTS")
        doc = self._doc(command.summary, f"The new {entity} is {command.to}.")
        return self._method("register", self._params(command), _DECISION, doc, body)

    def _action(self, command: Command) -> Method:
        entity = self._entity
        body = [*self._checks(command.checks), *self._assign(command.updates)]
        terminal = command.to in self._program.symbols.status_groups["terminal"]
        body += self._stamps(command.name)
        if terminal:
            status = Code(f"{self._names.status}.{command.to.upper()}")
            outcome = command.outcome or Code("None")
            ending = layout.called("self._end", [Code(entity), status, outcome])
            body += self._statement("return ", ending)
        else:
            if command.to:
                status = Code(f"{self._names.status}.{command.to.upper()}")
                body += self._statement(f"{entity}.status = ", status)
            body.append(f"return {self._effects_constant(command.effects)}")
        sources = " or ".join(command.from_statuses)
        target = f", leads to {command.to}" if command.to else ", changes no status"
        doc = self._doc(command.summary, f"Legal from {sources}{target}.")
        parameters = [f"id: {self._names.id}", *self._params(command)]
        return self._method(command.name, parameters, _DECISION, doc, body)

    def _effects_constant(self, effects: tuple[str, ...]) -> str:
        if not effects:
            return self._effects.setdefault((), "_NO_EFFECTS")
        return self._effects.setdefault(effects, f"_EFFECTS_{len(self._effects)}")

    def _for_all(self, each: ForAll) -> Method:
        command, entity = each.command, self._entity
        returns = f"list[tuple[{self._names.record}, Effects]]"
        body: list[str] = []
        if each.unless is not None:
            body += [*self._statement("if ", each.unless, ":"), "    return []"]
        status = f"{self._names.status}.{command.to.upper()}"
        outcome = command.outcome or Code("None")
        ending = layout.called("self._end", [Code(entity), Code(status), outcome])
        body += [
            "live = [each.id for each in self.records.values() if not each.status.terminal]",
            "live.sort()",
            *self._assign(each.updates),
            f"ended: {returns} = []",
            "for id in live:",
            f"    {entity} = self.records[id]",
            *self._statement("effects = ", ending, depth=1),
            f"    ended.append(({entity}, effects))",
            "return ended",
        ]
        doc = self._doc(command.summary, "Gives what ended, in the order of the ids.")
        return self._method(command.name, self._params(command), returns, doc, body)

    def _rollback(self, command: Command) -> Method:
        body = [*self._checks(command.checks), *self._assign(command.updates)]
        body.append(f"return {self._effects_constant(command.effects)}")
        doc = self._doc(command.summary)
        return self._method(command.name, [f"id: {self._names.id}"], _DECISION, doc, body)

    def _collect(self, command: Command) -> Method:
        returns = f"list[{self._names.record}] | OpsLifecycleError"
        body = [*self._checks(command.checks), "return list(self.ended.values())"]
        return self._method(command.name, [], returns, self._doc(command.summary), body)

    def _watch(self, command: Command) -> Method:
        returns = f"{self._names.record} | OpsLifecycleError"
        body = [*self._checks(command.checks), f"return {self._entity}"]
        doc = self._doc(command.summary)
        return self._method(command.name, [f"id: {self._names.id}"], returns, doc, body)

    def _advance(self, command: Command) -> Method:
        body = [
            *self._checks(command.checks),
            "if cursor > self.cursors[consumer]:",
            "    self.cursors[consumer] = cursor",
            "return self.cursors[consumer]",
        ]
        doc = self._doc(command.summary, "Gives where it stands then; it never falls.")
        parameters = self._params(command)
        return self._method(command.name, parameters, "int | OpsLifecycleError", doc, body)

    def _cursor_of(self, command: Command) -> Method:
        parameters = [f"consumer: {command.params['consumer'].python}"]
        doc = self._doc("Where a consumer's cursor stands.")
        return self._method("cursor_of", parameters, "int", doc, ["return self.cursors[consumer]"])

    def _barrier(self) -> Method:
        barrier, declared = self._program.barrier, self._machine.barrier
        assert barrier is not None
        assert declared is not None
        body = self._checks(barrier.first)
        for kind, refusal, _ in barrier.refusals:
            if kind == "repeated":
                body += [
                    f"seen: set[{self._names.id}] = set()",
                    "for id in ids:",
                    "    if id in seen:",
                    *self._refuse(refusal, depth=2),
                    "    seen.add(id)",
                ]
            elif kind == "busy":
                body += [
                    f"if active >= {declared.active_per_key_max}:",
                    *self._refuse(refusal, depth=1),
                ]
            else:
                body += [
                    "for id in ids:",
                    "    if id not in self.records:",
                    *self._refuse(refusal, depth=2),
                ]
        body.append("return None")
        parameters = [f"ids: Sequence[{self._names.id}]", "active: int"]
        doc = self._doc(
            "Admit a barrier, or say what it is refused with.",
            "`active` counts the barriers of the same key.",
        )
        return self._method(str(declared.method), parameters, "OpsLifecycleError | None", doc, body)

    # Reads, and what the shell asks for ---------------------------------------------------------

    def _classifier(self, rule: Rule) -> Method:
        body = []
        if self._entity in rule.uses:
            body.append(f"{self._entity} = self.records.get(id)")
        body += self._statement("return ", rule.code)
        parameters = [
            f"id: {self._names.id}",
            *(f"{name}: {type.python}" for name, type in rule.params.items()),
        ]
        doc = self._doc(rule.summary)
        return self._method(rule.name, parameters, rule.type.python, doc, body)

    def _erase(self) -> Method:
        body = ["del self.records[id]", "self.ended.pop(id, None)"]
        doc = self._doc("Let a record go, whole.")
        return self._method("erase", [f"id: {self._names.id}"], "None", doc, body)

    def _evict(self) -> Method:
        entity = self._entity
        body = [
            "self.dropped_through = sequence",
            f"{entity} = self.records.get(id)",
            f"if {entity} is not None and {entity}.sequence == sequence:",
            "    self.erase(id)",
        ]
        doc = self._doc(
            "Drop the oldest feed row, and the record that wrote it.",
            f"A later {entity} of the same id has another sequence, and stays.",
        )
        parameters = ["sequence: int", f"id: {self._names.id}"]
        return self._method("evict", parameters, "None", doc, body)

    def _end(self) -> Method:
        entity, types = self._entity, self._program.symbols.entity_fields
        body = [
            f"{entity}.status = status",
            f"{entity}.terminal_outcome = terminal_outcome",
            *self._stamps("terminal"),
            f"self.ended[{entity}.id] = {entity}",
            *self._end_steps(list(self._program.on_terminal), {}, ()),
        ]
        parameters = [
            f"{entity}: {self._names.record}",
            f"status: {types['status'].python}",
            f"terminal_outcome: {types['terminal_outcome'].required.python}",
        ]
        doc = self._doc("What every action that leads to a terminal status does.")
        return self._method("_end", parameters, "Effects", doc, body)

    def _end_steps(
        self, steps: list[EndStep], known: dict[str, bool], effects: tuple[str, ...]
    ) -> list[str]:
        """Straight lines, then one branch for each test that is not decided yet."""
        lines: list[str] = []
        for place, step in enumerate(steps):
            if step.test and step.test not in known:
                rest = steps[place:]
                holds = self._end_steps(rest, {**known, step.test: True}, effects)
                fails = self._end_steps(rest, {**known, step.test: False}, effects)
                test = self._statement("if ", Code(step.test), ":")
                return [*lines, *test, *(f"    {line}" for line in holds), *fails]
            if not step.test or known[step.test]:
                lines += self._assign(step.updates)
                effects = (*effects, *step.effects)
        return [*lines, f"return {self._effects_constant(effects)}"]

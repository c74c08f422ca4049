"""Lowering of the authority: its record, its commands, its classifiers."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import AND, SUM, Code
from opslifecycle_codegen.emit.constants import Constants, StatusConstants
from opslifecycle_codegen.emit.methods import DECISION, Method
from opslifecycle_codegen.emit.outcomes import OutcomeView
from opslifecycle_codegen.emit.questions import QuestionLowering
from opslifecycle_codegen.emit.removals import RemovalLowering
from opslifecycle_codegen.emit.state import StateLowering, record_arguments
from opslifecycle_codegen.emit.unique import KeyLowering
from opslifecycle_codegen.emit.ways import WayLowering, word_of
from opslifecycle_codegen.ir.expr import NOTHING, Expression, Root, reads, roots_in
from opslifecycle_codegen.ir.naming import parameter
from opslifecycle_codegen.ir.program import (
    Bulk,
    Choice,
    Command,
    Program,
)
from opslifecycle_codegen.ir.public_names import PublicNames

#: What the end of a record changes: an outcome that reads it is computed for each record.
_CHANGING = {Root.RECORD, Root.REGISTRY}


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
    #: The table of what the authority says of each action.
    actions: list[str]
    outcomes: list[OutcomeView]


def authority_view(program: Program, names: PublicNames, width: int) -> AuthorityView:
    """Return the authority of a program."""
    constants = Constants(program)
    questions = QuestionLowering(program, names, width, constants)
    first = CommandLowering(program, names, width, constants)
    state = StateLowering(program, names, width, constants)
    statuses = StatusConstants(program)
    drafts = [*first.methods(), *questions.methods(), *first.shell_methods()]
    _, record_body = state.record_init()
    members = constants.choose(
        [
            *statuses.definitions(constants, width),
            *record_body,
            *(line for each in drafts for line in each.body),
            *questions.actions(),
        ]
    )
    commands = CommandLowering(program, names, width, constants)
    methods = [*commands.methods(), *questions.methods(), *commands.shell_methods()]
    record_init, record_body = state.record_init()
    init, init_body = state.init()
    return AuthorityView(
        [
            *members,
            *statuses.definitions(constants, width),
            *state.effect_constants(commands.effects.used),
        ],
        state.record_slots(), record_init, record_body, state.slots(), init, init_body, methods,
        questions.actions(), commands.outcomes.views(),
    )  # fmt: skip


class CommandLowering(WayLowering):
    """Turns the commands of a program into methods."""

    def __init__(
        self, program: Program, names: PublicNames, width: int, constants: Constants
    ) -> None:
        super().__init__(program, names, width, constants)
        self._keys = KeyLowering(program.unique, names.variable, width)
        # Whether a command ends all live records with one outcome.
        self._ends_all = False

    def methods(self) -> list[Method]:
        """Return the methods of the commands, in the order of the file."""
        program = self._program
        methods = [
            self._create(),
            *(self._action(command) for command in program.actions),
            *(self._choice(each) for each in program.choices),
            *(self._bulk(each) for each in program.bulk),
        ]
        recovery = program.recovery
        if recovery is not None and recovery.command is not None:
            methods.append(self._bulk(recovery.command, "recover_interrupted", recovery.stays))
        if program.rollback is not None:
            methods.append(self._removing(program.rollback))
        if program.erase is not None:
            methods.append(self._removing(program.erase))
        if program.collect is not None:
            methods.append(self._collect(program.collect))
        if program.cursors is not None:
            methods.append(self._advance(program.cursors))
        return methods

    def shell_methods(self) -> list[Method]:
        """Return what the shell does through the authority, and what every end does."""
        removals = RemovalLowering(self._program, self._names, self._width, self._constants)
        end_all = [self._end_all()] if self._ends_all else []
        end = [self._end()] if self._program.symbols.status_groups["terminal"] else []
        return [*removals.methods(), *end_all, *end]

    # Commands -----------------------------------------------------------------------------------

    def _create(self) -> Method:
        command, entity = self._program.create, self._entity
        made = self._printer.code(self._program.create_id).text
        body = [*([] if made == "id" else [f"id = {made}"]), *self._guards(command)]
        record = layout.called(self._names.record, record_arguments(self._program))
        body += self._statement(f"{entity} = ", record)
        body += [f"self.records[id] = {entity}", *self._keys.claimed()]
        body += self._assign(command.updates)
        body += [*self._noted(command), *self._followed(command, command.name)]
        return self._method("register", self._params(command), DECISION, [], body)

    def _action(self, command: Command) -> Method:
        first = command.shared_updates
        changed = {update.target.name for update in first}
        if any(reads(target.condition, changed) for target in command.targets):
            first = ()
        own = command.with_ways(lambda way: evolve(way, updates=way.updates[len(first) :]))
        # One of the targets applies, as analysis has proved: the last, if none before it.
        otherwise = self._way(own.ways[-1], command.name)
        body = [*self._guards(command), *self._assign(first)]
        for target in own.targets[:-1]:
            assert target.test is not None
            body += self._statement("if ", self._printer.code(target.test), ":")
            body += self._way(target.way, word_of(target.way, command), depth=1)
        parameters = [f"id: {self._names.id}", *self._params(command)]
        name = self._command(command.name)
        return self._method(name, parameters, DECISION, [], [*body, *otherwise])

    def _choice(self, choice: Choice) -> Method:
        """Return the method that decides one of several actions by the status of the record."""
        entity, first = self._entity, choice.first
        # Of several actions, a machine may waive that only the first is ever chosen.
        body = [self._look_up] if choice.actions[1:] else []
        for action, statuses in choice.actions[1:]:
            tests = [Code(f"{entity} is not None"), self._is_in(statuses)]
            body += self._statement("if ", layout.joined("and", tests, AND), ":")
            body += self._chosen(action, depth=1)
        body += self._chosen(first)
        parameters = [f"id: {self._names.id}", *self._params(first)]
        doc = self._doc("Decide the first action that is legal in the status of the record.")
        return self._method(self._command(choice.name), parameters, DECISION, doc, body)

    def _is_in(self, statuses: tuple[str, ...]) -> Code:
        members = [Code(f"{self._names.status}.{each.upper()}") for each in statuses]
        status = Code(f"{self._entity}.status")
        if len(members) == 1:
            return layout.compared([status, members[0]], ["is"])
        return layout.compared([status, layout.called("", members)], ["in"])

    def _chosen(self, action: Command, depth: int = 0) -> list[str]:
        """Return lines that decide an action, which the outbox asks the authority for."""
        lines, name = [], self._command(action.name)
        if self._machine.effects:
            decides = Code(f"{self._names.authority}.{name}")
            lines += self._statement("self.decided_by = ", decides, depth=depth)
        given = [Code("id"), *(Code(parameter(each)) for each in action.params)]
        call = layout.called(f"self.{name}", given)
        return [*lines, *self._statement("return ", call, depth=depth)]

    def _bulk(self, each: Bulk, name: str = "", stays: Expression | None = None) -> Method:
        command, returns = each.command, self._ended_type
        body: list[str] = []
        if each.unless is not None:
            body += [*self._statement("if ", self._printer.code(each.unless), ":"), "    return []"]
        status = Code(f"{self._names.status}.{command.to.upper()}")
        outcome = self.outcomes.of(command)
        doc = self._doc("Return the finished records with their effects, by their ids.")
        name = name or self._command(command.name)
        own = command.notes or command.entry or roots_in(command.outcome or NOTHING) & _CHANGING
        if not each.action:
            body += [*self._assign(each.updates), "return []"]
        elif command.targets:
            # What a record causes by leaving its status depends on the status.
            lines = self._endings(command, outcome)
            body += self._loop(lines, self._assign(each.updates), stays)
        elif own or stays is not None:
            # Each record has an outcome of its own, or some stay live.
            ending = self._ending(command, status, outcome, command.name)
            lines = [*self._noted(command, depth=1), *self._ended(ending, depth=1)]
            body += self._loop(lines, self._assign(each.updates), stays)
        else:
            given = [status, outcome, *([Code(self._effects(command))] if command.effects else [])]
            body += self._assign(each.updates)
            body += self._statement("return ", layout.called("self._end_all", given))
            self._ends_all = True
        return self._method(name, self._params(command), returns, doc, body)

    def _end_all(self) -> Method:
        """Return the method that ends every live record with one outcome."""
        types = self._program.symbols.entity_fields
        arguments = [Code(self._entity), Code("status"), Code("terminal_outcome")]
        ending = layout.called("self._end", arguments)
        parameters = [
            f"status: {types['status'].python}",
            f"terminal_outcome: {types['terminal_outcome'].required.python}",
        ]
        recovery = self._program.recovery
        ending_all = [*self._program.bulk, *([recovery.command] if recovery else [])]
        if any(each is not None and each.command.effects for each in ending_all):
            ending = layout.joined("+", [Code("first"), ending], SUM)
            parameters.append(f"first: Effects = {self.effects.of_command('', ())}")
        doc = self._doc("End every live record; return them with their effects, by their ids.")
        body = self._loop(self._ended(ending, depth=1), [])
        return self._method("_end_all", parameters, self._ended_type, doc, body)

    @property
    def _ended_type(self) -> str:
        return f"list[tuple[{self._names.record}, Effects]]"

    def _ended(self, ending: Code, depth: int) -> list[str]:
        return self._statement("effects = ", ending, depth=depth)

    def _endings(self, command: Command, outcome: Code) -> list[str]:
        """Return lines that end one of many records by the target that applies to it."""
        lines: list[str] = []
        for place, target in enumerate(command.targets):
            way, last = target.way, place == len(command.targets) - 1
            if last:
                lines.append("    else:")
            else:
                assert target.test is not None
                word = "elif " if place else "if "
                lines += self._statement(word, self._printer.code(target.test), ":", depth=1)
            status = Code(f"{self._names.status}.{way.to.upper()}")
            ending = self._ending(way, status, outcome, word_of(way, command))
            lines += [*self._noted(way, depth=2), *self._ended(ending, depth=2)]
        return lines

    def _loop(
        self, ending: Sequence[str], updates: list[str], stays: Expression | None = None
    ) -> list[str]:
        """Return lines that end every live record but those that stay, after some updates."""
        test = self._statement("if ", self._printer.code(stays), ":", depth=1) if stays else []
        return [
            "live = [each.id for each in self.records.values() if not each.status.terminal]",
            "live.sort()",
            *updates,
            f"ended: {self._ended_type} = []",
            "for id in live:",
            f"    {self._entity} = self.records[id]",
            *([*test, "        continue"] if stays else []),
            *ending,
            f"    ended.append(({self._entity}, effects))",
            "return ended",
        ]

    def _removing(self, command: Command) -> Method:
        body = [*self._guards(command), *self._assign(command.updates)]
        body.append(f"return {self._effects(command)}")
        name = self._command(command.name)
        return self._method(name, [f"id: {self._names.id}"], DECISION, [], body)

    def _collect(self, command: Command) -> Method:
        returns = f"list[{self._names.record}] | _rt.OpsLifecycleError"
        body = [*self._checks(command.guards), "return list(self.ended.values())"]
        return self._method(self._command(command.name), [], returns, [], body)

    def _advance(self, command: Command) -> Method:
        body = [
            *self._checks(command.guards),
            "reached = max(self.cursors[consumer], cursor)",
            "self.cursors[consumer] = reached",
            "return reached",
        ]
        doc = self._doc("Return the resulting cursor, which never falls.")
        parameters = self._params(command)
        returns = "int | _rt.OpsLifecycleError"
        return self._method(self._command(command.name), parameters, returns, doc, body)

    # What the shell asks for --------------------------------------------------------------------

    def _end(self) -> Method:
        entity, types = self._entity, self._program.symbols.entity_fields
        body = [
            f"{entity}.status = status",
            f"{entity}.terminal_outcome = terminal_outcome",
            *self._stamps("terminal"),
            f"self.ended[{entity}.id] = {entity}",
            *self._keys.ended(),
            *(
                self._steps(list(self._program.on_terminal), {}, (), self.effects.of_end)
                if self.effects.branches
                else self._gathered()
            ),
        ]
        parameters = [
            f"{entity}: {self._names.record}",
            f"status: {types['status'].python}",
            f"terminal_outcome: {types['terminal_outcome'].required.python}",
        ]
        doc = self._doc("Do what every action that leads to a terminal status does.")
        return self._method("_end", parameters, "Effects", doc, body)

"""Lowering of what an authority can be asked without deciding anything."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cached_property

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.methods import Method, MethodLowering
from opslifecycle_codegen.emit.rejections import Beginning
from opslifecycle_codegen.emit.types import comment
from opslifecycle_codegen.emit.unique import KeyLowering
from opslifecycle_codegen.ir.built_ins import RANGE_GUARD
from opslifecycle_codegen.ir.expr import Expression, Root, roots_in
from opslifecycle_codegen.ir.naming import parameter, returned_by
from opslifecycle_codegen.ir.program import Command, UniqueKey, returning
from opslifecycle_codegen.ir.views import Rule

#: The table of the actions in the authority.
ACTIONS = "_ACTIONS"


@frozen
class _Column:
    """A column of the table of actions: its name, what it says of an action, and how."""

    name: str
    says: str
    of: Callable[[Command], Code]


class QuestionLowering(MethodLowering):
    """Turns admissions, permissions and classifiers into methods."""

    def methods(self) -> list[Method]:
        """Return the methods that read: watches, cursors, barriers, classifiers."""
        program = self._program
        methods = []
        if program.watch is not None:
            methods.append(self._watch(program.watch))
        if program.cursors is not None:
            methods.append(self._cursor_of(program.cursors))
        if program.barrier is not None:
            methods.append(self._barrier())
        if self._machine.history is not None:
            methods.append(self._history_of())
        if self._machine.parent is not None:
            methods.append(self._is_live())
        methods += [self._holder(key) for key in program.unique]
        methods += [self._returned(*each) for each in returning(program)]
        methods += [self._rejection(each) for each in self._beginnings]
        commands = {
            self._refusers[_guards(command)]: command for command in reversed(program.actions)
        }
        methods += [self._refused(name, commands[name]) for name in self._refusers.values()]
        methods.append(self._allowed())
        return [*methods, *(self._classifier(rule) for rule in program.classifiers)]

    def _watch(self, command: Command) -> Method:
        returns = "_rt.OpsLifecycleError | None"
        body = [*self._checks(command.guards), "return None"]
        name = self._command(command.name)
        return self._method(name, [f"id: {self._names.id}"], returns, [], body)

    def _cursor_of(self, command: Command) -> Method:
        parameters = [f"consumer: {command.params['consumer'].python}"]
        doc = self._doc("Return the cursor of a consumer.")
        return self._method("cursor_of", parameters, "int", doc, ["return self.cursors[consumer]"])

    def _history_of(self) -> Method:
        entity = self._entity
        body = [
            f"{entity} = self.records.get(id)",
            f"return () if {entity} is None else {entity}.history",
        ]
        doc = self._doc("Return the last transitions of a record; none without a record.")
        returns = f"tuple[{self._names.transition}, ...]"
        return self._method("history_of", [f"id: {self._names.id}"], returns, doc, body)

    def _is_live(self) -> Method:
        entity = self._entity
        body = [
            f"{entity} = self.records.get(id)",
            f"return {entity} is not None and not {entity}.status.terminal",
        ]
        doc = self._doc("Return whether a live record has an id.")
        return self._method("_is_live", [f"id: {self._names.id}"], "bool", doc, body)

    def _holder(self, key: UniqueKey) -> Method:
        keys = KeyLowering(self._program.unique, self._entity, self._width)
        parameters = [
            f"{parameter(name)}: {type.required.python}" for name, type in key.fields.items()
        ]
        doc = self._doc(f"Return the id of the {self._names.entity} that holds a key.")
        body = [f"return {keys.find(key)}"]
        returns = f"{self._names.id} | None"
        return self._method(self._command(key.name), parameters, returns, doc, body)

    def _returned(self, name: str, command: Command, tree: Expression) -> Method:
        """Return the method that answers once a command was accepted."""
        body = [f"{self._entity} = self.records[id]"] if Root.RECORD in roots_in(tree) else []
        body += self._statement("return ", self._printer.code(tree))
        parameters = [f"id: {self._names.id}", *self._params(command)]
        doc = self._doc(f"Return what {name} returns, of the record as it leaves it.")
        return self._method(returned_by(name), parameters, tree.type.python, doc, body)

    def _barrier(self) -> Method:
        barrier, declared = self._program.barrier, self._machine.barrier
        assert barrier is not None
        assert declared is not None
        body = self._checks(barrier.first)
        for kind, refusal in barrier.refusals:
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
            "Admit a barrier, or return the error that rejects it.",
            "`active` is the number of active barriers with the same key.",
        )
        return self._method(
            self._command(declared.method), parameters, "_rt.OpsLifecycleError | None", doc, body
        )

    @cached_property
    def _refusers(self) -> dict[tuple[str, ...], str]:
        """The method that asks each list of guards, shared by the actions that have it."""
        found: dict[tuple[str, ...], str] = {}
        for command in self._program.actions:
            found.setdefault(_guards(command), f"_{command.name}_refused")
        declared = {str(name): each.guards for name, each in self._machine.actions.items()}
        for command in self._program.actions:
            ranges = any(check.guard.startswith(RANGE_GUARD) for check in command.guards)
            if declared[command.name] is None and not ranges and not command.depends_on:
                found[_guards(command)] = "_refused"
        return found

    def _rejection(self, beginning: Beginning) -> Method:
        """Return the method with the errors of guards that several commands begin with."""
        status, reads = self._names.status, beginning.reads
        has_done = beginning.has_done
        *others, last = beginning.checks
        done_in = Code("done_in") if has_done else None
        body = [
            *self._checks(tuple(others), lookup=False),
            *self._refuse(last.refusal, depth=0, by=last.guard, done_in=done_in),
        ]
        parameters = [
            *([f"id: {self._names.id}"] if reads(Root.ID) else []),
            *([f"{self._entity}: {self._names.record} | None"] if reads(Root.RECORD) else []),
            *(["label: str"] if reads(Root.ACTION_LABEL) else []),
            *([f"done_in: tuple[{status}, ...] = ()"] if has_done else []),
        ]
        guards = ", ".join(check.guard for check in beginning.checks)
        doc = self._doc(
            "Return the error of the first guard that fails.", f"The guards are {guards}."
        )
        return self._method(beginning.method, parameters, "_rt.OpsLifecycleError", doc, body)

    def _refused(self, name: str, command: Command) -> Method:
        label, done_in = Code("label"), Code("done_in") if self._any_done else None
        body = [*self._tested(command, command.foreseeable, label, done_in), "return None"]
        status = self._names.status
        doc = self._doc(
            "Return the error that an action would raise now, or None.",
            f"It is checked for {', '.join(_guards(command)) or 'nothing'}.",
        )
        parameters = [
            f"id: {self._names.id}", f"from_statuses: tuple[{status}, ...]", "label: str",
            *([f"done_in: tuple[{status}, ...]"] if self._any_done else []),
        ]  # fmt: skip
        return self._method(name, parameters, "_rt.OpsLifecycleError | None", doc, body)

    # What is legal now --------------------------------------------------------------------------

    @property
    def _any_done(self) -> bool:
        return any(each.idempotent_in for each in self._program.actions)

    @cached_property
    def _columns(self) -> list[_Column]:
        """The columns of the table of actions: those in which actions differ."""
        actions, refusers = self._program.actions, self._refusers
        columns = [_Column("action", "its name", lambda each: _text(each.name))]

        def add(name: str, says: str, of: Callable[[Command], Code]) -> None:
            columns.append(_Column(name, says, of))

        if len(refusers) > 1:
            add("refused", "what asks its guards", lambda each: Code(refusers[_guards(each)]))
        starting = self._statuses.starting
        add("from_statuses", "where it is legal", lambda each: starting(each.from_statuses))
        if any(each.label != each.name for each in actions):
            add("label", "what errors call it", lambda each: _text(each.label))
        if self._any_done:
            add("done_in", "where it is done already", lambda e: self._done_in(e) or Code("()"))
        if any(each.depends_on for each in actions):
            add("depends_on", "its guards that need arguments", lambda e: _texts(e.depends_on))
        return columns

    def actions(self) -> list[str]:
        """Return the table of the actions, which stands in the class behind its methods."""
        said = [column.says for column in self._columns]
        comments = comment(f"Each action: {', '.join(said)}.", self._width)
        rows = [
            self._constants.short(layout.called("", [column.of(each) for column in self._columns]))
            for each in self._program.actions
        ]
        before = f"{ACTIONS} = "
        if len(rows) == 1:
            # A formatter leaves a tuple of one on a line of its own only where it has to.
            table = layout.called("", rows)
            return [*comments, *layout.statement(before, table, "", indent=4, width=self._width)]
        lines = [layout.statement("", row, ",", indent=8, width=self._width) for row in rows]
        return [*comments, f"    {before}(", *itertools.chain(*lines), "    )"]

    def _allowed(self) -> Method:
        names = [column.name for column in self._columns]
        own = "refused" in names
        (refuser, *_) = self._refusers.values()
        asked = layout.called(
            "refused" if own else f"self.{refuser}",
            [
                *([Code("self")] if own else []), Code("id"), Code("from_statuses"),
                Code("label" if "label" in names else "action"),
                *([Code("done_in")] if self._any_done else []),
            ],
        )  # fmt: skip
        arguments = [
            Code("action"), asked, *([Code("depends_on")] if "depends_on" in names else []),
        ]  # fmt: skip
        permission = layout.called("_rt.Permission", arguments)
        clauses = [Code(f"self.{ACTIONS}", prefix=f"for {', '.join(names)} in ")]
        body = self._statement("return ", layout.comprehension("tuple", permission, clauses))
        parameters, returns = [f"id: {self._names.id}"], "tuple[_rt.Permission, ...]"
        return self._method("allowed", parameters, returns, [], body)

    def _classifier(self, rule: Rule) -> Method:
        body = []
        if Root.RECORD in roots_in(rule.tree):
            body.append(f"{self._entity} = self.records.get(id)")
        body += self._statement("return ", self._printer.code(rule.tree))
        parameters = [
            *([f"id: {self._names.id}"] if rule.of_record else []),
            *(f"{parameter(name)}: {type.python}" for name, type in rule.params.items()),
        ]
        return self._method(self._command(rule.name), parameters, rule.type.python, [], body)


def _guards(command: Command) -> tuple[str, ...]:
    """Return the guards of an action that can be asked beforehand."""
    return tuple(check.guard for check in command.foreseeable)


def _text(word: str) -> Code:
    return Code(layout.quoted(word))


def _texts(words: Sequence[str]) -> Code:
    return layout.called("", [_text(word) for word in words])

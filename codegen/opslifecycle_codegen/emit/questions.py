"""Lowering of what an authority can be asked without deciding anything."""

from __future__ import annotations

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.methods import Method, MethodLowering
from opslifecycle_codegen.ir.built_ins import RANGE_GUARD
from opslifecycle_codegen.ir.expr import Root, roots_in
from opslifecycle_codegen.ir.naming import parameter
from opslifecycle_codegen.ir.program import Command, Rule


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
        refusers = self._refusers()
        commands = {refusers[_guards(command)]: command for command in reversed(program.actions)}
        methods += [self._refused(name, commands[name]) for name in refusers.values()]
        methods.append(self._allowed(refusers))
        return [*methods, *(self._classifier(rule) for rule in program.classifiers)]

    def _watch(self, command: Command) -> Method:
        returns = "_rt.OpsLifecycleError | None"
        body = [*self._checks(command.guards), "return None"]
        doc = self._doc(command.summary)
        name = self._command(command.name)
        return self._method(name, [f"id: {self._names.id}"], returns, doc, body)

    def _cursor_of(self, command: Command) -> Method:
        parameters = [f"consumer: {command.params['consumer'].python}"]
        doc = self._doc("Return the cursor of a consumer.")
        return self._method("cursor_of", parameters, "int", doc, ["return self.cursors[consumer]"])

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

    def _refusers(self) -> dict[tuple[str, ...], str]:
        """Return the method that asks each list of guards, shared by the actions that have it."""
        found: dict[tuple[str, ...], str] = {}
        for command in self._program.actions:
            found.setdefault(_guards(command), f"_{command.name}_refused")
        declared = {str(name): each.guards for name, each in self._machine.actions.items()}
        for command in self._program.actions:
            ranges = any(check.guard.startswith(RANGE_GUARD) for check in command.guards)
            if declared[command.name] is None and not ranges and not command.depends_on:
                found[_guards(command)] = "_refused"
        return found

    def _refused(self, name: str, command: Command) -> Method:
        any_done = any(each.idempotent_in for each in self._program.actions)
        done_in = "done_in" if any_done else ""
        body = [*self._checks(command.foreseeable, done_in=done_in), "return None"]
        status = self._names.status
        doc = self._doc(
            "Return the error that an action would raise now, or None.",
            f"It is checked for {', '.join(_guards(command)) or 'nothing'}.",
        )
        parameters = [
            f"id: {self._names.id}", f"from_statuses: tuple[{status}, ...]", "label: str",
            *([f"done_in: tuple[{status}, ...]"] if any_done else []),
        ]  # fmt: skip
        return self._method(name, parameters, "_rt.OpsLifecycleError | None", doc, body)

    def _allowed(self, refusers: dict[tuple[str, ...], str]) -> Method:
        permissions = []
        for command in self._program.actions:
            sources = self._program.symbols.status_constant(command.from_statuses)
            given = [Code("id"), Code(sources), Code(layout.quoted(command.label))]
            if any(each.idempotent_in for each in self._program.actions):
                given.append(Code(self._done_in(command) or "()"))
            asked = layout.called(f"self.{refusers[_guards(command)]}", given)
            arguments = [Code(layout.quoted(command.name)), asked]
            if command.depends_on:
                names = [Code(layout.quoted(name)) for name in command.depends_on]
                arguments.append(layout.called("", names))
            permissions.append(layout.called("_rt.Permission", arguments))
        body = self._statement("return ", layout.called("", permissions))
        doc = self._doc("Return for every action whether it is legal for a record now.")
        parameters = [f"id: {self._names.id}"]
        returns = "tuple[_rt.Permission, ...]"
        return self._method("allowed", parameters, returns, doc, body)

    def _classifier(self, rule: Rule) -> Method:
        body = []
        if Root.RECORD in roots_in(rule.tree):
            body.append(f"{self._entity} = self.records.get(id)")
        body += self._statement("return ", self._printer.code(rule.tree))
        parameters = [
            f"id: {self._names.id}",
            *(f"{parameter(name)}: {type.python}" for name, type in rule.params.items()),
        ]
        doc = self._doc(rule.summary)
        return self._method(self._command(rule.name), parameters, rule.type.python, doc, body)


def _guards(command: Command) -> tuple[str, ...]:
    """Return the guards of an action that can be asked beforehand."""
    return tuple(check.guard for check in command.foreseeable)

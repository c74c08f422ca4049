"""Lowering of the interface and the registry: one typed method for each thing that can be asked."""

from __future__ import annotations

from collections.abc import Iterator

from opslifecycle_codegen.emit import archive, layout, pages
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.public_methods import MethodPrinter, PublicMethod
from opslifecycle_codegen.emit.sentences import asks, moves, raises
from opslifecycle_codegen.emit.types import check_lines
from opslifecycle_codegen.ir.messages import erasing
from opslifecycle_codegen.ir.naming import returned_by
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.parameters import NO_DEFAULTS
from opslifecycle_codegen.ir.program import Choice, Command
from opslifecycle_codegen.ir.types import Type, optional


class RegistryLowering(MethodPrinter):
    """Turns a program into the methods of its registry."""

    def methods(self) -> list[PublicMethod]:
        """Return the public methods, in the order in which they are generated."""
        return [*self._commands(), *self._features(), *self._classifiers()]

    # Commands -----------------------------------------------------------------------------------

    def _commands(self) -> Iterator[PublicMethod]:
        create = self._machine.create
        command = self._program.create
        for method, words in create.methods.items():
            given = [
                Code(name) if name in words else self._default(command.defaults.get(name), 20)
                for name in command.params
            ]
            types = {str(name): command.params[name] for name in words}
            more = [f"The new {self._names.entity} is {command.to}. {raises(command.guards)}"]
            yield self._method(
                str(method), types, "None", command.summary, more,
                self._act(self._public_id(), f"{self._names.authority}.register", given),
                abstract=method not in create.optional_methods, runs=True,
                defaults=command.defaults, keywords=command.keywords & types.keys(),
            )  # fmt: skip
        for action in self._program.actions:
            yield from self._action_methods(action)
        for choice in self._program.choices:
            yield self._choice(choice)
        for each in self._program.bulk:
            decides = self._command(each.command.name)
            arguments = [decides, *each.command.params]
            if self._program.writes_state(each):
                arguments.append("writes_state=True")
            more = ["All of it or, if the store fails, none of it; no reader sees a part."]
            yield self._method(
                each.command.name, each.command.params, "None", each.command.summary, more,
                self._run("_rt.acting_on_all", arguments), abstract=not each.optional, runs=True,
                defaults=each.command.defaults, keywords=each.command.keywords,
            )  # fmt: skip
        for removing in erasing(self._program):
            more = [f"{moves(removing)} {raises(removing.guards)}"]
            yield self._method(
                removing.name, self._of_one({}), "None", removing.summary, more,
                self._act("id", self._command(removing.name), [Code("id")]), runs=True, acts=True,
            )  # fmt: skip

    def _action_methods(self, action: Command) -> Iterator[PublicMethod]:
        declared = next(a for n, a in self._machine.actions.items() if n == action.name)
        for method in declared.methods:
            deferred = " Its write is deferred." if action.deferred else ""
            more = [f"{moves(action)} {raises(action.guards)}{deferred}"]
            yield self._acting(str(method), action, action, more, deferred=action.deferred)

    def _choice(self, choice: Choice) -> PublicMethod:
        """Return the method that asks for one of several actions."""
        deferred = all(each.deferred for each, _ in choice.actions)
        checks = (check for action, _ in choice.actions for check in action.guards)
        more = [f"{asks(choice)} {raises(checks)}"]
        return self._acting(choice.name, choice, choice.first, more, deferred=deferred)

    def _acting(
        self, method: str, asked: Command | Choice, action: Command, more: list[str], *,
        deferred: bool,
    ) -> PublicMethod:  # fmt: skip
        """Return a method that acts on one record with the parameters of an action."""
        given, decides = [Code("id"), *map(Code, action.params)], self._command(asked.name)
        flags = ["deferred=True"] if deferred else []
        body, returns = self._act("id", decides, given, *flags), "None"
        if asked.returns is not None:
            returns = asked.returns.type.python
            more.append(f"Returns {notation(asked.returns)}.")
            answers = f"{self._names.authority}.{returned_by(asked.name)}"
            given = [Code(decides), Code(answers), layout.called("", given), *map(Code, flags)]
            body = self._run("_rt.returning", given, assigns="return ")
        return self._method(
            method, self._of_one(action.params), returns, asked.summary, more, body,
            abstract=True, runs=True, acts=asked.returns is None, defaults=action.defaults,
            keywords=action.keywords,
        )  # fmt: skip

    # Features -----------------------------------------------------------------------------------

    def _features(self) -> Iterator[PublicMethod]:
        program, names, machine = self._program, self._names, self._machine
        if program.watch is not None:
            errors = raises(program.watch.guards, "RegistryClosedError")
            yield self._method(
                program.watch.name, self._of_one({}), names.watch, program.watch.summary,
                [f"Over at once if the record is finished. {errors}"],
                self._call("return self._engine.watch", [
                    "id", self._command(program.watch.name), names.watch,
                ]),
                abstract=True,
            )  # fmt: skip
        yield self._method(
            str(machine.snapshot.method), self._of_one({}), f"{names.snapshot} | None",
            machine.snapshot.summary, ["Returns None if no record has the id."],
            ["return self._engine.view(id, _snapshot_of)"], abstract=True,
        )  # fmt: skip
        for key in program.unique:
            among = "live records" if key.of_live else "all records that are held"
            types = {name: type.required for name, type in key.fields.items()}
            arguments = [self._command(key.name), "_snapshot_of", *types]
            yield self._method(
                key.name, types, f"{names.snapshot} | None", key.summary,
                [f"The key is unique among {among}. Returns None if none of them has it."],
                self._call("return self._engine.holder", arguments), abstract=True,
            )  # fmt: skip
        if machine.history is not None:
            last = machine.history.last
            more = f"Returns the last {last}, oldest first; none if no record has the id."
            yield self._method(
                str(machine.history.method), self._of_one({}), f"tuple[{names.transition}, ...]",
                machine.history.summary, [more],
                [f"return self._engine.ask({names.authority}.history_of, id)"], abstract=True,
            )  # fmt: skip
        if machine.listing is not None:
            yield self._listing()
        if program.collect is not None:
            outcome = program.outcome_type().python
            erasing = [self._command(program.collect.name), f"({names.effect}.ERASE,)"]
            yield self._method(
                program.collect.name, {}, f"list[tuple[{names.id}, {outcome}]]",
                program.collect.summary, [raises(program.collect.guards)],
                [
                    *self._run("_rt.collecting", erasing, assigns="erased = "),
                    f"collected: list[tuple[{names.id}, {outcome}]] = erased",
                    "return collected",
                ],
                runs=True,
            )  # fmt: skip
        if machine.feed is not None:
            yield self._feed()
        if machine.cursors is not None:
            yield from self._cursors()
        yield from self._archive()
        if machine.barrier is not None:
            yield self._barrier()

    def _listing(self) -> PublicMethod:
        listing = self._machine.listing
        assert listing is not None
        types = {name: optional(type) for name, type, _ in self._program.views.filters}
        wanted = f"({', '.join(types)}{',' if len(types) == 1 else ''})"
        returns, more = (
            f"list[{self._names.snapshot}]",
            ["A filter that is None selects everything."],
        )
        body = self._call("return self._engine.views", [wanted, "_listing_order", "_snapshot_of"])
        declared = self._program.views.pages
        if declared is not None:
            types |= pages.page_parameters(declared, self._names)
            returns, more = f"_rt.Page[{self._names.snapshot}]", pages.DOCUMENTED
            body = pages.page_call(declared, wanted, self._width)
        return self._method(
            str(listing.method), types, returns, listing.summary, more, body, abstract=True,
            keywords=types, defaults=pages.DEFAULTS if declared is not None else NO_DEFAULTS,
        )  # fmt: skip

    def _archive(self) -> Iterator[PublicMethod]:
        for read in archive.archive_reads(self._program, self._names):
            call = read.call(awaits=self._awaits)
            lines = layout.statement("", call, "", indent=8, width=self._width)
            yield self._method(
                read.name, read.types, read.returns, read.summary, [read.more],
                [line[8:] for line in lines], runs=True,
                keywords=() if "id" in read.types else read.types, defaults=archive.DEFAULTS,
            )  # fmt: skip

    def feed_type(self) -> str:
        """Return the annotation of the feed."""
        feed = self._machine.feed
        return f"_rt.CompletionFeed[{feed.entry.name}, {feed.epoch}]" if feed else ""

    def _feed(self) -> PublicMethod:
        feed = self._machine.feed
        assert feed is not None
        return self._method(
            str(feed.method), {}, self.feed_type(), feed.summary,
            ["Reading works after the registry is closed."], ["return self._feed"],
            none_without=True,
        )  # fmt: skip

    def _cursors(self) -> Iterator[PublicMethod]:
        declared, command = self._machine.cursors, self._program.cursors
        assert declared is not None
        assert command is not None
        consumer = {"consumer": command.params["consumer"]}
        yield self._method(
            str(declared.get), consumer, "int", "Return the cursor of a consumer; 0 at first.", [],
            [f"return self._engine.ask({self._names.authority}.cursor_of, consumer)"],
            none_without=True,
        )  # fmt: skip
        decides = self._command(command.name)
        arguments = [decides, "consumer", "cursor"]
        types: dict[str, Type] = dict(command.params)
        more = ["Returns the resulting cursor: a lower number changes nothing."]
        body = self._run("_rt.advancing", arguments, assigns="reached: int = ")
        if declared.cache is not None:
            types["projection"] = optional(Type("class", str(declared.cache)))
            more.append("`projection` is updated once the authority has accepted, and never read.")
            body += ["if projection is not None:", "    projection.record(consumer, reached)"]
        more.append(raises(command.guards))
        yield self._method(
            str(declared.advance), types, "int", command.summary, more, [*body, "return reached"],
            runs=True,
        )  # fmt: skip

    def _barrier(self) -> PublicMethod:
        declared, barrier = self._machine.barrier, self._program.barrier
        assert declared is not None
        assert barrier is not None
        (key, key_type) = next(iter(declared.key.items()))
        checks = check_lines(str(key), str(key), Type("id", str(key_type)), indent=0)
        body = [
            *checks,
            f'_members = _rt.check_many("ids", ids, {self._names.id})',
            *self._call("return self._engine.wait_for_all", [
                str(key), "_members", self._command(declared.method),
                f"_rt.partial(_satisfied, {declared.request_id}.new(), {key})", str(declared.wait),
            ]),
        ]  # fmt: skip
        signature = layout.call(
            f"def {declared.method}",
            ["self", f"{key}: {key_type}", f"ids: Iterable[{self._names.id}]"],
            f" -> {declared.wait}:", indent=4, width=self._width,
        )  # fmt: skip
        errors = ", ".join(refusal.error for _, refusal in barrier.refusals)
        first = ", ".join(check.error for check in barrier.first)
        doc = layout.docstring(
            declared.summary,
            [
                "Acts at the call. Errors are raised by the wait, in this order of checking: "
                f"RegistryClosedError, {first}{', ' if first else ''}{errors}.",
                "The outcomes are in the order asked.",
            ],
            indent=8, width=self._width,
        )  # fmt: skip
        lines = [f"        {line}" for line in body]
        return PublicMethod(
            str(declared.method), False, False, signature, signature, doc, lines,
            f"raise _rt.UnsupportedError({layout.quoted(str(declared.method))})",
        )  # fmt: skip

    def _classifiers(self) -> Iterator[PublicMethod]:
        for rule in self._program.classifiers:
            taken = self._of_one(rule.params) if rule.of_record else rule.params
            arguments = [self._command(rule.name), *taken]
            yield self._method(
                rule.name, taken, rule.type.python, rule.summary, [],
                self._call("return self._engine.ask", arguments), defaults=rule.defaults,
                keywords=rule.keywords,
            )  # fmt: skip

"""What a machine starts with and what readers are answered, as facts for the comparison."""

from __future__ import annotations

from collections.abc import Iterator

from opslifecycle_codegen.compat.facts import Fact, Spelling
from opslifecycle_codegen.compat.limits import initial_notation
from opslifecycle_codegen.compat.renames import Renames
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.messages import ACTIONS, create_word
from opslifecycle_codegen.ir.migrations import RECORD, REGISTRY, TYPES
from opslifecycle_codegen.ir.parts import ERRORS, FEED_ENTRY, GUARDS, METHODS, PROPERTIES, SNAPSHOT
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.ir.symbols import EnumInfo, MemberOf, PropertyValue

#: The public classes that have no other fact.
_CLASSES = ("interface", "registry", "async_registry", "snapshot", "watch", "effect", "action")


def answer_facts(program: Program, names: Renames) -> Iterator[Fact]:
    """Yield what new records begin with, what readers are answered, and what the registry does.

    Args:
        program: The machine.
        names: The names of the newer version for what this one calls otherwise.
    """
    facts = _Answers(program, names)
    yield from facts.beginnings()
    yield from facts.settings()
    yield from facts.whole_registry()
    yield from facts.feed()
    yield from facts.views()
    yield from facts.values()
    yield from facts.code()
    for enum in program.symbols.enums.values():
        yield from facts.properties(enum)


class _Answers:
    def __init__(self, program: Program, names: Renames) -> None:
        self._program = program
        self._machine = program.machine
        self._names = names
        self._spelling = Spelling(program, names)

    def beginnings(self) -> Iterator[Fact]:
        program = self._program
        create = self._names.name(ACTIONS, create_word(self._machine))

        def text(tree: Expression) -> str:
            return initial_notation(self._names.tree(tree, create))

        yield Fact("the id of a new record", text(program.create_id), changed="id-changed")
        for part, values in ((RECORD, program.initial), (REGISTRY, program.registry_initial)):
            of = "the registry's " if part == REGISTRY else ""
            for name, tree in values.items():
                subject = f"the initial value of {of}{self._names.name(part, name)}"
                yield Fact(subject, text(tree), changed="initial-changed")
        for name, field in self._machine.fields.items():
            stamp = str(field.stamped or "no moment")
            subject = f"the moment that {self._names.name(RECORD, name)} holds"
            yield Fact(subject, stamp, changed="update-changed")

    def settings(self) -> Iterator[Fact]:
        for name, setting in self._machine.settings.items():
            subject = f"the least {self._names.name(REGISTRY, name)}"
            yield Fact(subject, str(setting.at_least), changed="limits-changed")
        for name, error in self._machine.errors.items():
            subject = f"the message of {self._names.name(ERRORS, name)}"
            yield Fact(subject, repr(str(error.message)), changed="message-changed")

    def whole_registry(self) -> Iterator[Fact]:
        spelling = self._spelling
        for each in self._program.bulk:
            method = self._names.name(METHODS, each.command.name)
            ends = f"ends every live record by {each.action}" if each.action else "ends no record"
            yield Fact(f"what {method} does", ends, changed="target-changed")
            unless = spelling.text(each.unless) if each.unless is not None else "never"
            yield Fact(f"where {method} does nothing", unless, changed="checks-changed")
            yield Fact(
                f"what {method} sets", spelling.updates(each.updates), changed="update-changed"
            )
        if self._program.recovery is not None:
            for name, tree in self._program.recovery.fields.items():
                subject = f"what {self._names.name(REGISTRY, name)} is at recovery"
                yield Fact(
                    subject, spelling.text(tree), "recovery-changed", "recovery-changed",
                    "recovery-changed",
                )  # fmt: skip

    def feed(self) -> Iterator[Fact]:
        machine, text = self._machine, self._spelling.text
        if machine.retention is not None and self._program.retention is not None:
            retention, most = machine.retention, text(self._program.retention.max_entries)
            cursors = " beyond cursors" if retention.beyond_cursors else ""
            archived = " into the archive" if retention.archive is not None else ""
            yield Fact(
                "what is evicted", f"{retention.evict} past {most}{cursors}{archived}",
                "retention-changed", "retention-changed", "retention-changed",
            )  # fmt: skip
        if machine.barrier is not None:
            most = str(machine.barrier.active_per_key_max)
            yield Fact("the greatest number of barriers of a key", most, changed="limits-changed")

    def views(self) -> Iterator[Fact]:
        views, text = self._program.views, self._spelling.text
        for part, fields, what in (
            (SNAPSHOT, views.snapshot, "snapshots"), (FEED_ENTRY, views.entry, "feed entries")
        ):  # fmt: skip
            for info, tree in fields:
                name = self._names.name(part, info.name)
                yield Fact(f"what {name} is in {what}", text(tree), changed="answer-changed")
                if info.type.optional:
                    form = "with None" if info.keep_none else "without None"
                    subject = f"the JSON form of {name} in {what}"
                    yield Fact(subject, form, changed="answer-changed")
        for rule in self._program.classifiers:
            subject = f"what {self._names.name(METHODS, rule.name)} answers"
            yield Fact(subject, text(rule.tree), changed="answer-changed")
        order = ", ".join(map(text, views.order))
        yield Fact("the order of listings", order, changed="answer-changed")
        for name, _, tree in views.filters:
            yield Fact(f"what {name} filters listings by", text(tree), changed="answer-changed")
        if views.pages is not None:
            for name, tree in views.pages.orders:
                subject = f"the order {name} of listings"
                yield Fact(subject, text(tree), changed="answer-changed")
            bounds = {**views.pages.above, **views.pages.below}
            for name, order in bounds.items():
                side = "above" if name in views.pages.above else "below"
                subject = f"what {name} bounds listings by"
                yield Fact(subject, f"{order}, from {side}", changed="answer-changed")

    def values(self) -> Iterator[Fact]:
        """Yield what fields of values are without an argument, and their form in JSON."""
        program, text = self._program, self._spelling.text
        for record in program.symbols.records.values():
            owner = self._names.name(TYPES, record.name)
            for info in record.fields.values():
                subject = f"{owner}.{self._names.name(owner, info.name)}"
                key = record.name, info.name
                if key in program.field_defaults:
                    default = text(program.field_defaults[key])
                    yield Fact(f"the default of {subject}", default, changed="initial-changed")
                always = text(program.always[key]) if key in program.always else "as given"
                yield Fact(f"what {subject} is", always, changed="initial-changed")
                form = str(info.declared.json or "with every value")
                yield Fact(f"the JSON form of {subject}", form, changed="answer-changed")
                guard = str(info.declared.checked_by or "its constructor")
                guard = self._names.name(GUARDS, guard)
                yield Fact(f"what checks {subject}", guard, changed="checks-changed")

    def code(self) -> Iterator[Fact]:
        """Yield the names of public classes, and the methods that implementations may lack."""
        names, machine = public_names(self._machine), self._machine
        for word in _CLASSES:
            today = self._names.name(TYPES, getattr(names, word))
            yield Fact(f"the class of the {word}", today, changed="class-renamed")
        if machine.cursors is not None and machine.cursors.cache is not None:
            cache, subject = self._names.name(TYPES, machine.cursors.cache), "the copy of cursors"
            yield Fact(subject, cache, "view-added", "view-removed", "class-renamed")
        lacking = {str(each) for each in machine.create.optional_methods}
        methods = {str(name): str(name) in lacking for name in machine.create.methods}
        methods |= {str(name): each.optional for name, each in machine.bulk.items()}
        for name, optional in methods.items():
            subject = f"whether implementations have {self._names.name(METHODS, name)}"
            yield Fact(subject, "optional" if optional else "always", changed="method-changed")

    def properties(self, enum: EnumInfo) -> Iterator[Fact]:
        """Yield the properties of the members of a closed set."""
        name = self._names.name(TYPES, enum.name)
        for word, member in enum.members.items():
            for said, value in member.values.items():
                today = self._names.name(f"{PROPERTIES}{name}", said)
                subject = f"what {today} is of {self._spelling.member(enum.name, word)} in {name}"
                yield Fact(subject, self._value(value), changed="answer-changed")

    def _value(self, value: PropertyValue) -> str:
        if isinstance(value, tuple):
            return ", ".join(map(self._value, value)) or "nothing"
        if isinstance(value, MemberOf):
            return self._spelling.member(value.enum, value.wire)
        return repr(value)

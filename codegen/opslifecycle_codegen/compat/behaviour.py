"""The behaviour of a machine as facts, by which two versions are compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from attrs import evolve, frozen

from opslifecycle_codegen.compat.compare import Change
from opslifecycle_codegen.compat.limits import bare, spelled
from opslifecycle_codegen.compat.renames import UNCHANGED, Renames
from opslifecycle_codegen.compat.signatures import signature_changes
from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS
from opslifecycle_codegen.ir.expr import Expression, Field
from opslifecycle_codegen.ir.feeds import COMPLETIONS, fed_commands
from opslifecycle_codegen.ir.messages import ACTIONS, EFFECTS, create_word
from opslifecycle_codegen.ir.migrations import RECORD, REGISTRY, TYPES
from opslifecycle_codegen.ir.notation import condition_notation, notation, update_notation
from opslifecycle_codegen.ir.parts import ERRORS, GUARDS, INVARIANTS, METHODS
from opslifecycle_codegen.ir.program import (
    TIMER_PREFIX,
    Assignment,
    Command,
    Program,
    Timer,
    named_timers,
    tested_ways,
)
from opslifecycle_codegen.ir.times import timer_notation
from opslifecycle_codegen.ir.types import Type


@frozen
class Fact:
    """One declaration of a machine, and the rules that report its changes.

    An empty rule means that another fact reports the change.
    """

    subject: str
    value: str
    added: str
    removed: str
    changed: str


def behaviour_changes(old: Program, new: Program, names: Renames = UNCHANGED) -> list[Change]:
    """Return the changes that callers notice, except those that the locks show.

    Args:
        old: The older machine.
        new: The newer one.
        names: The newer one's names for what the older one calls otherwise.
    """
    before = {fact.subject: fact for fact in _Facts(old, names).all()}
    after = {fact.subject: fact for fact in _Facts(new, UNCHANGED).all()}
    found = []
    for subject, fact in before.items():
        now = after.get(subject)
        if now is None and fact.removed:
            found.append(Change(fact.removed, f"{subject} is gone"))
        elif now is not None and now.value != fact.value:
            found.append(Change(fact.changed, f"{subject} was {fact.value} and is {now.value}"))
    for subject, fact in after.items():
        if subject not in before and fact.added:
            found.append(Change(fact.added, f"{subject} is new"))
    return [*found, *signature_changes(old, new, names)]


class _Facts:
    """The facts of a program, in the names of the newer version."""

    def __init__(self, program: Program, names: Renames) -> None:
        self._program = program
        self._machine = program.machine
        self._names = names

    def all(self) -> Iterator[Fact]:
        """Yield every fact."""
        for command in (self._program.create, *self._program.actions):
            yield from self._command(command)
        yield from self._limits()
        yield from self._rejections()
        steps = [
            f"{f'if {self._text(step.test)}: ' if step.test else ''}{self._updates(step.updates)}"
            f" effects {self._effects(step.effects)}"
            for step in self._program.on_terminal
        ]
        yield Fact("what every end does", "; ".join(steps) or "nothing", "", "", "end-changed")
        for name, setting in self._machine.settings.items():
            subject = f"the default of {self._names.name(REGISTRY, name)}"
            yield Fact(subject, str(setting.default), "", "setting-removed", "default-changed")
        for choice in self._program.choices:
            asked = ", ".join(self._action(action) for action, _ in choice.actions)
            method = self._names.name(METHODS, choice.name)
            yield Fact(f"what {method} asks for", asked, "", "", "target-changed")
            if choice.returns is not None:
                value = self._text(choice.returns, self._action(choice.first))
                yield Fact(f"what {method} returns", value, "", "", "result-changed")
        yield from self._past_and_future()
        yield from self._recovery()
        yield from self._work()
        for rule in (*self._program.invariants, *self._program.transition_invariants):
            prop = f"the property {self._names.name(INVARIANTS, rule.name)}"
            yield Fact(
                prop, self._text(rule.tree), "property-added", "property-removed",
                "property-changed",
            )  # fmt: skip

    def _has_parameters(self, guard: str) -> bool:
        declared = self._machine.guards
        return any(name == guard and each.params for name, each in declared.items())

    def _rejections(self) -> Iterator[Fact]:
        program, names = self._program, self._names
        given: defaultdict[str, list[str]] = defaultdict(list)
        for command in self._guarded():
            for check in command.guards:
                # The legal statuses of an action represent its test of the status.
                if check.guard and check.guard != LEGAL_STATUS:
                    guard = names.name(GUARDS, check.guard)
                    action = self._action(command)
                    lets = tuple((name, names.tree(tree, action)) for name, tree in check.lets)
                    condition = condition_notation(lets, names.tree(check.test, action))
                    if self._has_parameters(check.guard):
                        # What it asks depends on the command.
                        given[f"the guard {guard} of {action}"].append(condition)
                    else:
                        yield Fact(f"the guard {guard}", condition, "", "", "guard-changed")
        for subject, conditions in given.items():
            yield Fact(subject, " and ".join(dict.fromkeys(conditions)), "", "", "guard-changed")
        for name, rejection in self._machine.errors.items():
            fields = program.error_fields[name].items()
            facts = ", ".join(f"{n}: {self._bare(t)}" for n, t in fields)
            yield Fact(
                f"the rejection {names.name(ERRORS, name)}", f"{rejection.class_}({facts})",
                "rejection-added", "rejection-removed", "rejection-changed",
            )  # fmt: skip

    def _recovery(self) -> Iterator[Fact]:
        recovery = self._program.recovery
        if recovery is None:
            return
        does = "nothing"
        if recovery.command is not None:
            outcome = recovery.command.command.outcome
            ends = self._text(outcome) if outcome else "its status"
            does = f"{self._names.name(ACTIONS, recovery.command.action)} as {ends}"
        if recovery.stays is not None:
            does += f" unless {self._text(recovery.stays)}"
        yield Fact(
            "recovery", f"{does}, keeps {self._text(recovery.persist_if)}", "recovery-added",
            "recovery-removed", "recovery-changed",
        )  # fmt: skip

    def _work(self) -> Iterator[Fact]:
        work = self._program.work
        if work is None:
            return
        for word, call in work.calls.items():
            method = self._names.name(METHODS, call.method)
            told = f"{method}({', '.join(map(self._text, call.arguments))})"
            yield Fact(f"the work's {word}", told, "work-added", "work-removed", "work-changed")
        given = ", ".join(f"{name}: {self._names.type(type)}" for name, type in work.given.items())
        yield Fact("what callers give for work", given or "nothing", "", "", "work-given")

    def _past_and_future(self) -> Iterator[Fact]:
        """Yield what is remembered of transitions, and what happens by itself."""
        machine, names = self._machine, self._names
        if machine.feed is not None:
            commands = (names.name(ACTIONS, each) for each in fed_commands(machine))
            fed = ", ".join(sorted(commands)) or COMPLETIONS
            yield Fact("what enters the feed", fed, "", "", "feed-changed")
        for key in self._program.unique:
            among = "live records" if key.of_live else "all records"
            fields = ", ".join(names.name(RECORD, field) for field in key.fields)
            subject = f"the unique key {names.name(METHODS, key.name)}"
            yield Fact(subject, f"{fields} of {among}", "key-added", "key-removed", "key-changed")
        if machine.history is not None:
            params = ", ".join(machine.history.params) or "nothing"
            kept = f"the last {machine.history.last} with {params}"
            yield Fact("what a history keeps", kept, "", "", "history-changed")
        for name, timers in named_timers(self._program.timers).items():
            _, _, number = name.partition(f"{TIMER_PREFIX}{timers[0].action}")
            timer_name = f"{TIMER_PREFIX}{names.name(ACTIONS, timers[0].action)}{number}"
            for status in dict.fromkeys(each for timer in timers for each in timer.statuses):
                due = [self._due(timer) for timer in timers if status in timer.statuses]
                subject = f"the timer {timer_name} in {self._status(status)}"
                yield Fact(
                    subject, " and ".join(due), "timer-added", "timer-removed", "timer-changed"
                )

    def _due(self, timer: Timer) -> str:
        action = self._names.name(ACTIONS, timer.action)
        given = {
            self._names.argument(action, name): self._names.tree(tree)
            for name, tree in timer.given.items()
        }
        return timer_notation(evolve(timer, due=self._names.tree(timer.due), given=given))

    def _guarded(self) -> Iterator[Command]:
        program = self._program
        removing = (program.rollback, program.erase, program.watch)
        yield from (program.create, *program.actions)
        yield from (command for command in removing if command is not None)

    def _command(self, command: Command) -> Iterator[Fact]:
        action = self._action(command)
        name = f"the action {action}"
        yield Fact(name, "", "action-added", "action-removed", "")
        for status in map(self._status, command.from_statuses):
            yield Fact(f"{name} from {status}", "legal", "status-allowed", "status-refused", "")
        for status in map(self._status, command.idempotent_in):
            subject = f"{name} in {status} as done already"
            yield Fact(subject, "", "idempotence-added", "idempotence-removed", "")
        leads = self._of_ways(command, lambda way: self._status(way.to) or "nowhere")
        yield Fact(f"where {name} leads", leads, "", "", "target-changed")
        guards = ", ".join(self._names.name(GUARDS, check.guard) for check in command.guards)
        yield Fact(f"what {name} is checked for", guards or "nothing", "", "", "checks-changed")
        updates = self._of_ways(command, lambda way: self._updates(way.updates, action))
        yield Fact(f"what {name} sets", updates, "", "", "update-changed")
        effects = self._of_ways(command, lambda way: self._effects(way.effects))
        yield Fact(f"the effects of {name}", effects, "", "", "effects-changed")
        when = "deferred" if command.deferred else "durable when the call returns"
        yield Fact(f"the write of {name}", when, "", "", "durability-changed")
        outcomes = self._of_ways(
            command, lambda way: self._text(way.outcome, action) if way.outcome else "none"
        )
        yield Fact(f"the outcome of {name}", outcomes, "", "", "outcome-changed")
        if command.returns is not None:
            value = self._text(command.returns, action)
            yield Fact(f"what {name} returns", value, "", "", "result-changed")

    def _of_ways(self, command: Command, said: Callable[[Command], str]) -> str:
        """Return what is said of the ways of a command, each with its test if they differ."""
        ways = list(tested_ways(command))
        values = [said(way) for _, way in ways]
        if len(set(values)) == 1:
            return values[0]
        action = self._action(command)
        cases = (f"if {self._text(test, action)}" if test else "else" for test, _ in ways)
        return "; ".join(f"{value} {case}" for value, case in zip(values, cases, strict=True))

    def _limits(self) -> Iterator[Fact]:
        """Yield the limits of parameters, which a signature does not show."""
        for command in (self._program.create, *self._program.actions):
            action = self._action(command)
            for parameter, type in command.params.items():
                if type.required.limits is not None:
                    name = self._names.argument(action, parameter)
                    subject = f"the limits of {name} in {action}"
                    yield Fact(subject, spelled(type), "", "", "limits-changed")

    def _action(self, command: Command) -> str:
        """Return today's name of a command."""
        is_create = command is self._program.create
        return self._names.name(ACTIONS, create_word(self._machine) if is_create else command.name)

    # Text ---------------------------------------------------------------------------------------

    def _bare(self, type: Type) -> str:
        return bare(self._names.type(type))

    def _text(self, tree: Expression, action: str = "") -> str:
        return notation(self._names.tree(tree, action))

    def _status(self, status: str) -> str:
        symbols, names = self._program.symbols, self._names
        return names.name(names.name(TYPES, symbols.status_enum), status)

    def _effects(self, effects: tuple[str, ...]) -> str:
        return ", ".join(self._names.name(EFFECTS, each) for each in effects) or "none"

    def _updates(self, updates: tuple[Assignment, ...], action: str = "") -> str:
        found = []
        for each in updates:
            target = self._names.tree(each.target)
            assert isinstance(target, Field)
            found.append(update_notation(target, self._names.tree(each.value, action)))
        return ", ".join(found) or "nothing"

"""The behaviour of a machine as facts, by which two versions are compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from attrs import evolve

from opslifecycle_codegen.compat.answers import answer_facts
from opslifecycle_codegen.compat.compare import Change
from opslifecycle_codegen.compat.facts import Fact, Spelling
from opslifecycle_codegen.compat.limits import spelled
from opslifecycle_codegen.compat.renames import UNCHANGED, Renames
from opslifecycle_codegen.compat.signatures import signature_changes
from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS
from opslifecycle_codegen.ir.expr import Literal, Refusal
from opslifecycle_codegen.ir.feeds import COMPLETIONS, fed_commands
from opslifecycle_codegen.ir.messages import ACTIONS, create_word
from opslifecycle_codegen.ir.migrations import RECORD, REGISTRY
from opslifecycle_codegen.ir.notation import condition_notation
from opslifecycle_codegen.ir.parts import ERRORS, GUARDS, INVARIANTS, METHODS
from opslifecycle_codegen.ir.program import (
    TIMER_PREFIX,
    Check,
    Command,
    EndStep,
    Program,
    Timer,
    named_timers,
    tested_ways,
)
from opslifecycle_codegen.ir.times import timer_notation


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
        self._spelling = Spelling(program, names)

    def all(self) -> Iterator[Fact]:
        """Yield every fact."""
        for command in (self._program.create, *self._program.actions):
            yield from self._command(command)
        for command in self._others():
            yield from self._other(command)
        yield from self._limits()
        yield from self._rejections()
        steps = "; ".join(map(self._step, self._program.on_terminal))
        yield Fact("what every end does", steps or "nothing", changed="end-changed")
        for name, setting in self._machine.settings.items():
            subject = f"the default of {self._names.name(REGISTRY, name)}"
            yield Fact(subject, str(setting.default), "", "setting-removed", "default-changed")
        for choice in self._program.choices:
            asked = ", ".join(self._action(action) for action, _ in choice.actions)
            method = self._names.name(METHODS, choice.name)
            yield Fact(f"what {method} asks for", asked, changed="target-changed")
            if choice.returns is not None:
                value = self._spelling.text(choice.returns, self._action(choice.first))
                yield Fact(f"what {method} returns", value, changed="result-changed")
        yield from self._past_and_future()
        yield from self._recovery()
        yield from self._work()
        yield from answer_facts(self._program, self._names)
        for rule in (*self._program.invariants, *self._program.transition_invariants):
            prop = f"the property {self._names.name(INVARIANTS, rule.name)}"
            yield Fact(
                prop, self._spelling.text(rule.tree), "property-added", "property-removed",
                "property-changed",
            )  # fmt: skip

    def _step(self, step: EndStep) -> str:
        spelling = self._spelling
        test = f"if {spelling.text(step.test)}: " if step.test else ""
        return f"{test}{spelling.updates(step.updates)} effects {spelling.effects(step.effects)}"

    def _has_parameters(self, guard: str) -> bool:
        declared = self._machine.guards
        return any(name == guard and each.params for name, each in declared.items())

    def _rejections(self) -> Iterator[Fact]:
        program, names = self._program, self._names
        given: defaultdict[str, list[str]] = defaultdict(list)
        for command in self._guarded():
            for check in command.guards:
                action = self._action(command)
                guard, error = names.name(GUARDS, check.guard), self._error(command, check.refusal)
                if check.guard and self._has_parameters(check.guard):
                    # What it asks depends on the command.
                    given[f"the guard {guard} of {action}"].append(self._condition(check, action))
                    given[f"the error of {guard} of {action}"].append(error)
                elif not check.guard:
                    given[f"the error of {action}"].append(error)
                else:
                    yield Fact(f"the error of {guard}", error, changed="guard-changed")
                    # The legal statuses of an action represent its test of the status.
                    if check.guard != LEGAL_STATUS:
                        condition = self._condition(check, action)
                        yield Fact(f"the guard {guard}", condition, changed="guard-changed")
        for subject, texts in given.items():
            yield Fact(subject, " and ".join(dict.fromkeys(texts)), changed="guard-changed")
        if program.barrier is not None:
            checks = (f"{each} {refusal.error}" for each, refusal in program.barrier.refusals)
            yield Fact("what a barrier is checked for", ", ".join(checks), changed="checks-changed")
        for name, rejection in self._machine.errors.items():
            fields = program.error_fields[name].items()
            facts = ", ".join(f"{n}: {self._spelling.bare(t)}" for n, t in fields)
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
            ends = self._spelling.text(outcome) if outcome else "its status"
            does = f"{self._names.name(ACTIONS, recovery.command.action)} as {ends}"
        if recovery.stays is not None:
            does += f" unless {self._spelling.text(recovery.stays)}"
        does += f", keeps {self._spelling.text(recovery.persist_if)}"
        yield Fact("recovery", does, "recovery-added", "recovery-removed", "recovery-changed")

    def _work(self) -> Iterator[Fact]:
        work = self._program.work
        if work is None:
            return
        for word, call in work.calls.items():
            method = self._names.name(METHODS, call.method)
            told = f"{method}({', '.join(map(self._spelling.text, call.arguments))})"
            yield Fact(f"the work's {word}", told, "work-added", "work-removed", "work-changed")
        given = ", ".join(f"{name}: {self._names.type(type)}" for name, type in work.given.items())
        yield Fact("what callers give for work", given or "nothing", changed="work-given")
        stored = self._spelling.text(work.call) if work.call is not None else "nothing"
        yield Fact("what a record stores of its call", stored, changed="work-changed")

    def _past_and_future(self) -> Iterator[Fact]:
        """Yield what is remembered of transitions, and what happens by itself."""
        machine, names = self._machine, self._names
        if machine.feed is not None:
            commands = (names.name(ACTIONS, each) for each in fed_commands(machine))
            fed = ", ".join(sorted(commands)) or COMPLETIONS
            yield Fact("what enters the feed", fed, changed="feed-changed")
        for key in self._program.unique:
            among = "live records" if key.of_live else "all records"
            fields = ", ".join(names.name(RECORD, field) for field in key.fields)
            subject = f"the unique key {names.name(METHODS, key.name)}"
            yield Fact(subject, f"{fields} of {among}", "key-added", "key-removed", "key-changed")
        if machine.history is not None:
            params = ", ".join(machine.history.params) or "nothing"
            kept = f"the last {machine.history.last} with {params}"
            yield Fact("what a history keeps", kept, changed="history-changed")
        for name, timers in named_timers(self._program.timers).items():
            _, _, number = name.partition(f"{TIMER_PREFIX}{timers[0].action}")
            timer_name = f"{TIMER_PREFIX}{names.name(ACTIONS, timers[0].action)}{number}"
            for status in dict.fromkeys(each for timer in timers for each in timer.statuses):
                due = [self._due(timer) for timer in timers if status in timer.statuses]
                subject = f"the timer {timer_name} in {self._spelling.status(status)}"
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

    def _condition(self, check: Check, action: str) -> str:
        lets = tuple((name, self._names.tree(tree, action)) for name, tree in check.lets)
        return condition_notation(lets, self._names.tree(check.test, action))

    def _error(self, command: Command, refusal: Refusal) -> str:
        """Return an error with its fields; what an action is called is the same for all."""
        action = self._action(command)
        fields = (
            "action.label"
            if isinstance(tree, Literal) and tree.value == command.label
            else self._spelling.text(tree, action)
            for tree in refusal.fields
        )
        return f"{refusal.error}({', '.join(fields)})"

    def _guarded(self) -> Iterator[Command]:
        program = self._program
        return iter((program.create, *program.actions, *self._others()))

    def _others(self) -> list[Command]:
        """Return the commands that are no actions of a record's life."""
        program = self._program
        others = (program.rollback, program.erase, program.collect, program.watch, program.cursors)
        return [command for command in others if command is not None]

    def _other(self, command: Command) -> Iterator[Fact]:
        name = self._names.name(METHODS, command.name)
        for status in map(self._spelling.status, command.from_statuses):
            yield Fact(f"{name} from {status}", "legal", "status-allowed", "status-refused")
        yield self._checks(name, command)
        updates = self._spelling.updates(command.updates)
        yield Fact(f"what {name} sets", updates, changed="update-changed")
        effects = self._spelling.effects(command.effects)
        yield Fact(f"the effects of {name}", effects, changed="effects-changed")

    def _checks(self, name: str, command: Command) -> Fact:
        guards = ", ".join(self._names.name(GUARDS, check.guard) for check in command.guards)
        return Fact(f"what {name} is checked for", guards or "nothing", changed="checks-changed")

    def _command(self, command: Command) -> Iterator[Fact]:
        action = self._action(command)
        name = f"the action {action}"
        yield Fact(name, "", "action-added", "action-removed")
        for status in map(self._spelling.status, command.from_statuses):
            yield Fact(f"{name} from {status}", "legal", "status-allowed", "status-refused")
        for status in map(self._spelling.status, command.idempotent_in):
            subject = f"{name} in {status} as done already"
            yield Fact(subject, "", "idempotence-added", "idempotence-removed")
        leads = self._of_ways(command, lambda way: self._spelling.status(way.to) or "nowhere")
        yield Fact(f"where {name} leads", leads, changed="target-changed")
        yield self._checks(name, command)
        updates = self._of_ways(command, lambda way: self._spelling.updates(way.updates, action))
        yield Fact(f"what {name} sets", updates, changed="update-changed")
        effects = self._of_ways(command, lambda way: self._spelling.effects(way.effects))
        yield Fact(f"the effects of {name}", effects, changed="effects-changed")
        when = "deferred" if command.deferred else "durable when the call returns"
        yield Fact(f"the write of {name}", when, changed="durability-changed")
        outcomes = self._of_ways(
            command, lambda way: self._spelling.text(way.outcome, action) if way.outcome else "none"
        )
        yield Fact(f"the outcome of {name}", outcomes, changed="outcome-changed")
        if command.returns is not None:
            value = self._spelling.text(command.returns, action)
            yield Fact(f"what {name} returns", value, changed="result-changed")

    def _of_ways(self, command: Command, said: Callable[[Command], str]) -> str:
        """Return what is said of the ways of a command, each with its test if they differ."""
        ways = list(tested_ways(command))
        values = [said(way) for _, way in ways]
        if len(set(values)) == 1:
            return values[0]
        action = self._action(command)
        cases = (f"if {self._spelling.text(test, action)}" if test else "else" for test, _ in ways)
        return "; ".join(f"{value} {case}" for value, case in zip(values, cases, strict=True))

    def _limits(self) -> Iterator[Fact]:
        """Yield the limits of parameters, which a signature does not show."""
        for command in (self._program.create, *self._program.actions):
            action = self._action(command)
            for parameter, type in command.params.items():
                if type.required.limits is not None:
                    name = self._names.argument(action, parameter)
                    subject = f"the limits of {name} in {action}"
                    yield Fact(subject, spelled(type), changed="limits-changed")

    def _action(self, command: Command) -> str:
        """Return today's name of a command."""
        is_create = command is self._program.create
        return self._names.name(ACTIONS, create_word(self._machine) if is_create else command.name)

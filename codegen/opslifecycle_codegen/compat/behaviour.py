"""The behaviour of a machine as facts, by which two versions are compared."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from opslifecycle_codegen.compat.compare import Change
from opslifecycle_codegen.compat.limits import bare, spelled
from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS
from opslifecycle_codegen.ir.feeds import COMPLETIONS, fed_commands
from opslifecycle_codegen.ir.notation import notation, update_notation
from opslifecycle_codegen.ir.program import Assignment, Command, Program, named_timers
from opslifecycle_codegen.ir.times import timer_notation


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


def behaviour_changes(old: Program, new: Program) -> list[Change]:
    """Return the changes that callers notice, except those that the locks show."""
    before = {fact.subject: fact for fact in _facts(old)}
    after = {fact.subject: fact for fact in _facts(new)}
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
    return found


def _facts(program: Program) -> Iterator[Fact]:
    for command in (program.create, *program.actions):
        yield from _command(command)
    yield from _methods(program)
    machine = program.machine
    checks = {check.guard: check for command in _guarded(program) for check in command.guards}
    for name, check in checks.items():
        # The legal statuses of an action represent its test of the status.
        if name and name != LEGAL_STATUS:
            yield Fact(f"the guard {name}", check.condition, "", "", "guard-changed")
    for name, rejection in machine.errors.items():
        facts = ", ".join(f"{n}: {bare(t)}" for n, t in program.error_fields[name].items())
        signature = f"{rejection.class_}({facts})"
        yield Fact(
            f"the rejection {name}", signature, "rejection-added", "rejection-removed",
            "rejection-changed",
        )  # fmt: skip
    steps = [
        f"{f'if {notation(step.test)}: ' if step.test else ''}{_updates(step.updates)}"
        f" effects {', '.join(step.effects) or 'none'}"
        for step in program.on_terminal
    ]
    yield Fact("what every end does", "; ".join(steps) or "nothing", "", "", "end-changed")
    for name, setting in machine.settings.items():
        default = str(setting.default)
        yield Fact(f"the default of {name}", default, "", "setting-removed", "default-changed")
    yield from _past_and_future(program)
    recovery = program.recovery
    if recovery is not None:
        does = "nothing"
        if recovery.command is not None:
            outcome = recovery.command.command.outcome
            does = f"{recovery.command.action} as {notation(outcome) if outcome else 'its status'}"
        yield Fact(
            "recovery", f"{does}, keeps {notation(recovery.persist_if)}", "recovery-added",
            "recovery-removed", "recovery-changed",
        )  # fmt: skip
    if program.work is not None:
        for word, call in program.work.calls.items():
            told = f"{call.method}({', '.join(map(notation, call.arguments))})"
            yield Fact(f"the work's {word}", told, "work-added", "work-removed", "work-changed")
        given = ", ".join(f"{name}: {type}" for name, type in program.work.given.items())
        yield Fact("what callers give for work", given or "nothing", "", "", "work-given")
    for rule in (*program.invariants, *program.transition_invariants):
        prop = f"the property {rule.name}"
        yield Fact(
            prop, notation(rule.tree), "property-added", "property-removed", "property-changed"
        )


def _past_and_future(program: Program) -> Iterator[Fact]:
    """Yield what is remembered of transitions, and what happens by itself."""
    machine = program.machine
    if machine.feed is not None:
        fed = ", ".join(sorted(fed_commands(machine))) or COMPLETIONS
        yield Fact("what enters the feed", fed, "", "", "feed-changed")
    if machine.history is not None:
        params = ", ".join(machine.history.params) or "nothing"
        kept = f"the last {machine.history.last} with {params}"
        yield Fact("what a history keeps", kept, "", "", "history-changed")
    for name, timers in named_timers(program.timers).items():
        for status in dict.fromkeys(each for timer in timers for each in timer.statuses):
            due = [timer_notation(timer) for timer in timers if status in timer.statuses]
            yield Fact(
                f"the timer {name} in {status}", " and ".join(due), "timer-added",
                "timer-removed", "timer-changed",
            )  # fmt: skip


def _guarded(program: Program) -> Iterator[Command]:
    removing = (program.rollback, program.erase, program.watch)
    yield from (program.create, *program.actions)
    yield from (command for command in removing if command is not None)


def _command(command: Command) -> Iterator[Fact]:
    name = f"the action {command.name}"
    yield Fact(name, "", "action-added", "action-removed", "")
    for status in command.from_statuses:
        yield Fact(f"{name} from {status}", "legal", "status-allowed", "status-refused", "")
    for status in command.idempotent_in:
        subject = f"{name} in {status} as done already"
        yield Fact(subject, "", "idempotence-added", "idempotence-removed", "")
    yield Fact(f"where {name} leads", command.to or "nowhere", "", "", "target-changed")
    guards = ", ".join(check.guard for check in command.guards)
    yield Fact(f"what {name} is checked for", guards or "nothing", "", "", "checks-changed")
    yield Fact(f"what {name} sets", _updates(command.updates), "", "", "update-changed")
    effects = ", ".join(command.effects) or "none"
    yield Fact(f"the effects of {name}", effects, "", "", "effects-changed")
    when = "deferred" if command.deferred else "durable when the call returns"
    yield Fact(f"the write of {name}", when, "", "", "durability-changed")
    outcome = notation(command.outcome) if command.outcome else "none"
    yield Fact(f"the outcome of {name}", outcome, "", "", "outcome-changed")


def _updates(updates: tuple[Assignment, ...]) -> str:
    return ", ".join(update_notation(u.target, u.value) for u in updates) or "nothing"


def _methods(program: Program) -> Iterator[Fact]:
    """Return the public methods with their parameters."""
    machine = program.machine
    signatures: dict[str, str] = {}
    for method, words in machine.create.methods.items():
        params = program.create.params
        signatures[str(method)] = ", ".join(f"{w}: {bare(params[str(w)])}" for w in words)
    for action in program.actions:
        declared = next(a for n, a in machine.actions.items() if n == action.name)
        parameters = ", ".join(["id", *(f"{n}: {bare(t)}" for n, t in action.params.items())])
        signatures.update(dict.fromkeys(map(str, declared.methods), parameters))
    for each in program.bulk:
        parameters = ", ".join(f"{n}: {bare(t)}" for n, t in each.command.params.items())
        signatures[each.command.name] = parameters
    for rule in program.classifiers:
        parameters = ", ".join(["id", *(f"{n}: {bare(t)}" for n, t in rule.params.items())])
        signatures[rule.name] = f"{parameters}) -> ({bare(rule.type)}"
    for feature in (machine.rollback, machine.erase, machine.collect, machine.watch,
                    machine.feed, machine.history, machine.barrier, machine.snapshot,
                    machine.listing):  # fmt: skip
        if feature is not None:
            signatures[str(feature.method)] = ""
    commands = {"create": program.create, **{each.name: each for each in program.actions}}
    for name, command in commands.items():
        for parameter, type in command.params.items():
            if type.required.limits is not None:
                subject = f"the limits of {parameter} in {name}"
                yield Fact(subject, spelled(type), "", "", "limits-changed")
    for name, signature in signatures.items():
        yield Fact(
            f"the method {name}", f"({signature})", "method-added", "method-removed",
            "method-changed",
        )  # fmt: skip

"""The result of analysis: every rule of a machine, checked and typed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile

from attrs import Factory, evolve, field, frozen

from opslifecycle_codegen.base.diagnostics import Location
from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS
from opslifecycle_codegen.ir.expr import Expression, Field, Name, Refusal, Root, roots_in
from opslifecycle_codegen.ir.migrations import Migrations
from opslifecycle_codegen.ir.notation import condition_notation
from opslifecycle_codegen.ir.symbols import RecordInfo, Symbols
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.ir.views import Rule, Views
from opslifecycle_codegen.ir.work import Work
from opslifecycle_codegen.source import model


@frozen
class GuardAnalysis:
    """The analysis of guards over finite domains: the number of cases, and undecided guards."""

    decided: int
    undecided: tuple[str, ...]


@frozen
class Check:
    """A guard of a command: its `let` bindings, its condition, and the error if it is false."""

    lets: tuple[tuple[str, Expression], ...]
    test: Expression
    refusal: Refusal
    guard: str = ""
    #: The location that names the guard.
    mark: Location | None = field(default=None, eq=False, repr=False)

    @property
    def error(self) -> str:
        """The class of the error."""
        return self.refusal.error

    @property
    def condition(self) -> str:
        """The condition in the notation of the machine."""
        return condition_notation(self.lets, self.test)

    def reads(self, root: Root) -> bool:
        """Return whether the guard reads a name of this kind."""
        trees = (*(tree for _, tree in self.lets), self.test, *self.refusal.fields)
        return any(root in roots_in(tree) for tree in trees)


@frozen
class Assignment:
    """One update of a field of the registry or of the record."""

    target: Field
    value: Expression

    @property
    def of_record(self) -> bool:
        """Whether the field is the record's, not the registry's."""
        return isinstance(self.target.base, Name) and self.target.base.root is Root.RECORD


@frozen
class Command:
    """A command of the authority."""

    name: str
    label: str
    summary: str
    params: dict[str, Type]
    guards: tuple[Check, ...] = ()
    updates: tuple[Assignment, ...] = ()
    effects: tuple[str, ...] = ()
    to: str = ""
    #: The regions whose status it begins anew; None for a command that sets the whole status.
    moves: frozenset[str] | None = None
    outcome: Expression | None = None
    from_statuses: tuple[str, ...] = ()
    idempotent_in: tuple[str, ...] = ()
    #: Whether the write is deferred to the next commit, so that a crash may lose it.
    deferred: bool = False
    #: The checks that need no parameter of the command, and the names of the guards that do.
    foreseeable: tuple[Check, ...] = ()
    depends_on: tuple[str, ...] = ()
    #: What features note of the command in its record, after its updates and before its status.
    notes: tuple[Assignment, ...] = ()
    #: What it adds to the history of its record.
    entry: Expression | None = None
    #: What follows a command that finishes no record, after its status.
    steps: tuple[EndStep, ...] = ()
    #: The values of parameters that a call leaves out.
    defaults: dict[str, Expression] = field(factory=dict)
    #: The parameters that calls pass by name only.
    keywords: frozenset[str] = frozenset()
    #: What its methods return, an expression on the record that the command has changed.
    returns: Expression | None = None
    #: The targets of an action that has several. What follows its guards is theirs, not its own.
    targets: tuple[Target, ...] = ()

    @property
    def ways(self) -> tuple[Command, ...]:
        """The command, or in its place a command for each of its targets."""
        return tuple(target.way for target in self.targets) or (self,)

    @property
    def shared_updates(self) -> tuple[Assignment, ...]:
        """The updates with which all ways begin."""
        each = zip(*(way.updates for way in self.ways), strict=False)
        return tuple(same[0] for same in takewhile(lambda same: len(set(same)) == 1, each))

    def with_ways(self, change: Callable[[Command], Command]) -> Command:
        """Return the command with its only way changed, or with each of them."""
        if not self.targets:
            return change(self)
        return evolve(self, targets=tuple(evolve(t, way=change(t.way)) for t in self.targets))


@frozen
class Target:
    """One of several targets of an action: when it is taken, and what then follows the guards.

    All tests read the record and the registry as the guards do, before any update.
    """

    #: The declared test; None for a target that is always taken if none before it is.
    test: Expression | None
    #: The whole condition: this test holds, and none before it.
    condition: Expression
    #: What follows the guards, as a command that has none.
    way: Command
    mark: Location = field(eq=False, repr=False)


def tested_ways(command: Command) -> Iterator[tuple[Expression | None, Command]]:
    """Yield the ways of a command with the test of each; None for the one of all other cases."""
    if not command.targets:
        yield None, command
    yield from ((target.test, target.way) for target in command.targets)


def leads_to(command: Command, status: str = "") -> tuple[str, ...]:
    """Return the statuses that a command may lead to, each once; an empty one if it stays.

    With `status`, return those that it may lead to from there.
    """
    ways = (way for way in command.ways if not status or status in way.from_statuses)
    return tuple(dict.fromkeys(way.to for way in ways))


def updates_of(command: Command) -> Iterator[Assignment]:
    """Yield everything that a command itself sets: its updates, and what features add."""
    for way in command.ways:
        yield from way.updates
        yield from way.notes
        for step in way.steps:
            yield from step.updates


@frozen
class BarrierAdmission:
    """The checks of a new barrier: guards, then (check, error) in order."""

    first: tuple[Check, ...]
    refusals: tuple[tuple[str, Refusal], ...]


@frozen
class EndStep:
    """A step of every terminal action; `test` is None for an unconditional step."""

    test: Expression | None
    updates: tuple[Assignment, ...]
    effects: tuple[str, ...]


@frozen
class UniqueKey:
    """A key that no two records share, if none of its fields is None."""

    name: str
    summary: str
    fields: dict[str, Type]
    #: Whether only live records hold their keys.
    of_live: bool

    @property
    def key_type(self) -> str:
        """The type of a key in Python."""
        types = [type.python for type in self.fields.values()]
        return types[0] if len(types) == 1 else f"tuple[{', '.join(types)}]"


@frozen
class Bulk:
    """A command of the whole registry."""

    command: Command
    #: What ends every live record; empty if records stay as they are.
    action: str
    unless: Expression | None
    updates: tuple[Assignment, ...]
    optional: bool
    #: The arguments of its action that callers do not pass.
    given: dict[str, Expression] = field(factory=dict)


@frozen
class Choice:
    """A method that asks for the first of several actions that is legal."""

    name: str
    summary: str
    #: The actions, each with the statuses in which it is asked for; elsewhere that is the first.
    actions: tuple[tuple[Command, tuple[str, ...]], ...]
    #: What it returns, whichever action was chosen.
    returns: Expression | None = None

    @property
    def first(self) -> Command:
        """The first action, whose parameters all have."""
        return self.actions[0][0]

    def chosen(self, status: str) -> Command:
        """Return the action that is asked for in a status; without a record, it is empty."""
        found = (action for action, statuses in self.actions if status in statuses)
        return next(found, self.first)


@frozen
class Timer:
    """An action that the shell asks for when it is due, while a record has one of some statuses."""

    statuses: tuple[str, ...]
    #: When it is due, in milliseconds since the Unix epoch; None for a record without a deadline.
    due: Expression
    action: str
    given: dict[str, Expression]
    #: How long after its status began it is due, in milliseconds; 0 for one that a field dates.
    after_ms: int = 0
    #: The field with the time at which that status began, or the region's.
    since: str = ""
    #: The region whose status it is about; None for the whole status.
    region: str | None = None


def returning(program: Program) -> Iterator[tuple[str, Command, Expression]]:
    """Yield what returns a value: an action, or a method over several, with its first action."""
    for action in program.actions:
        if action.returns is not None:
            yield action.name, action, action.returns
    for choice in program.choices:
        if choice.returns is not None:
            yield choice.name, choice.first, choice.returns


#: What the names of timers begin with, where they stand beside methods.
TIMER_PREFIX = "timer_"


def named_timers(timers: Iterable[Timer]) -> dict[str, list[Timer]]:
    """Return timers by the names that searches and scenarios give them.

    Those that ask for the same have one name; a number tells the arguments of an action apart.
    """
    found: dict[str, list[Timer]] = {}
    for timer in timers:
        number, name = 1, f"{TIMER_PREFIX}{timer.action}"
        while name in found and found[name][0].given != timer.given:
            number += 1
            name = f"{TIMER_PREFIX}{timer.action}_{number}"
        found.setdefault(name, []).append(timer)
    return found


@frozen
class Recovery:
    """The stored part, and the command that ends interrupted records, if one is declared.

    Records for which `stays` is true stay live.
    """

    persist_if: Expression
    command: Bulk | None
    stays: Expression | None
    fields: dict[str, Expression]


@frozen
class Retention:
    """The eviction from a feed that has more entries than `max_entries`."""

    max_entries: Expression
    #: Whether the record of an evicted entry is erased as well.
    evicts_records: bool
    #: Whether entries are retained until every cursor has passed them.
    held_by_cursors: bool


@frozen
class Program:
    """An analysed machine, ready for lowering."""

    machine: model.Machine
    symbols: Symbols
    create: Command
    create_id: Expression
    initial: dict[str, Expression]
    actions: tuple[Command, ...]
    on_terminal: tuple[EndStep, ...]
    choices: tuple[Choice, ...]
    bulk: tuple[Bulk, ...]
    timers: tuple[Timer, ...]
    unique: tuple[UniqueKey, ...]
    rollback: Command | None
    erase: Command | None
    collect: Command | None
    watch: Command | None
    cursors: Command | None
    barrier: BarrierAdmission | None
    retention: Retention | None
    recovery: Recovery | None
    work: Work | None
    views: Views
    classifiers: tuple[Rule, ...]
    invariants: tuple[Rule, ...]
    transition_invariants: tuple[Rule, ...]
    always: dict[tuple[str, str], Expression]
    #: The defaults of fields of values, by the value and the field.
    field_defaults: dict[tuple[str, str], Expression]
    registry_initial: dict[str, Expression]
    error_fields: dict[str, dict[str, Type]]
    migrations: Migrations
    guard_analysis: GuardAnalysis | None = None
    #: The stored fields of the registry that count live records, each with the increment of one.
    counters: dict[str, int] = Factory(dict)

    def outcome_type(self) -> Type:
        """Return the type of outcomes, which waiters receive."""
        return self.symbols.entity_fields["terminal_outcome"].required

    def discards(self) -> str:
        """The method that can discard all interrupted records; empty if a guard could reject it."""
        declared = self.machine.rollback
        if declared is None or self.rollback is None:
            return ""
        everywhere = set(self.rollback.from_statuses) == set(self.symbols.status_groups["live"])
        own = {check.guard for check in self.rollback.guards} - self.usual_guards()
        return str(declared.method) if everywhere and not own else ""

    def writes_state(self, bulk: Bulk) -> bool:
        """Return whether a command for all records changes what is stored of the registry."""
        recovered = self.recovery.fields if self.recovery is not None else {}
        stored = set(self.machine.registry) - set(recovered) if self.recovery else set()
        updated = (each.target.name for each in bulk.updates if not each.of_record)
        return any(name in stored for name in updated)

    def usual_guards(self) -> frozenset[str]:
        """Return the guards of an action that declares none of its own."""
        machine = self.machine
        names = map(str, (*machine.global_guards, *machine.default_guards))
        return frozenset({LEGAL_STATUS, *names})

    def record(self, name: str) -> RecordInfo:
        """Return the declaration of a value or a variant."""
        return self.symbols.records[name]

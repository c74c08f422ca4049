"""What analysis gives to everything after it: every rule of the machine, checked and typed."""

from __future__ import annotations

from attrs import field, frozen

from opslifecycle_codegen.base.diagnostics import Location
from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS
from opslifecycle_codegen.ir.expr import Expression, Field, Name, Refusal, Root, roots_in
from opslifecycle_codegen.ir.migrations import Migrations
from opslifecycle_codegen.ir.notation import condition_notation
from opslifecycle_codegen.ir.symbols import RecordInfo, Symbols, ViewInfo
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.source import model


@frozen
class GuardAnalysis:
    """How much was decided by trying every case, and what could not be."""

    decided: int
    undecided: tuple[str, ...]


@frozen
class Check:
    """One guard in its place: locals to bind, what has to hold, and how it is refused otherwise."""

    lets: tuple[tuple[str, Expression], ...]
    test: Expression
    refusal: Refusal
    guard: str = ""
    #: Where the guard is named in the machine file.
    mark: Location | None = field(default=None, eq=False, repr=False)

    @property
    def error(self) -> str:
        """The class of the error."""
        return self.refusal.error

    @property
    def condition(self) -> str:
        """What has to hold, in the notation of the machine."""
        return condition_notation(self.lets, self.test)

    def reads(self, root: Root) -> bool:
        """Return whether any of it reads something."""
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
    """One command that the authority decides."""

    name: str
    label: str
    summary: str
    params: dict[str, Type]
    guards: tuple[Check, ...] = ()
    updates: tuple[Assignment, ...] = ()
    effects: tuple[str, ...] = ()
    to: str = ""
    outcome: Expression | None = None
    from_statuses: tuple[str, ...] = ()
    idempotent_in: tuple[str, ...] = ()
    #: Whether the write waits for the next commit: a crash may lose it.
    deferred: bool = False
    #: The checks that can be made without what the command takes, and the guards that cannot.
    foreseeable: tuple[Check, ...] = ()
    depends_on: tuple[str, ...] = ()


@frozen
class BarrierAdmission:
    """What a barrier is checked for: guards, then (check, refusal) in order."""

    first: tuple[Check, ...]
    refusals: tuple[tuple[str, Refusal], ...]


@frozen
class EndStep:
    """One step of what every terminal action does; `test` is None when it always happens."""

    test: Expression | None
    updates: tuple[Assignment, ...]
    effects: tuple[str, ...]


@frozen
class Bulk:
    """A command that ends every live record."""

    command: Command
    action: str
    unless: Expression | None
    updates: tuple[Assignment, ...]
    optional: bool
    #: What its action is given for parameters that the caller does not pass.
    given: dict[str, Expression] = field(factory=dict)


@frozen
class Recovery:
    """What a store keeps, and the command that ends what was interrupted, if anything does."""

    persist_if: Expression
    command: Bulk | None
    fields: dict[str, Expression]


@frozen
class Retention:
    """What leaves a feed that has more entries than `max_entries`."""

    max_entries: Expression
    #: Whether the record that wrote an entry leaves with it.
    evicts_records: bool
    #: Whether an entry stays until every cursor has passed it.
    held_by_cursors: bool


@frozen
class Rule:
    """An invariant, a step property or a classifier."""

    name: str
    summary: str
    tree: Expression
    params: dict[str, Type]

    @property
    def type(self) -> Type:
        """The type of what it gives."""
        return self.tree.type


@frozen
class Views:
    """The views of a record: their fields in order, and what reading them needs."""

    snapshot: tuple[tuple[ViewInfo, Expression], ...]
    entry: tuple[tuple[ViewInfo, Expression], ...]
    entry_needs: tuple[str, ...]
    order: tuple[Expression, ...]
    filters: tuple[tuple[str, Type, Expression], ...]


@frozen
class Program:
    """A whole machine, ready to be lowered."""

    machine: model.Machine
    symbols: Symbols
    create: Command
    create_id: Expression
    initial: dict[str, Expression]
    actions: tuple[Command, ...]
    on_terminal: tuple[EndStep, ...]
    bulk: tuple[Bulk, ...]
    rollback: Command | None
    erase: Command | None
    collect: Command | None
    watch: Command | None
    cursors: Command | None
    barrier: BarrierAdmission | None
    retention: Retention | None
    recovery: Recovery | None
    views: Views
    classifiers: tuple[Rule, ...]
    invariants: tuple[Rule, ...]
    transition_invariants: tuple[Rule, ...]
    always: dict[tuple[str, str], Expression]
    registry_initial: dict[str, Expression]
    error_fields: dict[str, dict[str, Type]]
    migrations: Migrations
    guard_analysis: GuardAnalysis | None = None

    def outcome_type(self) -> Type:
        """Return what an ended record gives to those who wait for it."""
        return self.symbols.entity_fields["terminal_outcome"].required

    def discards(self) -> str:
        """The method that can erase whatever was interrupted; empty if some of it could refuse."""
        declared = self.machine.rollback
        if declared is None or self.rollback is None:
            return ""
        everywhere = set(self.rollback.from_statuses) == set(self.symbols.status_groups["live"])
        own = {check.guard for check in self.rollback.guards} - self.usual_guards()
        return str(declared.method) if everywhere and not own else ""

    def usual_guards(self) -> frozenset[str]:
        """Return the guards of an action that declares none of its own."""
        machine = self.machine
        names = map(str, (*machine.global_guards, *machine.default_guards))
        return frozenset({LEGAL_STATUS, *names})

    def record(self, name: str) -> RecordInfo:
        """Return what is known of a value or a variant, by its name."""
        return self.symbols.records[name]

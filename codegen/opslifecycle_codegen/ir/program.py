"""What analysis gives to lowering: every rule of the machine, checked and compiled to code."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.compat.migrations import Migrations
from opslifecycle_codegen.emit.layout import Code
from opslifecycle_codegen.ir.symbols import RecordInfo, Symbols, ViewInfo
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.source import model


@frozen
class Judged:
    """How much was decided by trying every case, and what could not be."""

    decided: int
    undecided: tuple[str, ...]


@frozen
class Check:
    """One guard in its place: locals to bind, when to refuse, and with what."""

    lets: tuple[tuple[str, Code], ...]
    refuse_if: Code
    refusal: Code
    error: str
    reads_record: bool
    guard: str = ""


@frozen
class Assignment:
    """One update: `target operator code`."""

    target: str
    operator: str
    code: Code


@frozen
class Command:
    """One command that the authority decides."""

    name: str
    label: str
    summary: str
    params: dict[str, Type]
    checks: tuple[Check, ...] = ()
    updates: tuple[Assignment, ...] = ()
    effects: tuple[str, ...] = ()
    to: str = ""
    outcome: Code | None = None
    from_statuses: tuple[str, ...] = ()
    idempotent_in: tuple[str, ...] = ()
    #: Whether the write waits for the next commit: a crash may lose it.
    deferred: bool = False
    #: The checks that can be made without what the command takes, and the guards that cannot.
    foreseeable: tuple[Check, ...] = ()
    depends_on: tuple[str, ...] = ()


@frozen
class BarrierAdmission:
    """What a barrier is checked for: guards, then (check, refusal, error class) in order."""

    first: tuple[Check, ...]
    refusals: tuple[tuple[str, Code, str], ...]


@frozen
class EndStep:
    """One step of what every terminal action does; `test` is empty when it always happens."""

    test: str
    updates: tuple[Assignment, ...]
    effects: tuple[str, ...]


@frozen
class ForAll:
    """A command that ends every live record."""

    command: Command
    action: str
    unless: Code | None
    updates: tuple[Assignment, ...]
    optional: bool


@frozen
class Recovery:
    """What a store keeps, and the command that ends what was interrupted, if anything does."""

    keeps: Code
    command: ForAll | None
    fields: dict[str, Code]


@frozen
class Retention:
    """What leaves a feed that has more entries than `max_entries`."""

    max_entries: Code
    #: Whether the record that wrote an entry leaves with it.
    evicts_records: bool
    #: Whether an entry stays until every cursor has passed it.
    held_by_cursors: bool


@frozen
class Rule:
    """An invariant, a step property or a classifier."""

    name: str
    summary: str
    code: Code
    type: Type
    params: dict[str, Type]
    uses: frozenset[str]


@frozen
class Views:
    """The views of a record: their fields in order, and what reading them needs."""

    snapshot: tuple[tuple[ViewInfo, Code], ...]
    entry: tuple[tuple[ViewInfo, Code], ...]
    entry_needs: tuple[str, ...]
    order: tuple[Code, ...]
    filters: tuple[tuple[str, Type, Code], ...]


@frozen
class Program:
    """A whole machine, ready to be lowered."""

    machine: model.Machine
    symbols: Symbols
    create: Command
    create_id: Code
    starts: dict[str, Code]
    #: The names that the start of each field reads, as the machine writes them.
    start_reads: dict[str, frozenset[str]]
    actions: tuple[Command, ...]
    on_terminal: tuple[EndStep, ...]
    for_all: tuple[ForAll, ...]
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
    steps: tuple[Rule, ...]
    always: dict[tuple[str, str], Code]
    registry_starts: dict[str, Code]
    facts: dict[str, dict[str, Type]]
    migrations: Migrations
    judged: Judged | None = None

    def outcome_type(self) -> Type:
        """What an ended record gives to those who wait for it."""
        return self.symbols.entity_fields["terminal_outcome"].required

    def discards(self) -> str:
        """The method that can erase whatever was interrupted; empty if some of it could refuse."""
        declared = self.machine.rollback
        if declared is None or self.rollback is None:
            return ""
        everywhere = set(self.rollback.from_statuses) == set(self.symbols.status_groups["live"])
        own = set(declared.checks or ()) - set(self.machine.checks)
        return str(declared.method) if everywhere and not own else ""

    def record(self, name: str) -> RecordInfo:
        return self.symbols.records[name]

"""The grammar of machine files: one class for each section."""

from __future__ import annotations

from typing import ClassVar

from attrs import Factory, field, frozen

from opslifecycle_codegen.source.command_model import (
    Action,
    Bulk,
    Collect,
    Create,
    Effect,
    Erase,
    Guard,
    Method,
    Parent,
    Refusal,
    Rejection,
    Rollback,
    Step,
    Unique,
)
from opslifecycle_codegen.source.property_model import (
    Eventually,
    Invariant,
    Migration,
    Scenario,
    Waiver,
)
from opslifecycle_codegen.source.reader import Node
from opslifecycle_codegen.source.timer_model import History, Timers
from opslifecycle_codegen.source.type_model import Enum, IdType, Property, RefinedType, Value
from opslifecycle_codegen.source.view_model import Classifier, FeedEntry, Listing, Snapshot
from opslifecycle_codegen.source.words import (
    NOWHERE,
    REST,
    UNLESS,
    Declared,
    Expr,
    GuardUse,
    Name,
    NameList,
    Number,
    Text,
    TypeExpr,
    TypeName,
)
from opslifecycle_codegen.source.work_model import Work


@frozen(kw_only=True)
class Names(Declared):
    """Public class names. An omitted name is derived from the entity's name."""

    interface: TypeName | None = None
    registry: TypeName | None = None
    async_registry: TypeName | None = None
    base: TypeName | None = None
    snapshot: TypeName | None = None
    watch: TypeName | None = None
    status: TypeName | None = None
    effect: TypeName | None = None
    action: TypeName | None = None
    record: TypeName | None = None
    authority: TypeName | None = None


@frozen(kw_only=True)
class Status(Declared):
    """A status of a record; a `milestone` announces itself as a terminal status does.

    No record has a `pseudo` status; classifiers return them.
    """

    summary: Text
    terminal: bool = False
    milestone: bool = False
    pseudo: bool = False
    entry: list[Name] = Factory(list)
    exit: list[Name] = Factory(list)
    properties: dict[Name, Node] = field(factory=dict, metadata=REST)


@frozen(kw_only=True)
class Group(Declared):
    """Several statuses or groups by one name; what leads to the group enters `initial`."""

    shorthand: ClassVar[str] = "members"

    members: list[Name]
    initial: Name | None = None


@frozen(kw_only=True)
class Region(Declared):
    """A part of a record's status, which changes independently of those of other regions."""

    summary: Text
    initial: Name
    members: dict[Name, Status]


@frozen(kw_only=True)
class Statuses(Declared):
    """The statuses, their properties, named groups of them, and regions that are orthogonal."""

    members: dict[Name, Status] = field(factory=dict, metadata={UNLESS: "regions"})
    regions: dict[Name, Region] = Factory(dict)
    properties: dict[Name, Property] = Factory(dict)
    groups: dict[Name, Group] = Factory(dict)


@frozen(kw_only=True)
class EntityField(Declared):
    """A field of a record: its type, and its initial value or the event that stamps it."""

    shorthand: ClassVar[str] = "type"

    type: TypeExpr
    initial: Expr | None = None
    stamped: Name | None = None


@frozen(kw_only=True)
class Setting(Declared):
    """A keyword parameter of the registry's constructor."""

    summary: Text
    type: TypeExpr
    default: Number | None = None
    at_least: Number | None = None


@frozen(kw_only=True)
class RegistryField(Declared):
    """A field of the registry."""

    type: TypeExpr
    initial: Expr
    summary: Text
    recovered_as: Expr | None = None


@frozen(kw_only=True)
class Watch(Declared):
    """A method that waits for one record to reach a terminal status."""

    summary: Text
    method: Name
    guards: list[GuardUse]


#: The default name of the registry's counter of sequence numbers.
LAST_SEQUENCE = Name("last_sequence", NOWHERE)


#: What enters a feed by default: records that finish.
COMPLETIONS = NameList((Name("completions", NOWHERE),))


@frozen(kw_only=True)
class Feed(Declared):
    """A feed in order: finished records; or every transition, or those of some actions (`of`)."""

    summary: Text
    method: Name
    epoch: TypeName
    batch: TypeName
    entry: FeedEntry
    of: NameList = COMPLETIONS
    counter: Name = LAST_SEQUENCE
    when: Expr | None = None


@frozen(kw_only=True)
class Archive(Declared):
    """Where evicted records stay: in the store only, read by `get` and in order by `since`."""

    summary: Text
    get: Name
    since: Name


@frozen(kw_only=True)
class Retention(Declared):
    """The eviction of the oldest entries of a feed that has more than `max_entries` entries."""

    evict: Name
    max_entries: Expr
    beyond_cursors: bool = False
    archive: Archive | None = None


@frozen(kw_only=True)
class Cursors(Declared):
    """A position in the feed for each consumer."""

    consumer: TypeName
    get: Name
    advance: Name
    beyond: Refusal
    cache: TypeName | None = None


@frozen(kw_only=True)
class Barrier(Declared):
    """A method that waits for a set of records."""

    summary: Text
    method: Name
    key: dict[Name, TypeExpr]
    active_per_key_max: int
    request_id: TypeName
    wait: TypeName
    result: TypeName
    token: TypeName
    guards: list[dict[Name, Refusal]]


@frozen(kw_only=True)
class Recovery(Declared):
    """Persistence and recovery. Without `do`, or where `unless` is true, live records stay live."""

    persist_if: Expr
    do: Name | None = None
    unless: Expr | None = None
    with_: dict[Name, Expr] = Factory(dict)


@frozen(kw_only=True)
class Machine(Declared):
    """One machine file."""

    machine: Name
    version: int
    entity: Name
    summary: Text
    ids: dict[TypeName, IdType]
    statuses: Statuses
    create: Create
    actions: dict[Name, Action]
    snapshot: Snapshot
    errors: dict[Name, Rejection]
    guards: dict[Name, Guard]
    illegal_transition: Refusal
    names: Names | None = None
    status: Name | None = None
    types: dict[TypeName, RefinedType] = Factory(dict)
    enums: dict[TypeName, Enum] = Factory(dict)
    values: dict[TypeName, Value] = Factory(dict)
    fields: dict[Name, EntityField] = Factory(dict)
    unique: dict[Name, Unique] = Factory(dict)
    parent: Parent | None = None
    settings: dict[Name, Setting] = Factory(dict)
    registry: dict[Name, RegistryField] = Factory(dict)
    effects: dict[Name, Effect] = Factory(dict)
    global_guards: list[GuardUse] = Factory(list)
    default_guards: list[GuardUse] = Factory(list)
    methods: dict[Name, Method] = Factory(dict)
    on_terminal: list[Step] = Factory(list)
    after: dict[Name, Timers] = Factory(dict)
    bulk: dict[Name, Bulk] = Factory(dict)
    rollback: Rollback | None = None
    erase: Erase | None = None
    collect: Collect | None = None
    watch: Watch | None = None
    feed: Feed | None = None
    history: History | None = None
    retention: Retention | None = None
    discard_when: Expr | None = None
    cursors: Cursors | None = None
    barrier: Barrier | None = None
    listing: Listing | None = None
    recovery: Recovery | None = None
    work: Work | None = None
    classifiers: dict[Name, Classifier] = Factory(dict)
    invariants: dict[Name, Invariant] = Factory(dict)
    transition_invariants: dict[Name, Invariant] = Factory(dict)
    eventually: dict[Name, Eventually] = Factory(dict)
    scenarios: dict[Name, Scenario] = Factory(dict)
    migrations: dict[Text, Migration] = Factory(dict)
    waivers: list[Waiver] = Factory(list)

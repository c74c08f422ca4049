"""What a machine file may say, section by section: these classes are the grammar."""

from __future__ import annotations

from typing import ClassVar

from attrs import Factory, field, frozen

from opslifecycle_codegen.source.reader import Node
from opslifecycle_codegen.source.type_model import Enum, IdType, Property, Value
from opslifecycle_codegen.source.words import (
    NOWHERE,
    REST,
    Declared,
    Expr,
    Name,
    Text,
    TypeExpr,
    TypeName,
    Words,
)


@frozen(kw_only=True)
class Names(Declared):
    """Public class names; `None` stands for the one made from the entity's name."""

    seam: TypeName | None = None
    registry: TypeName | None = None
    async_registry: TypeName | None = None
    reads: TypeName | None = None
    snapshot: TypeName | None = None
    watch: TypeName | None = None
    status: TypeName | None = None
    effect: TypeName | None = None
    action: TypeName | None = None
    record: TypeName | None = None
    authority: TypeName | None = None


@frozen(kw_only=True)
class Waiver(Declared):
    """A judgement of the compiler that is known and meant."""

    rule: Text
    of: Text
    because: Text


@frozen(kw_only=True)
class Status(Declared):
    summary: Text
    terminal: bool = False
    pseudo: bool = False
    properties: dict[Name, Node] = field(factory=dict, metadata=REST)


@frozen(kw_only=True)
class Statuses(Declared):
    members: dict[Name, Status]
    properties: dict[Name, Property] = Factory(dict)
    groups: dict[Name, list[Name]] = Factory(dict)


@frozen(kw_only=True)
class EntityField(Declared):
    shorthand: ClassVar[str] = "type"

    type: TypeExpr
    starts: Expr | None = None
    stamped: Name | None = None


@frozen(kw_only=True)
class Setting(Declared):
    summary: Text
    type: TypeExpr
    default: int | None = None
    at_least: int = 0


@frozen(kw_only=True)
class RegistryField(Declared):
    type: TypeExpr
    starts: Expr
    summary: Text
    recovered_as: Expr | None = None


@frozen(kw_only=True)
class Rejection(Declared):
    error: TypeName
    says: Text
    facts: dict[Name, TypeExpr] = Factory(dict)


@frozen(kw_only=True)
class Refusal(Declared):
    """The rejection that a check gives: its name, and an expression for each fact."""

    name: Name
    facts: dict[Name, Expr] = Factory(dict)


@frozen(kw_only=True)
class Guard(Declared):
    when: Expr
    otherwise: Refusal
    let: dict[Name, Expr] = Factory(dict)


@frozen(kw_only=True)
class Effect(Declared):
    """Something that the program does once an action is kept.

    `attempts` says how many deliveries of a message may fail before it is a dead letter.
    """

    summary: Text
    attempts: int = 25


@frozen(kw_only=True)
class Create(Declared):
    summary: Text
    methods: dict[Name, list[Name]]
    takes: dict[Name, TypeExpr]
    id: Expr
    to: Name
    checks: list[Name] = Factory(list)
    optional_methods: list[Name] = Factory(list)
    update: dict[Text, Expr] = Factory(dict)
    effects: list[Name] = Factory(list)


@frozen(kw_only=True)
class Action(Declared):
    summary: Text
    from_: Words
    methods: list[Name] = Factory(list)
    label: Name | None = None
    takes: dict[Name, TypeExpr] = Factory(dict)
    checks: list[Name] | None = None
    to: Name | None = None
    outcome: Expr | None = None
    update: dict[Text, Expr] = Factory(dict)
    effects: list[Name] = Factory(list)
    idempotent_in: Words = Factory(Words)
    deferred: bool = False


@frozen(kw_only=True)
class Step(Declared):
    if_: Expr | None = None
    update: dict[Text, Expr] = Factory(dict)
    effects: list[Name] = Factory(list)


@frozen(kw_only=True)
class ForAllLive(Declared):
    summary: Text
    do: Name
    unless: Expr | None = None
    update: dict[Text, Expr] = Factory(dict)
    optional: bool = False


@frozen(kw_only=True)
class Rollback(Declared):
    summary: Text
    method: Name
    from_: Words
    checks: list[Name] | None = None
    update: dict[Text, Expr] = Factory(dict)
    effects: list[Name] = Factory(list)


@frozen(kw_only=True)
class Collect(Declared):
    summary: Text
    method: Name


#: Where a record is erased from, unless the machine says otherwise.
TERMINAL = Words((Name("terminal", NOWHERE),))


@frozen(kw_only=True)
class Erase(Declared):
    """The erasing of one record in a terminal status."""

    summary: Text
    method: Name
    from_: Words = TERMINAL
    checks: list[Name] | None = None
    effects: list[Name] = Factory(list)


@frozen(kw_only=True)
class Watch(Declared):
    summary: Text
    method: Name
    checks: list[Name]


@frozen(kw_only=True)
class ViewField(Declared):
    shorthand: ClassVar[str] = "is_"

    is_: Expr
    json: Name | None = None


@frozen(kw_only=True)
class FeedEntry(Declared):
    name: TypeName
    summary: Text
    fields: dict[Name, ViewField]


#: What the registry's counter of sequence numbers is called, unless the machine says otherwise.
LAST_SEQUENCE = Name("last_sequence", NOWHERE)


@frozen(kw_only=True)
class Feed(Declared):
    summary: Text
    method: Name
    epoch: TypeName
    batch: TypeName
    entry: FeedEntry
    counter: Name = LAST_SEQUENCE
    when: Expr | None = None


@frozen(kw_only=True)
class Retention(Declared):
    """What leaves when the feed has more entries than `max_entries`; first in, first out."""

    evict: Name
    max_entries: Expr
    beyond_cursors: bool = False


@frozen(kw_only=True)
class Cursors(Declared):
    consumer: TypeName
    get: Name
    advance: Name
    beyond: Refusal
    cache: TypeName | None = None


@frozen(kw_only=True)
class Barrier(Declared):
    summary: Text
    method: Name
    key: dict[Name, TypeExpr]
    active_per_key_max: int
    request_id: TypeName
    wait: TypeName
    result: TypeName
    token: TypeName
    checks: list[dict[Name, Refusal]]


@frozen(kw_only=True)
class Snapshot(Declared):
    summary: Text
    method: Name
    fields: dict[Name, ViewField]
    json: Name | None = None


@frozen(kw_only=True)
class Listing(Declared):
    summary: Text
    method: Name
    order: list[Expr]
    filters: dict[Name, Expr] = Factory(dict)


@frozen(kw_only=True)
class Classifier(Declared):
    summary: Text
    gives: Expr
    takes: dict[Name, TypeExpr] = Factory(dict)


@frozen(kw_only=True)
class Recovery(Declared):
    """What a store keeps; without `do`, what was live when its process was gone stays live."""

    keeps: Expr
    do: Name | None = None
    with_: dict[Name, Expr] = Factory(dict)


@frozen(kw_only=True)
class Claim(Declared):
    """An invariant of every state, or a property of every step."""

    summary: Text
    holds: Expr


@frozen(kw_only=True)
class Eventually(Declared):
    summary: Text
    from_: Words
    reaches: Words


@frozen(kw_only=True)
class Slice(Declared):
    """How much of the machine `prove` looks at: every state of so many records."""

    summary: Text
    entities: int
    keys: int = 1
    counts_max: int = 1
    settings: dict[Name, Node] = Factory(dict)
    bounds: dict[Text, int] = Factory(dict)
    takes: dict[Text, list[Text]] = Factory(dict)
    leaves_out: list[Name] = Factory(list)
    large: bool = False


@frozen(kw_only=True)
class Migration(Declared):
    """What becomes of what the version before has stored, by the name of what it is part of."""

    because: Text
    renames: dict[Text, dict[Text, Text]] = Factory(dict)
    removes: dict[Text, list[Text]] = Factory(dict)
    adds: dict[Text, dict[Text, Node]] = Factory(dict)
    refuses: bool = False
    accepts: dict[Text, Text] = Factory(dict)


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
    rejections: dict[Name, Rejection]
    guards: dict[Name, Guard]
    illegal_transition: Refusal
    names: Names | None = None
    enums: dict[TypeName, Enum] = Factory(dict)
    values: dict[TypeName, Value] = Factory(dict)
    fields: dict[Name, EntityField] = Factory(dict)
    settings: dict[Name, Setting] = Factory(dict)
    registry: dict[Name, RegistryField] = Factory(dict)
    effects: dict[Name, Effect] = Factory(dict)
    always_first: list[Name] = Factory(list)
    checks: list[Name] = Factory(list)
    on_terminal: list[Step] = Factory(list)
    for_all_live: dict[Name, ForAllLive] = Factory(dict)
    rollback: Rollback | None = None
    erase: Erase | None = None
    collect: Collect | None = None
    watch: Watch | None = None
    feed: Feed | None = None
    retention: Retention | None = None
    discard_when: Expr | None = None
    cursors: Cursors | None = None
    barrier: Barrier | None = None
    listing: Listing | None = None
    recovery: Recovery | None = None
    classifiers: dict[Name, Classifier] = Factory(dict)
    invariants: dict[Name, Claim] = Factory(dict)
    steps: dict[Name, Claim] = Factory(dict)
    eventually: dict[Name, Eventually] = Factory(dict)
    proof: dict[Name, Slice] = Factory(dict)
    migrations: dict[Text, Migration] = Factory(dict)
    waivers: list[Waiver] = Factory(list)

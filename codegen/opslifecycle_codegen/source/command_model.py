"""The grammar of commands: guards and their errors, actions, and what ends or removes records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from attrs import Factory, frozen

from opslifecycle_codegen.source.words import (
    NOWHERE,
    Declared,
    Expr,
    GuardUse,
    Name,
    NameList,
    OneOrMore,
    Text,
    TypeExpr,
    TypeName,
)


@frozen(kw_only=True)
class Rejection(Declared):
    """A typed error: its class, its attributes, and its message."""

    class_: TypeName
    message: Text
    fields: dict[Name, TypeExpr] = Factory(dict)


@frozen(kw_only=True)
class Refusal(Declared):
    """The rejection of a failed check: its name, and an expression for each of its fields."""

    name: Name
    fields: dict[Name, Expr] = Factory(dict)


#: The records of which a key is unique, by default: all that the registry holds.
ALL = Name("all", NOWHERE)


@frozen(kw_only=True)
class Unique(Declared):
    """A key that no two records share; the name is the method that finds its record."""

    summary: Text
    fields: list[Name]
    error: Refusal
    among: Name = ALL


@frozen(kw_only=True)
class Parent(Declared):
    """The field with the id of a record's parent, which is live when the record is created."""

    field: Name
    error: Refusal


@frozen(kw_only=True)
class Guard(Declared):
    """A condition of a command, and the rejection if it is false.

    Commands that use it have an expression for each of its parameters.
    """

    when: Expr
    error: Refusal
    params: dict[Name, TypeExpr] = Factory(dict)
    let: dict[Name, Expr] = Factory(dict)


@frozen(kw_only=True)
class Effect(Declared):
    """An effect that the user's program applies after the commit of an action.

    `attempts` is the number of failed deliveries after which a message is a dead letter.
    """

    summary: Text
    attempts: int = 25


@frozen(kw_only=True)
class Parameter(Declared):
    """A parameter of a method: its type, and the value of a call that leaves it out.

    A `keyword` is passed by its name only.
    """

    shorthand: ClassVar[str] = "type"

    type: TypeExpr
    default: Expr | None = None
    keyword: bool = False


#: The status of a new record where the machine does not name it: the initial ones of its regions.
UNSAID = Name("", NOWHERE)


@frozen(kw_only=True)
class Create(Declared):
    """The command that creates a record."""

    summary: Text
    methods: dict[Name, list[Name]]
    params: dict[Name, Parameter]
    id: Expr
    to: Name = UNSAID
    guards: list[GuardUse] = Factory(list)
    optional_methods: list[Name] = Factory(list)
    update: dict[Text, Expr] = Factory(dict)
    effects: list[Name] = Factory(list)


@frozen(kw_only=True)
class Target(Declared):
    """A status that an action leads to, if the targets before it do not apply and `when` holds.

    It applies in the statuses of `from`, or in all those of the action. What it declares comes
    after what the action declares. `also` leads further regions to their statuses.
    """

    shorthand: ClassVar[str] = "status"

    status: Name
    also: NameList = Factory(NameList)
    from_: NameList = Factory(NameList)
    when: Expr | None = None
    outcome: Expr | None = None
    update: dict[Text, Expr] = Factory(dict)
    effects: list[Name] = Factory(list)


class Targets(OneOrMore[Target]):
    """One target or several: the first that applies is taken."""

    __slots__ = ()
    item = Target


@frozen(kw_only=True)
class Action(Declared):
    """A command on one record: its legal statuses, and its updates."""

    summary: Text
    from_: NameList
    while_: NameList = Factory(NameList)
    methods: list[Name] = Factory(list)
    label: Name | None = None
    params: dict[Name, Parameter] = Factory(dict)
    guards: list[GuardUse] | None = None
    to: Targets = Factory(Targets)
    outcome: Expr | None = None
    update: dict[Text, Expr] = Factory(dict)
    effects: list[Name] = Factory(list)
    returns: Expr | None = None
    idempotent_in: NameList = Factory(NameList)
    deferred: bool = False

    def end(self) -> Expr | None:
        """Return the outcome of an action whose only target is terminal, if it declares one."""
        own = self.to[0].outcome if len(self.to) == 1 else None
        return own if own is not None else self.outcome

    def declared_updates(self) -> Iterator[Text]:
        """Yield what the action and its targets update."""
        yield from self.update
        for target in self.to:
            yield from target.update

    def declared_effects(self) -> Iterator[Name]:
        """Yield the effects of the action and of its targets."""
        yield from self.effects
        for target in self.to:
            yield from target.effects


@frozen(kw_only=True)
class Method(Declared):
    """A method that asks for the first of several actions that is legal in the record's status."""

    summary: Text
    actions: list[Name]
    returns: Expr | None = None


@frozen(kw_only=True)
class Step(Declared):
    """A part of every action that leads to a terminal status, with an optional condition."""

    if_: Expr | None = None
    update: dict[Text, Expr] = Factory(dict)
    effects: list[Name] = Factory(list)


@frozen(kw_only=True)
class Bulk(Declared):
    """A command of the whole registry: it changes its fields, and may end every live record."""

    summary: Text
    do: Name | None = None
    unless: Expr | None = None
    update: dict[Text, Expr] = Factory(dict)
    optional: bool = False


@frozen(kw_only=True)
class Rollback(Declared):
    """The removal of one live record, as if it had never been created."""

    summary: Text
    method: Name
    from_: NameList
    guards: list[GuardUse] | None = None
    update: dict[Text, Expr] = Factory(dict)
    effects: list[Name] = Factory(list)


@frozen(kw_only=True)
class Collect(Declared):
    """The removal of every finished record; the method returns their outcomes."""

    summary: Text
    method: Name


#: The statuses that a record is erased in by default.
TERMINAL = NameList((Name("terminal", NOWHERE),))


@frozen(kw_only=True)
class Erase(Declared):
    """The removal of one record in a terminal status."""

    summary: Text
    method: Name
    from_: NameList = TERMINAL
    guards: list[GuardUse] | None = None
    effects: list[Name] = Factory(list)

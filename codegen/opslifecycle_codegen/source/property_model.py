"""The grammar of properties, scenarios, migrations and waivers."""

from __future__ import annotations

from attrs import Factory, frozen

from opslifecycle_codegen.source.reader import Node
from opslifecycle_codegen.source.words import Declared, Expr, Name, NameList, Text


@frozen(kw_only=True)
class Invariant(Declared):
    """An invariant of every state, or a property of every step."""

    summary: Text
    expr: Expr


@frozen(kw_only=True)
class Eventually(Declared):
    """A status that must stay reachable from others."""

    summary: Text
    from_: NameList
    reaches: NameList


@frozen(kw_only=True)
class Scenario(Declared):
    """The bounds of one exhaustive search."""

    summary: Text
    entities: int
    keys: int = 1
    counts_max: int | None = None
    settings: dict[Name, Node] = Factory(dict)
    bounds: dict[Text, int] = Factory(dict)
    params: dict[Text, list[Text]] = Factory(dict)
    exclude: list[Name] = Factory(list)
    large: bool = False


@frozen(kw_only=True)
class Migration(Declared):
    """The edits of data that an older version has stored."""

    reason: Text
    renames: dict[Text, dict[Text, Text]] = Factory(dict)
    removes: dict[Text, list[Text]] = Factory(dict)
    adds: dict[Text, dict[Text, Node]] = Factory(dict)
    refuses: bool = False
    accepts: dict[Text, Text] = Factory(dict)


@frozen(kw_only=True)
class Waiver(Declared):
    """A finding of the compiler that is accepted, with the reason."""

    rule: Text
    of: Text
    reason: Text

"""The grammar of what readers see of a record: snapshots, feed entries, listings, classifiers."""

from __future__ import annotations

from typing import ClassVar

from attrs import Factory, frozen

from opslifecycle_codegen.source.command_model import Parameter
from opslifecycle_codegen.source.words import NOWHERE, Declared, Expr, Name, Text, TypeName


@frozen(kw_only=True)
class ViewField(Declared):
    """A field of a snapshot or a feed entry: an expression, and its form in JSON."""

    shorthand: ClassVar[str] = "expr"

    expr: Expr
    json: Name | None = None


@frozen(kw_only=True)
class FeedEntry(Declared):
    """The class of the feed's entries."""

    name: TypeName
    summary: Text
    fields: dict[Name, ViewField]


@frozen(kw_only=True)
class Snapshot(Declared):
    """What a reader sees of one record."""

    summary: Text
    method: Name
    fields: dict[Name, ViewField]
    json: Name | None = None


@frozen(kw_only=True)
class Listing(Declared):
    """A method that returns snapshots in an order, with filters; with `orders`, page by page."""

    summary: Text
    method: Name
    order: list[Expr]
    filters: dict[Name, Expr] = Factory(dict)
    orders: dict[Name, Expr] | None = None
    above: dict[Name, Name] = Factory(dict)
    below: dict[Name, Name] = Factory(dict)


#: What a classifier is asked of.
OF_RECORD, OF_REGISTRY = Name("record", NOWHERE), Name("registry", NOWHERE)


@frozen(kw_only=True)
class Classifier(Declared):
    """A method without side effects that answers a question about one record or the registry."""

    summary: Text
    returns: Expr
    params: dict[Name, Parameter] = Factory(dict)
    of: Name = OF_RECORD

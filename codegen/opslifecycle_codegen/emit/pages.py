"""Lowering of the pages of a listing: the orders, and the method that reads them."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.definition import tuple_argument
from opslifecycle_codegen.emit.python import Printer
from opslifecycle_codegen.emit.views import returned
from opslifecycle_codegen.ir.expr import Expression, Literal
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import PublicNames
from opslifecycle_codegen.ir.symbols import EnumInfo, MemberInfo
from opslifecycle_codegen.ir.types import BOOL, INT, Type, optional
from opslifecycle_codegen.ir.views import BY_ID, PAGE_PARAMETERS, Pages

#: What the docstring of a listing with pages says besides its summary.
DOCUMENTED = [
    "A filter or a bound that is None selects everything.",
    "A page has at most `limit` records. Its `cursor`, passed as `after` with the same order, gives"
    " the next one: a record that exists all the while is listed once. Raises InvalidValueError for"
    " a cursor of another order.",
]
#: The defaults of parameters that are not optional.
DEFAULTS: Mapping[str, Expression] = {"descending": Literal(BOOL, False)}


@frozen
class PagesView:
    """The pages of a listing as the template prints them."""

    keys: list[str]
    declared: list[str]


def pages_view(program: Program, names: PublicNames, width: int) -> PagesView | None:
    """Return the pages of a machine's listing, if it has any."""
    pages = program.views.pages
    if pages is None:
        return None
    printer = Printer(program.symbols)
    orders = [
        layout.called("", [Code(layout.quoted(name)), Code(tree.type.python)])
        for name, tree in pages.orders
    ]
    parts = [
        Code(f"id_type={names.id}"),
        Code("order_of=listing_order"),
        tuple_argument("own_types=", [Code(each.type.python) for each in program.views.order]),
        Code("keys_of=page_keys"),
        tuple_argument("orders=", orders),
    ]
    declared = layout.called("_rt.Pages", parts)
    return PagesView(
        returned([printer.code(tree) for _, tree in pages.orders], width),
        layout.statement("PAGES = ", declared, "", indent=0, width=width),
    )


def order_sets(program: Program, names: PublicNames) -> list[EnumInfo]:
    """Return the closed set of the orders of pages, if there are any; no store holds them."""
    pages = program.views.pages
    if pages is None:
        return []
    members = {BY_ID: MemberInfo(BY_ID, f"By the id of the {names.entity}.")}
    for name, tree in pages.orders:
        members[name] = MemberInfo(name, f"By {notation(tree)}, and then by the id.")
    return [EnumInfo(names.order, f"The orders in which {names.entities} are read.", members)]


def page_parameters(pages: Pages, names: PublicNames) -> dict[str, Type]:
    """Return the parameters that a listing has besides its filters."""
    types = {name: optional(type) for name, type in pages.bounds().items()}
    page = (
        optional(Type("enum", names.order)), BOOL, optional(INT),
        optional(Type("class", "_rt.PageCursor")),
    )  # fmt: skip
    return {**types, **dict(zip(PAGE_PARAMETERS, page, strict=True))}


def bound_pairs(pages: Pages) -> list[Code]:
    """Return the bounds of each order, for a tuple; none if no order has any."""
    least = {order: name for name, order in pages.above.items()}
    most = {order: name for name, order in pages.below.items()}
    if not least and not most:
        return []
    return [
        layout.called("", [Code(least.get(name, "None")), Code(most.get(name, "None"))])
        for name, _ in pages.orders
    ]


def page_call(pages: Pages, wanted: str, width: int) -> list[str]:
    """Return the statement that reads a page, given the tuple of the filters."""
    bounds = bound_pairs(pages)
    request = [Code(name) for name in PAGE_PARAMETERS]
    request += [layout.called("", bounds)] if bounds else []
    arguments = [Code(wanted), layout.called("_rt.PageRequest", request), Code("_snapshot_of")]
    whole = layout.called("return self._engine.page", arguments)
    return [line[8:] for line in layout.statement("", whole, "", indent=8, width=width)]

"""Stage 3, analyze: the order and the filters of listings, and the orders of their pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from opslifecycle_codegen.analysis.reserved import refuse_reserved
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.expr import Expression, Field, Name, Root, nodes_of
from opslifecycle_codegen.ir.initial_values import updated_fields
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.ir.views import Pages
from opslifecycle_codegen.source import model, view_model
from opslifecycle_codegen.source.words import Expr, Text
from opslifecycle_codegen.source.words import Name as Word

#: Kinds of types whose values Python can sort.
_SORTABLE = frozenset(
    {
        "bool",
        "int",
        "float",
        "str",
        "name",
        "id",
        "unknown",
        "datetime",
        "timedelta",
        "decimal",
        "bytes",
    }
)
#: Kinds of types whose values are hashable.
_HASHABLE = _SORTABLE | {"enum", "record", "union", "variant"}

Filters: TypeAlias = tuple[tuple[str, Type, Expression], ...]


def listed(
    machine: model.Machine, tree_of: Callable[[Expr], Expression], diagnostics: Diagnostics
) -> tuple[tuple[Expression, ...], Filters, Pages | None]:
    """Return the order of a machine's listing, its filters and its pages."""
    listing = machine.listing
    if listing is None:
        return (), (), None
    order = tuple(tree_of(expr) for expr in listing.order)
    _check_order(zip(listing.order, order, strict=True), diagnostics)
    filters = []
    for name, expr in listing.filters.items():
        tree = tree_of(expr)
        _check_filter(expr, tree.type, diagnostics)
        filters.append((str(name), tree.type, tree))
    pages = _pages(listing, tree_of, diagnostics)
    if machine.retention is not None and machine.retention.archive is not None:
        where = "a filter of a listing, if there is an archive"
        refuse_reserved(where, () if pages is not None else listing.filters, diagnostics)
    by_id = tree_of(Expr(f"{machine.entity}.id", listing.mark))
    if pages is None and by_id not in order:
        # Records that are equal in it follow each other by their ids, as those of pages do.
        order = (*order, by_id)
    return order, tuple(filters), pages


def _check_order(order: Iterable[tuple[Expr, Expression]], diagnostics: Diagnostics) -> None:
    """Report an order whose values cannot be sorted."""
    for expr, tree in order:
        if tree.type.kind in _SORTABLE:
            continue
        hint = "expected a bool, a number, a str, bytes, a time, a duration or an id"
        if tree.type.optional:
            hint = f"None has no place in an order: write {expr} if {expr} is not None else …"
        message = f"a listing cannot be sorted by {tree.type}"
        diagnostics.add(expr.mark, "wrong-type", message, hint)


def _check_filter(expr: Expr, type: Type, diagnostics: Diagnostics) -> None:
    """Report a filter whose values cannot be looked up."""
    if type.required.kind not in _HASHABLE:
        message = f"a listing cannot be filtered by {type}"
        diagnostics.add(expr.mark, "wrong-type", message)


def _pages(
    listing: view_model.Listing,
    tree_of: Callable[[Expr], Expression],
    diagnostics: Diagnostics,
) -> Pages | None:
    """Return the pages of a listing; None if they are not declared."""
    if listing.orders is None:
        for bounds in (listing.above, listing.below):
            for name in bounds:
                message = f"{name} is a bound of an order, and `orders` declares none"
                diagnostics.add(name.mark, "missing-key", message, "add `orders` to the listing")
        return None
    trees = {name: tree_of(expr) for name, expr in listing.orders.items()}
    _check_order(((listing.orders[name], tree) for name, tree in trees.items()), diagnostics)
    _check_names(listing, diagnostics)
    return Pages(
        tuple((str(name), tree) for name, tree in trees.items()),
        _bounds(listing, listing.above, diagnostics),
        _bounds(listing, listing.below, diagnostics),
    )


def _check_names(listing: view_model.Listing, diagnostics: Diagnostics) -> None:
    """Report reserved words, and parameters with one name."""
    parameters = (*listing.filters, *listing.above, *listing.below)
    refuse_reserved("a filter or a bound of a listing with `orders`", parameters, diagnostics)
    refuse_reserved("an order of a listing", listing.orders or (), diagnostics)
    seen: dict[str, Text] = {}
    for name in parameters:
        first = seen.setdefault(str(name), name)
        if first.mark != name.mark:
            message = f"{name} names two things: each parameter needs a name of its own"
            hint = f"the other is at line {first.mark.line}"
            diagnostics.add(name.mark, "name-collision", message, hint)


def _bounds(
    listing: view_model.Listing, declared: dict[Word, Word], diagnostics: Diagnostics
) -> dict[str, str]:
    """Return the order of each bound on one side; report unknown and repeated ones."""
    orders = listing.orders or {}
    found: dict[str, str] = {}
    for name, order in declared.items():
        if order not in orders:
            hint = nearest(order, orders)
            diagnostics.add(order.mark, "unknown-name", f"there is no order {str(order)!r}", hint)
        elif order in found.values():
            message = f"two bounds on one side of the order {order}"
            diagnostics.add(name.mark, "name-collision", message, "remove one of them")
        else:
            found[str(name)] = str(order)
    return found


def check_pages(program: Program, diagnostics: Diagnostics) -> None:
    """Report orders of pages that a command can change while a reader walks through them."""
    listing, pages = program.machine.listing, program.views.pages
    if listing is None or pages is None:
        return
    trees = [*zip(listing.order, program.views.order, strict=True)]
    trees += zip((listing.orders or {}).values(), (tree for _, tree in pages.orders), strict=True)
    for expr, tree in trees:
        for name in _changing(program, tree):
            message = f"{program.machine.entity}.{name} can change while pages are read"
            hint = "order pages by what a record has from its creation to its end"
            diagnostics.add(expr.mark, "changing-order", message, hint)


def _changing(program: Program, tree: Expression) -> list[str]:
    """Return the fields of the record in an expression that can change."""
    fields = {
        node.name
        for node in nodes_of(tree)
        if isinstance(node, Field) and isinstance(node.base, Name) and node.base.root is Root.RECORD
    }
    constant = {str(name) for name in program.machine.fields} - updated_fields(program)
    return sorted(fields - constant - {"id"})

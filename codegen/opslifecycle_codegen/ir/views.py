"""What a registry answers without a decision: views of a record, their pages, and rules."""

from __future__ import annotations

from attrs import field, frozen

from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.symbols import ViewInfo
from opslifecycle_codegen.ir.types import Type

#: The parameters of a listing with pages, and the order that every such listing has.
PAGE_PARAMETERS = ("order_by", "descending", "limit", "after")
BY_ID = "id"


@frozen
class Pages:
    """The pages of a listing: the named orders, and the orders of its bounds by parameter."""

    orders: tuple[tuple[str, Expression], ...]
    above: dict[str, str]
    below: dict[str, str]

    def bounds(self) -> dict[str, Type]:
        """Return the parameters that are bounds, each with the type of its order."""
        types = {name: tree.type for name, tree in self.orders}
        return {name: types[order] for name, order in (*self.above.items(), *self.below.items())}


@frozen
class Views:
    """The views of a record: their fields in order, and whether they need watcher counts."""

    snapshot: tuple[tuple[ViewInfo, Expression], ...]
    entry: tuple[tuple[ViewInfo, Expression], ...]
    entry_needs: tuple[str, ...]
    order: tuple[Expression, ...]
    filters: tuple[tuple[str, Type, Expression], ...]
    #: None for a listing that is not read page by page.
    pages: Pages | None = None


@frozen
class Rule:
    """An invariant, a step property or a classifier."""

    name: str
    summary: str
    tree: Expression
    params: dict[str, Type]
    defaults: dict[str, Expression] = field(factory=dict)
    keywords: frozenset[str] = frozenset()
    #: Whether it is asked of one record, by its id, or of the registry.
    of_record: bool = True

    @property
    def type(self) -> Type:
        """The type of the result."""
        return self.tree.type

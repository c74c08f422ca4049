"""The pages of a listing."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.ir.expr import Expression
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

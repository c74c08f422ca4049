"""What a supervisor calls, as analysis has found it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import frozen

from opslifecycle_codegen.ir.expr import Construct, Expression, Member, nodes_of
from opslifecycle_codegen.ir.types import Type


@frozen
class WorkCall:
    """A method of the registry that a supervisor calls.

    `offers` are the names and types that the supervisor has for it; `takes_value` is true if the
    method receives the value that the work returned, unchanged.
    """

    method: str
    offers: dict[str, Type]
    arguments: tuple[Expression, ...]
    takes_value: bool = False


@frozen
class Work:
    """The calls of a supervisor, and the parameters that callers of `start` give.

    `call` reads what a record has stored of the function to call; None if it stores nothing.
    """

    calls: dict[str, WorkCall]
    given: dict[str, Type]
    call: Expression | None = None


def outcomes_of(trees: Iterable[Expression | None], type: Type) -> Iterator[Construct | Member]:
    """Yield what the outcomes of an action can be: variants, or members of their type.

    Args:
        trees: The outcome of each target of the action; None for a target without one.
        type: The type of outcomes.
    """
    for node in (node for tree in trees if tree is not None for node in nodes_of(tree)):
        if isinstance(node, Construct | Member) and type in (node.type, node.type.inner):
            yield node

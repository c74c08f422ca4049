"""What a supervisor calls, as analysis has found it."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.ir.expr import Expression
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

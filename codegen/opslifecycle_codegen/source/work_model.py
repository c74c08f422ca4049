"""The section `work` of a machine file: how a supervisor records what it runs."""

from __future__ import annotations

from typing import ClassVar

from attrs import Factory, frozen

from opslifecycle_codegen.source.words import Declared, Expr, Name, Text, TypeExpr


@frozen(kw_only=True)
class WorkCall(Declared):
    """An action that a supervisor calls, and an expression for each parameter.

    `parameter.field` names a field of a parameter that is constructed.
    """

    shorthand: ClassVar[str] = "do"

    do: Name
    with_: dict[Text, Expr] = Factory(dict)


@frozen(kw_only=True)
class Work(Declared):
    """How `opslifecycle.work` records what it runs. `given` are parameters of `start`."""

    register: dict[Text, Expr]
    start: WorkCall
    complete: WorkCall
    fail: WorkCall
    cancel: WorkCall
    progress: WorkCall | None = None
    stop: WorkCall | None = None
    time_out: WorkCall | None = None
    call: Expr | None = None
    given: dict[Name, TypeExpr] = Factory(dict)

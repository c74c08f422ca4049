"""What of a machine can be seen from outside, and the clock of those that look."""

from __future__ import annotations

from typing import Any, NamedTuple

from opslifecycle import ManualClock
from opslifecycle.clock import DueWork
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.ir.times import tells_time
from opslifecycle_codegen.ir.views import Rule
from opslifecycle_codegen.modelcheck.functions import Function

from tests.support.random_machines.exploring import Exploration


class Views:
    """What of a state can be seen from outside, as functions of the interpreter."""

    def __init__(self, exploration: Exploration) -> None:
        program, evaluator = exploration.program, exploration.interpreter.evaluator
        #: Of the registries, which are as many as there are states and calls.
        self.public, self.timed = public_names(program.machine), tells_time(program)
        self.entity = entity = str(program.machine.entity)
        function, views = evaluator.function, program.views
        self.snapshot = {info.name: function(tree) for info, tree in views.snapshot}
        #: Whether a snapshot shows the id of its record.
        self.shows_id = any(
            info.name == "id" and notation(tree) == f"{entity}.id" for info, tree in views.snapshot
        )
        self.order = [function(tree) for tree in views.order]
        self.filters = {name: function(tree) for name, _, tree in views.filters}
        orders = views.pages.orders if views.pages is not None else ()
        self.orders = {name: function(tree) for name, tree in orders}
        self.classifiers: dict[str, tuple[Function, Rule]] = {
            rule.name: (function(rule.tree), rule) for rule in program.classifiers
        }


class Message(NamedTuple):
    """An effect that is handed to the program, as far as it is compared."""

    effect: str
    id: str
    action: str
    arguments: dict[str, Any]


class TimerlessClock(ManualClock):
    """A clock that runs no timers: walks do that."""

    __slots__ = ()

    def attach(self, work: DueWork) -> None:
        """Leave what would be due."""

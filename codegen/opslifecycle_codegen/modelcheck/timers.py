"""Timers as calls: each may be due at any time while it is set, which is all that one can know."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.ir.program import Timer, named_timers
from opslifecycle_codegen.modelcheck.functions import Function
from opslifecycle_codegen.modelcheck.interpreter import Interpreter
from opslifecycle_codegen.modelcheck.state import Answer, Arguments, Call, Refusal, State


@frozen
class TimerCall:
    """The timers of one name: where they are set, and what they ask for."""

    name: str
    action: str
    given: Arguments
    _interpreter: Interpreter
    _timers: tuple[tuple[tuple[str, ...], Function], ...]

    def answer(self, state: State, call: Call) -> Answer:
        """Apply the action, which is asked for only while a timer of the record is set."""
        assert call.id is not None
        record = self._interpreter.record(state, call.id)
        names = {str(self._interpreter.program.machine.entity): record}
        if record is None or not any(
            record[1] in statuses and due(names) is not None for statuses, due in self._timers
        ):
            return Answer(None, Refusal("", (), self.name))
        return self._interpreter.act(state, call, self.action)


def timer_calls(interpreter: Interpreter) -> list[TimerCall]:
    """Return the timers of a machine, by name."""
    timers = named_timers(interpreter.program.timers)
    return [_timer_call(interpreter, name, each) for name, each in timers.items()]


def _timer_call(interpreter: Interpreter, name: str, timers: list[Timer]) -> TimerCall:
    function = interpreter.evaluator.function
    given = tuple((param, function(tree)({})) for param, tree in timers[0].given.items())
    dues = tuple((timer.statuses, function(timer.due)) for timer in timers)
    return TimerCall(name, timers[0].action, given, interpreter, dues)

"""Lowering of the calls by which a supervisor records what it runs."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.definition import tuple_argument
from opslifecycle_codegen.emit.python import Printer
from opslifecycle_codegen.ir.expr import Construct, Expression
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import PublicNames
from opslifecycle_codegen.ir.work import Work, WorkCall, outcomes_of


@frozen
class Function:
    """A function that makes the arguments of one call."""

    signature: list[str]
    body: list[str]


@frozen
class WorkView:
    """The module as the template prints it."""

    functions: list[Function]
    definition: list[str]


def work_view(program: Program, names: PublicNames, width: int) -> WorkView | None:
    """Return the module of the calls; None if the machine declares no work."""
    if program.work is None:
        return None
    return _WorkLowering(program, program.work, names, width).view()


class _WorkLowering:
    def __init__(self, program: Program, work: Work, names: PublicNames, width: int) -> None:
        self._program = program
        self._work = work
        self._names = names
        self._width = width
        self._printer = Printer(program.symbols, public=True)

    def view(self) -> WorkView:
        calls = self._work.calls
        definition = layout.statement(
            "WORK = ", layout.called("_rt.WorkDefinition", list(self._parts())), "",
            indent=0, width=self._width,
        )  # fmt: skip
        functions = [self._function(word, call) for word, call in calls.items()]
        if self._work.call is not None:
            functions.append(self._reading(self._work.call))
        return WorkView(functions, definition)

    def _reading(self, call: Expression) -> Function:
        """Return the function that reads the stored call of a record, and whether it waits."""
        record, status = self._names.variable, self._names.status
        signature = layout.call(
            "def _call_of", [f"{record}: {self._names.record}"], " -> tuple[str | None, bool]:",
            indent=0, width=self._width,
        )  # fmt: skip
        waits = Code(f"{record}.status is {status}.{self._program.create.to.upper()}")
        body = layout.statement(
            "return ", layout.called("", [self._printer.code(call), waits]), "",
            indent=4, width=self._width,
        )  # fmt: skip
        return Function(signature, body)

    def _function(self, word: str, call: WorkCall) -> Function:
        types = {"id": self._names.id, **{n: t.python for n, t in call.offers.items()}}
        signature = layout.call(
            f"def _{word}", [f"{name}: {type}" for name, type in types.items()],
            " -> tuple[object, ...]:", indent=0, width=self._width,
        )  # fmt: skip
        arguments = [self._printer.code(each) for each in call.arguments]
        if word != "register":
            arguments = [Code("id"), *arguments]
        body = layout.statement(
            "return ", layout.called("", arguments), "", indent=4, width=self._width
        )
        return Function(signature, body)

    def _parts(self) -> Iterator[Code]:
        machine = self._program.machine
        yield Code(f"id={self._names.id}")
        pairs = [(layout.quoted(name), type.python) for name, type in self._work.given.items()]
        given = [layout.called("", [Code(each) for each in pair]) for pair in pairs]
        yield tuple_argument("given=", given) if given else Code("given=()")
        if self._work.call is not None:
            yield Code("call=_call_of")
        for word, call in self._work.calls.items():
            yield Code(f"{word}=_rt.WorkCall({layout.quoted(call.method)}, _{word})")
        assert machine.watch is not None
        watch = [layout.quoted(str(machine.watch.method)), self._names.watch]
        yield layout.called("watch=_rt.WorkWatch", [Code(each) for each in watch])
        yield Code(f"snapshot={layout.quoted(str(machine.snapshot.method))}")
        if machine.rollback is not None:
            yield Code(f"discard={layout.quoted(str(machine.rollback.method))}")
        yield self._barrier()
        assert machine.work is not None
        yield self._outcomes("cancelled=", machine.work.cancel.do)
        recovery = machine.recovery
        yield self._outcomes("interrupted=", recovery.do if recovery is not None else None)
        if machine.work.time_out is not None:
            yield self._outcomes("timed_out=", machine.work.time_out.do)
        complete = self._work.calls["complete"]
        if complete.takes_value:
            yield Code("takes_value=True")
        elif len(complete.arguments) == 1 and isinstance(complete.arguments[0], Construct):
            yield Code(f"result={complete.arguments[0].variant}")

    def _barrier(self) -> Code:
        barrier = self._program.machine.barrier
        if barrier is None:
            return Code("barrier=_rt.NO_BARRIER")
        (key,) = barrier.key.values()
        arguments = [layout.quoted(str(barrier.method)), str(key), str(barrier.wait)]
        return layout.called("barrier=_rt.WorkBarrier", [Code(each) for each in arguments])

    def _outcomes(self, before: str, action: str | None) -> Code:
        """Return the outcomes of an action: classes of values, or members."""
        type = self._program.outcome_type()
        found: dict[str, None] = {}
        for each in (each for each in self._program.actions if each.name == action):
            for node in outcomes_of((way.outcome for way in each.ways), type):
                name = (
                    node.variant if isinstance(node, Construct) else self._printer.code(node).text
                )
                found[name] = None
        outcomes = [Code(each) for each in found]
        return tuple_argument(before, outcomes) if outcomes else Code(f"{before}()")

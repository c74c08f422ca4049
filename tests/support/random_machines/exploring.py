"""Every state of a machine that a small search of the interpreter reaches, with its calls."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from attrs import evolve, frozen
from opslifecycle_codegen.analysis.scenario_rules import CRASH
from opslifecycle_codegen.ir.program import Bulk, Choice, Command, Program
from opslifecycle_codegen.ir.times import command_reads_now
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.modelcheck.interpreter import Interpreter
from opslifecycle_codegen.modelcheck.properties import Properties
from opslifecycle_codegen.modelcheck.scenarios import left_out
from opslifecycle_codegen.modelcheck.state import Answer, Call, State

from tests.support.random_machines.values import Values
from tests.support.random_machines.verdicts import FaultError

KEYS = 2
#: What a transaction can have in it.
KINDS = ("create", "action", "choice", "for all", "rollback", "erase")
#: A time that is later than 0, and than what is due soon.
LATER = 5


@frozen(eq=False)
class Asked:
    """One call: of the interpreter, and of a registry with real arguments."""

    call: Call
    arguments: tuple[Any, ...]
    answering: Callable[[State, Call], Answer]
    kind: str
    action: str = ""
    deferred: bool = False
    #: A method over several actions.
    choice: Choice | None = None
    returns: bool = False

    @property
    def kept(self) -> bool:
        """Whether a transaction may have it: a command without a value."""
        return self.kind in KINDS and not self.returns

    def answer(self, state: State) -> Answer:
        """The result of the call in a state."""
        return self.answering(state, self.call)

    def within(self, state: State) -> Asked:
        """The same call as a call of the action that a method chooses in a state."""
        if self.choice is None:
            return self
        record = next((r for r in state.records if r is not None and r[0] == self.call.id), None)
        chosen = self.choice.chosen("" if record is None else record[1])
        return evolve(self, kind="action", action=chosen.name)

    def at(self, time: int) -> Asked:
        """The same call at a time."""
        return evolve(self, call=self.call._replace(time=time))


@frozen
class Reached:
    """A state, the shortest way there, and what every call answers in it."""

    state: State
    path: tuple[tuple[Asked, Answer], ...]
    answers: list[tuple[Asked, Answer]]


class Exploration:
    """The interpreter of one machine with so many ids, and the calls that it is asked.

    Where it is `dated`, records show the times of calls, and every call may be asked at any time.
    """

    def __init__(
        self, program: Program, values: Values, entities: int, samples: int, *, dated: bool = False
    ) -> None:
        self.program = program
        self.values = values
        self.settings = _settings(program)
        self.ids = [values.plain(id) for id in values.ids[:entities]]
        self._samples = samples
        self._dated = dated
        try:
            self.interpreter = Interpreter(
                program, tuple(self.ids), KEYS, self.settings, dated=dated
            )
            self.properties = Properties(self.interpreter)
        except Exception as error:
            raise FaultError("the interpreter crashes", repr(error)) from error
        self.calls = list(self._calls())
        self._acts: dict[State, dict[tuple[str | None, str], list[tuple[int | None, Answer]]]] = {}

    def reached(self, most: int) -> Iterator[Reached]:
        """The first states of a search in breadth."""
        start = self.interpreter.initial()
        paths: dict[State, tuple[tuple[Asked, Answer], ...]] = {start: ()}
        queue = [start]
        for state in queue:
            answers = []
            for asked in self.calls:
                try:
                    answer = asked.answer(state)
                except Exception as error:
                    raise FaultError(
                        "the interpreter crashes", f"{asked.call}: {error!r}"
                    ) from error
                answers.append((asked.within(state), answer))
                after = answer.state
                if after is not None and after not in paths and len(paths) < most:
                    paths[after] = (*paths[state], answers[-1])
                    queue.append(after)
            yield Reached(state, paths[state], answers)

    def acts_in(self, state: State, id: str, action: str, time: int) -> list[Answer]:
        """The result of an action on a record in a state at a time, with each of its arguments."""
        if self._dated:
            wanted = "action", id, action
            return [
                each.at(time).answer(state) for each in self.calls
                if (each.kind, each.call.id, each.action) == wanted
            ]  # fmt: skip
        if state not in self._acts:
            self._acts[state] = {}
            for asked in self.calls:
                key = (asked.call.id, asked.action)
                if asked.kind == "action":
                    answered = (asked.call.time, asked.answer(state))
                    self._acts[state].setdefault(key, []).append(answered)
        return [
            answer for at, answer in self._acts[state].get((id, action), [])
            if at is None or max(at, state.time) == max(time, state.time)
        ]  # fmt: skip

    def crashed(self, state: State, time: int | None = None) -> Answer:
        """What the next process finds after a state, with the effects of recovery."""
        return self.interpreter.crash(state, Call(CRASH, None, time=time))

    # Calls --------------------------------------------------------------------------------------

    def _calls(self) -> Iterator[Asked]:
        yield from self._creates()
        machine, ids = self.program.machine, self.values.ids[: len(self.ids)]
        for action in self.program.actions:
            declared = next(a for n, a in machine.actions.items() if n == action.name)
            for method in declared.methods:
                asked = itertools.product(
                    ids, self._given(action.params, str(method)), self._times(action)
                )  # fmt: skip
                for id, arguments, time in asked:
                    plain = self._plain(arguments)
                    call = Call(str(method), self.values.plain(id), plain, time)
                    yield Asked(
                        call, (id, *arguments.values()), self.acting(action.name), "action",
                        action.name, declared.deferred, returns=action.returns is not None,
                    )  # fmt: skip
        yield from self._choices()
        for each in self.program.bulk:
            for arguments, time in itertools.product(
                self._given(each.command.params, each.command.name), self._times(each)
            ):
                call = Call(each.command.name, None, self._plain(arguments), time)
                yield self._asked(call, tuple(arguments.values()), "for all")
        program = self.program
        for kind, removal in (("rollback", program.rollback), ("erase", program.erase)):
            if removal is not None:
                for id, time in itertools.product(ids, self._times(removal)):
                    call = Call(removal.name, self.values.plain(id), (), time)
                    yield self._asked(call, (id,), kind)
        if machine.collect is not None:
            yield self._asked(Call(str(machine.collect.method), None), (), "collect")
        yield from self._waits_and_cursors()

    def _choices(self) -> Iterator[Asked]:
        """Methods over several actions."""
        ids, declared = self.values.ids[: len(self.ids)], self.program.machine.actions
        deferred = {str(name): each.deferred for name, each in declared.items()}
        for choice in self.program.choices:
            choosing = partial(self._choosing, choice)
            found = {time for action, _ in choice.actions for time in self._times(action)}
            times = sorted(found - {None}, key=str) or [None]
            for id, arguments, time in itertools.product(
                ids, self._given(choice.first.params, choice.name), times
            ):
                call = Call(choice.name, self.values.plain(id), self._plain(arguments), time)
                waits = all(deferred[action.name] for action, _ in choice.actions)
                yield Asked(
                    call, (id, *arguments.values()), choosing, "choice", deferred=waits,
                    choice=choice, returns=choice.returns is not None,
                )  # fmt: skip

    def _choosing(self, choice: Choice, state: State, call: Call) -> Answer:
        return self.interpreter.choose(state, call, choice)

    def _asked(self, call: Call, arguments: tuple[Any, ...], kind: str) -> Asked:
        interpreter = self.interpreter
        answering = {
            "create": interpreter.create, "for all": interpreter.bulk,
            "rollback": interpreter.rollback, "erase": interpreter.erase,
            "collect": interpreter.collect,
            "advance": interpreter.advance, "watch": interpreter.watch,
            "barrier": interpreter.wait_for_all,
        }[kind]  # fmt: skip
        return Asked(call, arguments, answering, kind)

    def acting(self, name: str) -> Callable[[State, Call], Answer]:
        """The function that applies an action."""
        return lambda state, call: self.interpreter.act(state, call, name)

    def _creates(self) -> Iterator[Asked]:
        params, seen = self.program.create.params, set()
        for method, words in self.program.machine.create.methods.items():
            taken = {str(word): params[str(word)] for word in words}
            for number in range(self._samples * len(self.ids)):
                # The id is that of one of the records, the rest goes its own way.
                arguments = {
                    name: self.values.sample(type, number + (0 if self._is_id(type) else place))
                    for place, (name, type) in enumerate(taken.items())
                }  # fmt: skip
                if number % 2:
                    arguments |= self.values.defaults(str(method))
                rest = left_out(self.interpreter, list(taken))
                for time in self._times(self.program.create):
                    call = Call(str(method), None, (*self._plain(arguments), *rest), time)
                    if call not in seen:
                        seen.add(call)
                        yield self._asked(call, tuple(arguments.values()), "create")

    def _times(self, command: Command | Bulk) -> tuple[int | None, ...]:
        """When a command is asked for: now and later, if that matters."""
        return (0, LATER) if command_reads_now(self.program, command) else (None,)

    def _is_id(self, type: Type) -> bool:
        return type == self.program.symbols.entity_fields["id"]

    def _given(self, params: dict[str, Type], method: str) -> Iterator[dict[str, Any]]:
        """A few combinations of arguments; the last has what a call may leave out."""
        seen, samples = set(), self._samples if params else 1
        for number in range(samples + 1):
            given = {
                name: self.values.sample(type, number + place * (number + 1))
                for place, (name, type) in enumerate(params.items())
            }
            if number == samples:
                given |= self.values.defaults(method)
            key = self._plain(given)
            if key not in seen:
                seen.add(key)
                yield given

    def _plain(self, arguments: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
        return tuple((name, self.values.plain(value)) for name, value in arguments.items())

    def _waits_and_cursors(self) -> Iterator[Asked]:
        machine, ids = self.program.machine, self.values.ids[: len(self.ids)]
        if machine.watch is not None:
            for id in ids:
                call = Call(str(machine.watch.method), self.values.plain(id))
                yield self._asked(call, (id,), "watch")
        if machine.cursors is not None:
            consumer = Type("enum", str(machine.cursors.consumer))
            for member, cursor in itertools.product(self._members(consumer), range(3)):
                arguments = (("consumer", self.values.plain(member)), ("cursor", cursor))
                call = Call(str(machine.cursors.advance), None, arguments)
                yield self._asked(call, (member, cursor), "advance")
        if machine.barrier is not None:
            key_type = self.program.symbols.type_named(
                str(next(iter(machine.barrier.key.values())))
            )
            assert key_type is not None
            for key, some in itertools.product((0, 1), ((), ids[:1], ids, [ids[0], ids[0]])):
                plain = tuple(self.values.plain(id) for id in some)
                call = Call(str(machine.barrier.method), None, (("key", key), ("ids", plain)))
                yield self._asked(call, (self.values.sample(key_type, key), list(some)), "barrier")

    def _members(self, enum: Type) -> list[Any]:
        count = len(self.program.symbols.enums[enum.name].members)
        return [self.values.sample(enum, number) for number in range(count)]

    # Properties that hold of every state, whatever the machine says -------------------------------

    def out_of_range(self, state: State) -> str | None:
        """The first integer of a state that is out of its range."""
        symbols = self.program.symbols
        for name, type, value in zip(
            symbols.registry_fields, symbols.registry_fields.values(), state.registry, strict=True
        ):
            if _is_out_of_range(type, value):
                return f"registry.{name} is {value}"
        for record in state.records:
            for (name, type), value in zip(
                symbols.entity_fields.items(), record or (), strict=False
            ):
                if _is_out_of_range(type, value):
                    return f"{name} is {value}"
        return None


def _is_out_of_range(type: Type, value: Any) -> bool:
    if not type.required.integral or value is None:
        return False
    least, most = type.required.range
    return not least <= value <= most


def _settings(program: Program) -> dict[str, Any]:
    return {str(name): each.default for name, each in program.machine.settings.items()}

"""Scenarios: the bounds of a search. A number of ids, settings, and calls with their arguments."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from opslifecycle_codegen.analysis.scenario_rules import (
    CRASH,
    CRASH_DISCARDING,
    DROP_BARRIER,
    DROP_WATCH,
    counted,
)
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.feeds import feeds_transitions
from opslifecycle_codegen.ir.program import Bulk, Choice, Command, Program
from opslifecycle_codegen.ir.several import Items as Elements
from opslifecycle_codegen.ir.several import Put
from opslifecycle_codegen.ir.times import command_reads_now, literals, time_fields
from opslifecycle_codegen.ir.types import ENTITY, decimal_notation
from opslifecycle_codegen.modelcheck.interpreter import Interpreter
from opslifecycle_codegen.modelcheck.properties import Properties
from opslifecycle_codegen.modelcheck.representatives import (
    Representatives,
    Source,
    length_of,
)
from opslifecycle_codegen.modelcheck.state import (
    Answer,
    Arguments,
    Call,
    Items,
    Several,
    State,
    Value,
)
from opslifecycle_codegen.modelcheck.timers import timer_calls
from opslifecycle_codegen.modelcheck.values import Values
from opslifecycle_codegen.source import property_model
from opslifecycle_codegen.source.reader import Node, Scalar
from opslifecycle_codegen.source.words import Text

#: How far counts go by default from where they begin.
COUNTS_MAX = 3
#: How a machine without scenarios is searched, each if the one before has too many states: the
#: number of records, and how far counts go.
NARROWER = ((2, COUNTS_MAX), (2, 1), (1, COUNTS_MAX), (1, 1))

Answering = Callable[[State], Answer]


@frozen
class Bound:
    """How far a number of the registry or of a record goes, a value of a dict, or a list's length.

    A count and a length have no least value.
    """

    name: str
    of_record: bool
    place: int
    least: int | None
    most: int
    #: The digits behind the point of what is counted in units of the last one.
    places: int = 0

    def notation(self, number: int) -> str:
        """Return a number as the machine spells it."""
        return decimal_notation(number, self.places)

    def is_past(self, value: Value) -> bool:
        """Return whether a value is past the bound; None is not."""
        if value is None:
            return False
        if isinstance(value, Items):
            return any(self.is_past(each) for _, each in value)
        if isinstance(value, Several):
            value = len(value)
        return bool(value > self.most or (self.least is not None and value < self.least))


@frozen
class Scenario:
    """One scenario, ready to be explored."""

    name: str
    declared: property_model.Scenario
    interpreter: Interpreter
    properties: Properties
    values: Values
    calls: tuple[Call, ...]
    answers: tuple[Answering, ...]
    bounds: tuple[Bound, ...]

    def answer(self, state: State, call: Call) -> Answer:
        """Return the result of one of the scenario's calls."""
        return self.answers[self.calls.index(call)](state)

    def beyond(self, state: State) -> str | None:
        """Return the bound that a state exceeds, or None. Such a state is checked, not expanded."""
        for bound in self.bounds:
            if not bound.of_record:
                if bound.is_past(state.registry[bound.place]):
                    return bound.name
                continue
            for record in state.records:
                if record is not None and bound.is_past(record[bound.place]):
                    return bound.name
        return None


def default_scenario(program: Program, entities: int = 2) -> property_model.Scenario:
    """Return the scenario of a machine without scenarios: two records, every feature."""
    mark, several = program.machine.mark, "Two records" if entities == 2 else "One record"
    summary = Text(f"{several} and everything on, by default.", mark)
    return property_model.Scenario(mark=mark, summary=summary, entities=entities)


def default_scenarios(program: Program) -> Iterator[Scenario]:
    """Yield the scenarios in which a machine that declares none is searched, the largest first."""
    for entities, steps_max in NARROWER:
        yield _scenario("default", default_scenario(program, entities), program, steps_max)


def scenarios(program: Program) -> list[Scenario]:
    """Return every scenario of a machine, in the order of its file."""
    declared = {str(name): each for name, each in program.machine.scenarios.items()}
    if not declared:
        return [next(default_scenarios(program))]
    return [_scenario(name, each, program) for name, each in declared.items()]


def _scenario(
    name: str, declared: property_model.Scenario, program: Program, steps_max: int = COUNTS_MAX
) -> Scenario:
    ids = tuple("abcdef"[: declared.entities])
    settings: dict[str, int | None] = {
        str(name): each.default for name, each in program.machine.settings.items()
    }
    settings |= {str(setting): _number(node) for setting, node in declared.settings.items()}
    interpreter = Interpreter(program, ids, declared.keys, settings)
    # The fields that properties read are known before values are chosen.
    properties = Properties(interpreter)
    takes = {str(path): [str(w) for w in words] for path, words in declared.params.items()}
    values = Values(program, interpreter.evaluator, ids, declared.counts_max, takes)
    interpreter.ends.keep_with(values.kept)
    pairs = [
        (call, answer)
        for call, answer in _calls(interpreter, values, declared)
        if call.method not in declared.exclude
    ]
    return Scenario(
        name, declared, interpreter, properties, values, tuple(call for call, _ in pairs),
        tuple(_bound(answer, call) for call, answer in pairs),
        _bounds(program, declared, values.representatives, steps_max),
    )  # fmt: skip


def _bound(answer: Callable[[State, Call], Answer], call: Call) -> Answering:
    return lambda state: answer(state, call)


def _number(node: Node) -> int | None:
    assert isinstance(node, Scalar)
    return None if node.text == "null" else int(node.text)


def _bounds(
    program: Program,
    declared: property_model.Scenario,
    representatives: Representatives,
    steps_max: int,
) -> tuple[Bound, ...]:
    """Return the bound of each number: the declared one, or the default."""
    entity = str(program.machine.entity)
    given = {str(path): most for path, most in declared.bounds.items()}
    given = dict.fromkeys(time_fields(program), 2 * later(program)) | given
    feed = program.machine.feed
    if feed is not None and feeds_transitions(program.machine):
        # One bound for all that follows the counter.
        last = given.get(f"registry.{feed.counter}", steps_max)
        following = (f"{entity}.sequence", "registry.watermark", "registry.dropped_through")
        given = dict.fromkeys(following, last) | given
    bounds = []
    for owner, fields in (
        ("registry", program.symbols.registry_fields),
        (entity, program.symbols.entity_fields),
    ):
        for place, (name, type) in enumerate(fields.items()):
            setting = owner == "registry" and name in program.machine.settings
            number = counted(type)
            if number is not None and not setting:
                path, of_record = f"{owner}.{name}", owner == entity
                source: Source = (ENTITY.kind if of_record else owner, name)
                source = source if number.integral else length_of(source)
                furthest = representatives.furthest(source)
                if furthest is None and path not in given:
                    continue
                start = (program.initial if of_record else program.registry_initial).get(name)
                most = given.get(path, max(_beyond(start, steps_max), furthest or 0))
                if path in declared.bounds:
                    most *= 10**number.places
                least = -most if number.range[0] < 0 else None
                bounds.append(Bound(path, of_record, place, least, most, number.places))
    return tuple(bounds)


def _beyond(start: Expression | None, steps_max: int) -> int:
    """Return the default bound of a number that starts with a value: some steps from there."""
    if isinstance(start, Elements):
        return steps_max + len(start.elements)
    if isinstance(start, Put):
        return max(_beyond(start.base, steps_max), _beyond(start.value, steps_max))
    if not isinstance(start, nodes.Literal) or type(start.value) is not int:
        return steps_max
    # A number that may be negative goes as far on the other side.
    return steps_max + abs(start.value)


def _calls(
    interpreter: Interpreter, values: Values, declared: property_model.Scenario
) -> Iterator[tuple[Call, Callable[[State, Call], Answer]]]:
    """Return every call of a scenario, with the function that applies it."""
    program = interpreter.program
    machine, ids = program.machine, interpreter.ids
    for method, words in machine.create.methods.items():
        params = {str(word): program.create.params[str(word)] for word in words}
        rest = left_out(interpreter, list(params))
        for arguments in values.arguments(params, program.create.defaults):
            for time in _times(program, program.create):
                call = Call(str(method), None, (*arguments, *rest), time)
                yield call, interpreter.create
    for action in program.actions:
        methods = next(e.methods for n, e in machine.actions.items() if n == action.name)
        for id in ids if methods else ():
            for arguments in values.arguments(action.params, action.defaults):
                for time in _times(program, action):
                    call = Call(str(methods[0]), id, arguments, time)
                    yield call, _acting(interpreter, action.name)
    for choice in program.choices:
        yield from _chosen(interpreter, values, choice)
    yield from _timers(interpreter)
    for each in program.bulk:
        for arguments in values.arguments(each.command.params, each.command.defaults):
            for time in _times(program, each):
                yield Call(each.command.name, None, arguments, time), interpreter.bulk
    for removing, way in (
        (program.rollback, interpreter.rollback), (program.erase, interpreter.erase)
    ):  # fmt: skip
        if removing is not None:
            for id, time in itertools.product(ids, _times(program, removing)):
                yield Call(removing.name, id, (), time), way
    if program.collect is not None:
        for time in _times(program, program.collect):
            yield Call(program.collect.name, None, (), time), interpreter.collect
    yield from _cursors(interpreter, declared)
    yield from _waits(interpreter)
    if machine.recovery is not None:
        yield Call(CRASH, None), interpreter.crash
        if program.discards():
            yield Call(CRASH_DISCARDING, None), interpreter.crash


def _chosen(
    interpreter: Interpreter, values: Values, choice: Choice
) -> Iterator[tuple[Call, Callable[[State, Call], Answer]]]:
    first, program = choice.first, interpreter.program
    times = {time for action, _ in choice.actions for time in _times(program, action)}
    if len(times) > 1:
        times.discard(None)
    for id in interpreter.ids:
        for arguments in values.arguments(first.params, first.defaults):
            for time in sorted(times, key=str):
                call = Call(choice.name, id, arguments, time)
                yield call, lambda state, call: interpreter.choose(state, call, choice)


def left_out(interpreter: Interpreter, passed: Sequence[str]) -> Arguments:
    """Return the parameters of `create` that a method does not have, with their values."""
    create, function = interpreter.program.create, interpreter.evaluator.function
    return tuple(
        (name, function(create.defaults[name])({}) if name in create.defaults else None)
        for name in create.params
        if name not in passed
    )


def _timers(
    interpreter: Interpreter,
) -> Iterator[tuple[Call, Callable[[State, Call], Answer]]]:
    program = interpreter.program
    actions = {action.name: action for action in program.actions}
    for timer in timer_calls(interpreter):
        times = _times(program, actions[timer.action])
        for id, time in itertools.product(interpreter.ids, times):
            yield Call(timer.name, id, timer.given, time), timer.answer


def later(program: Program) -> int:
    """Return a time at which whatever was to happen at some time after 0 is due."""
    return 2 * (1 + max(literals(program), default=0))


def _times(program: Program, command: Command | Bulk) -> tuple[int | None, ...]:
    """Return the times at which a command is tried: none where its answer depends on none."""
    return (0, later(program)) if command_reads_now(program, command) else (None,)


def _acting(interpreter: Interpreter, name: str) -> Callable[[State, Call], Answer]:
    return lambda state, call: interpreter.act(state, call, name)


def _cursors(
    interpreter: Interpreter, declared: property_model.Scenario
) -> Iterator[tuple[Call, Callable[[State, Call], Answer]]]:
    machine = interpreter.program.machine
    if machine.cursors is None:
        return
    most = next(
        (most for path, most in declared.bounds.items() if path == "registry.watermark"),
        COUNTS_MAX,
    )
    consumers = interpreter.layouts.members(str(machine.cursors.consumer))
    wanted = declared.params.get(Text("consumer", declared.mark))
    for consumer in consumers:
        if wanted is not None and consumer not in wanted:
            continue
        for cursor in range(most + 2):
            arguments = (("consumer", consumer), ("cursor", cursor))
            yield Call(str(machine.cursors.advance), None, arguments), interpreter.advance


def _waits(
    interpreter: Interpreter,
) -> Iterator[tuple[Call, Callable[[State, Call], Answer]]]:
    machine, ids = interpreter.program.machine, interpreter.ids
    if machine.watch is not None:
        for id in ids:
            yield Call(str(machine.watch.method), id), interpreter.watch
            yield Call(DROP_WATCH, id), interpreter.drop_watch
    if machine.barrier is None:
        return
    asked = [each for size in range(len(ids) + 1) for each in itertools.permutations(ids, size)]
    asked += [(ids[0], *each, ids[0]) for each in itertools.permutations(ids[1:], len(ids) - 1)]
    for key in range(interpreter.keys):
        for each in asked:
            arguments = (("key", key), ("ids", each))
            yield Call(str(machine.barrier.method), None, arguments), interpreter.wait_for_all
        yield Call(DROP_BARRIER, None, (("key", key),)), interpreter.drop_barrier

"""What the interpreter answers to the sample values that generated tests pass.

A test that passes them where a guard rejects them would show nothing, so none is generated there.
"""

from __future__ import annotations

import datetime

from opslifecycle_codegen.emit.store_test import methods_of, ways_to
from opslifecycle_codegen.ir.initial_values import Origin, starts_of
from opslifecycle_codegen.ir.moments import microseconds_of
from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.ir.sampled import Sampled
from opslifecycle_codegen.ir.several import DICT
from opslifecycle_codegen.ir.types import DATETIME, TIMEDELTA, Type
from opslifecycle_codegen.modelcheck.interpreter import Interpreter
from opslifecycle_codegen.modelcheck.state import Arguments, Call, Fields, Items, Several, Value

_SAMPLE_TIME = microseconds_of(datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC))
_SAMPLE_DURATION = 86_400_000_000
#: The sample of the time at which a record was created.
_CREATED_MS = 1


def sampled(program: Program) -> Sampled:
    """Return what becomes of the samples that the generated tests of a program pass."""
    targets, refused = _cells(program)
    return Sampled(targets, refused, program.recovery is not None and _is_stored(program))


def _cells(program: Program) -> tuple[dict[tuple[str, str], str], dict[str, str]]:
    """Return the status after each action on a record of samples, and the guards that reject."""
    samples = _Samples(program)
    settings = {
        str(name): samples.of(program.symbols.registry_fields[str(name)])
        for name in program.machine.settings
    }
    calls = [
        (status, action, samples.record(status), samples.arguments(action))
        for action in program.actions
        for status in action.from_statuses
    ]
    interpreter = Interpreter(program, tuple(samples.ids), 1, settings)
    initial = interpreter.initial()
    targets: dict[tuple[str, str], str] = {}
    refused: dict[str, str] = {}
    for status, action, record, arguments in calls:
        place = samples.ids.index(record[0])
        records = [None] * len(samples.ids)
        state = initial._replace(records=(*records[:place], record, *records[place + 1 :]))
        answer = interpreter.act(state, Call(action.name, record[0], arguments), action.name)
        if answer.refusal is not None:
            refused[action.name] = answer.refusal.guard or answer.refusal.error
            continue
        assert answer.state is not None
        after = answer.state.records[place]
        if after is not None:
            targets[status, action.name] = after[1]
        elif not action.targets:
            # The shell removes it, and these tests ask the authority.
            targets[status, action.name] = action.to or status
    accepted = {action for _, action in targets}
    return targets, {name: guard for name, guard in refused.items() if name not in accepted}


def _is_stored(program: Program) -> bool:
    """Return whether a store holds a record when every action was called as the test calls them."""
    samples = _Samples(program)
    actions = {each.name: each for each in program.actions}
    runs: list[tuple[Arguments, list[tuple[str, Arguments]]]] = [
        (
            samples.created(),
            [(name, samples.arguments(actions[name])) for name in way],
        )
        for way in (*ways_to(program), [])
    ]
    settings = {str(name): each.default for name, each in program.machine.settings.items()}
    interpreter = Interpreter(program, tuple(samples.ids), 1, settings)
    methods = methods_of(program)
    state = interpreter.initial()
    for created, way in runs:
        answer = interpreter.create(state, Call("", None, created))
        if answer.state is None:
            continue
        state, (id, _) = answer.state, answer.effects[0]
        for name, arguments in way:
            answer = interpreter.act(state, Call(methods[name], id, arguments), name)
            if answer.state is None:
                break
            state = answer.state
    assert program.recovery is not None
    keeps = interpreter.evaluator.function(program.recovery.persist_if)
    entity = str(program.machine.entity)
    return any(record is not None and keeps({entity: record}) for record in state.records)


class _Samples:
    """The values that generated tests pass, as the interpreter has them; every id is new."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._evaluator = Interpreter(program, (), 1, {}).evaluator
        self._starts = starts_of(program)
        self.ids: list[str] = []

    def arguments(self, command: Command) -> Arguments:
        """Return the arguments of a call."""
        return tuple((name, self.of(type)) for name, type in command.params.items())

    def created(self) -> Arguments:
        """Return the arguments of the first method of `create`, and of what it leaves out."""
        create = self._program.create
        words = next(iter(self._program.machine.create.methods.values()))
        left_out = {
            name: self._evaluator.function(tree)({}) for name, tree in create.defaults.items()
        }
        return tuple(
            (name, self.of(type) if name in words else left_out.get(name))
            for name, type in create.params.items()
        )

    def record(self, status: str) -> Fields:
        """Return a record in a status, with samples in place of what `create` takes."""
        types, function = self._program.symbols.entity_fields, self._evaluator.function
        fields: dict[str, Value] = dict.fromkeys(types)
        fields["id"], fields["status"] = self.of(types["id"]), status
        for start in self._starts:
            if start.origin is Origin.GIVEN:
                fields[start.name] = _CREATED_MS if start.stamp else self.of(start.type)
            elif start.origin is Origin.LITERAL:
                fields[start.name] = function(start.first)({})
        for start in self._starts:
            if start.origin is Origin.DERIVED:
                fields[start.name] = function(start.first)(fields)
        return tuple(fields.values())

    def of(self, type: Type) -> Value:
        """Return a value of a type."""
        simple: dict[str, Value] = {
            "optional": None, "bool": True, "float": 1.0, "name": "word", "foreign": "x",
        }  # fmt: skip
        if type.kind in simple:
            return simple[type.kind]
        if type in (DATETIME, TIMEDELTA):
            return _SAMPLE_TIME if type == DATETIME else _SAMPLE_DURATION
        if type.integral:
            least, most = type.range
            return min(max(1, least), most)
        if type.kind == DICT and type.key is not None and type.inner is not None:
            return Items([(self.of(type.key), self.of(type.inner))])
        if type.several and type.inner is not None:
            return Several([self.of(type.inner)])
        if type.kind in ("str", "bytes"):
            return self._text(type)
        if type.kind == "id":
            self.ids.append(f"id {len(self.ids)}")
            return self.ids[-1]
        if type.kind == "enum":
            return next(iter(self._program.symbols.enums[type.name].members))
        if type.kind == "union":
            variant = next(iter(self._program.symbols.unions[type.name].variants))
            return self.of(Type("variant", variant))
        fields = self._fields(type.name)
        return fields if type.kind == "record" else (type.name, *fields)

    def _text(self, type: Type) -> str:
        limits = type.limits
        if type.kind == "bytes":
            return "data" if limits is not None and (limits.max_length or 0) >= 4 else ""
        if limits is None:
            return "text"
        return limits.example or "text"[: limits.max_length]

    def _fields(self, record: str) -> tuple[Value, ...]:
        evaluator = self._evaluator
        defaults = self._program.field_defaults
        fields: dict[str, Value] = {}
        for name, info in self._program.symbols.records[record].fields.items():
            default = defaults.get((record, name))
            fields[name] = (
                self.of(info.type) if default is None else evaluator.function(default)({})
            )
        for name in fields:
            derived = self._program.always.get((record, name))
            if derived is not None:
                fields[name] = evaluator.derived(record, derived)(fields)
        return tuple(fields.values())

"""Print a counterexample: as text, call by call with the changes of each, and as a failing test."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opslifecycle_codegen.analysis.scenario_rules import (
    CRASH,
    CRASH_DISCARDING,
    DROP_BARRIER,
    DROP_WATCH,
)
from opslifecycle_codegen.ir.expr import Literal
from opslifecycle_codegen.ir.moments import datetime_arguments, timedelta_arguments
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.parameters import in_call_order
from opslifecycle_codegen.ir.program import TIMER_PREFIX, Command, Program, named_timers
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.ir.several import DICT, SET, element_of
from opslifecycle_codegen.ir.types import DATETIME, INT, TIMEDELTA, Type, decimal_notation
from opslifecycle_codegen.modelcheck.search import Violation
from opslifecycle_codegen.modelcheck.state import Call, Several, State, Value
from opslifecycle_codegen.modelcheck.values import OPAQUE, shortened, spelled

#: How often a character is repeated before the number is shorter.
_REPEATED_MIN = 40
#: What a test may name that is of no package of a machine, by its module.
_IMPORTED = {
    "datetime": ("UTC", "datetime", "timedelta"),
    "decimal": ("Decimal",),
    "opslifecycle": ("FrozenDict", "MemoryStore"),
}
_NO_METHODS = {
    CRASH: "the process ends, and the next one recovers",
    CRASH_DISCARDING: "the process ends, and the next one discards what was interrupted",
    DROP_BARRIER: "the caller drops the barrier",
    DROP_WATCH: "the caller drops the watch",
}


def counterexample(violation: Violation) -> str:
    """Return the text of a violation: the calls, and the changes of each."""
    scenario = violation.scenario
    count = len(violation.calls)
    lines = [f"{scenario.name}: {violation.property} does not hold after {count} calls"]
    state = scenario.interpreter.initial()
    for number, call in enumerate(violation.calls, 1):
        lines.append(f"  {number}. {call_text(scenario.interpreter.program, call)}")
        after = scenario.answer(state, call).state
        assert after is not None
        lines += [
            f"       {change}" for change in _changes(scenario.interpreter.program, state, after)
        ]
        state = after
    return "\n".join(lines)


def call_text(program: Program, call: Call) -> str:
    """Return the shortest text of one call."""
    given = [call.id] if call.id is not None else []
    types = _parameters(program, call.method)
    for name, value in call.arguments:
        if isinstance(value, tuple) and name == "ids":
            given.append(f"[{', '.join(value)}]")
        elif isinstance(value, tuple) and not isinstance(value, Several):
            inside = ", ".join(_parts(program, types[name].required, value))
            given.append(f"{name}: {inside}")
        elif value != OPAQUE:
            text = worded(program, types[name], value) if name in types else spelled(value)
            given.append(f"{name}: {shortened(text)}")
    text = f"{call.method}({', '.join(given)})"
    if call.time is not None:
        text += f" at time {call.time}"
    return f"{text}: {_NO_METHODS[call.method]}" if call.method in _NO_METHODS else text


def worded(program: Program, type: Type, value: Value) -> str:
    """Return a value of a type as the machine file spells it; of a value with parts, the first."""
    inner = type.required
    if value is None:
        return "none"
    if inner.kind == "decimal":
        return decimal_notation(value, inner.places)
    if inner in (DATETIME, TIMEDELTA):
        return notation(Literal(inner, value))
    if inner.kind == DICT:
        items = (f"{key}: {worded(program, element_of(inner), each)}" for key, each in value)
        return f"{{{', '.join(items)}}}"
    if inner.several:
        return f"[{', '.join(worded(program, element_of(inner), each) for each in value)}]"
    return spelled(value)


def _parts(program: Program, type: Type, value: tuple[Value, ...]) -> Iterator[str]:
    """Yield what the parts of a value are, as far as they say something."""
    name = type.name if type.kind == "record" else value[0]
    fields = value if type.kind == "record" else value[1:]
    if type.kind != "record":
        yield str(name)
    infos = program.symbols.records[name].fields.values()
    for info, each in zip(infos, fields, strict=True):
        if each not in (None, OPAQUE):
            yield worded(program, info.type, each)


def _changes(program: Program, before: State, after: State) -> Iterator[str]:
    """Yield the differences between two states."""
    fields = program.symbols.registry_fields
    for (name, type), old, new in zip(fields.items(), before.registry, after.registry, strict=True):
        if old != new:
            yield f"{name}: {worded(program, type, old)} → {worded(program, type, new)}"
    for old, new in zip(before.records, after.records, strict=True):
        if old is None or new is None:
            if old is not new:
                known = old if new is None else new
                assert known is not None
                yield f"{known[0]}: {'is gone' if new is None else f'is there, {new[1]}'}"
            continue
        types = program.symbols.entity_fields.items()
        for (name, type), was, now in zip(types, old, new, strict=True):
            if was != now:
                first, then = (shortened(worded(program, type, each)) for each in (was, now))
                yield f"{old[0]}.{name}: {first} → {then}"
    for name in ("rows", "cursors", "barriers", "watched", "time"):
        if getattr(before, name) != getattr(after, name):
            yield f"{name}: {getattr(before, name)} → {getattr(after, name)}"


def source_of_test(violation: Violation, module: str) -> str | None:
    """Return a test of the generated registry that fails while the property is violated.

    None for a property that no single state violates, for a path on which a wait is dropped or a
    rule reads the time, and for one with a value that only the program can make.
    """
    scenario = violation.scenario
    program, ids = scenario.interpreter.program, scenario.interpreter.ids
    methods = {call.method for call in violation.calls}
    shown = violation.property in {str(name) for name in program.machine.invariants}
    timed = any(
        call.time is not None or call.method.startswith(TIMER_PREFIX) for call in violation.calls
    )
    if not shown or timed or methods & {DROP_BARRIER, DROP_WATCH, CRASH_DISCARDING}:
        return None
    names = public_names(program.machine)
    settings = {str(n): scenario.interpreter.setting(str(n)) for n in program.machine.settings}
    given = ", ".join(f"{name}={value}" for name, value in settings.items())
    store = "store=MemoryStore()" if CRASH in methods else ""
    making = f"{names.registry}({', '.join(each for each in (given, store) if each)})"
    if store:
        making = making.replace("MemoryStore()", "store")
    lines = ["", f"def test_{violation.property}() -> None:"]
    lines += [f"    {id} = {names.id}.new()" for id in ids]
    lines += ["    store = MemoryStore()"] if store else []
    lines += ["    waits = []", f"    registry = {making}"]
    for call in violation.calls:
        if call.method == CRASH:
            lines += ["    registry.close()", f"    registry = {making}"]
            continue
        try:
            lines.append(f"    {_python_call(program, call)}")
        except _UnspellableError:
            return None
    lines.append("    assert registry.broken_invariants() == []")
    return "\n".join([*_imports("\n".join(lines)), f"from {module} import *", "", *lines]) + "\n"


def _imports(body: str) -> Iterator[str]:
    """Yield the imports of what a test names besides the package."""
    for module, names in _IMPORTED.items():
        used = [name for name in names if re.search(rf"\b{name}\b", body)]
        if used:
            yield f"from {module} import {', '.join(used)}"


def _python_call(program: Program, call: Call) -> str:
    machine = program.machine
    if machine.watch is not None and call.method == machine.watch.method:
        return f"waits.append(registry.{call.method}({call.id}))"
    if machine.barrier is not None and call.method == machine.barrier.method:
        (key,) = machine.barrier.key.values()
        asked = ", ".join(dict(call.arguments)["ids"])
        return f"waits.append(registry.{call.method}({key}.new(), [{asked}]))"
    params, asked_for = _parameters(program, call.method), _asked(program, call.method)
    given = [call.id] if call.id is not None else []
    wanted = next((w for m, w in program.machine.create.methods.items() if m == call.method), None)
    values = {name: each for name, each in call.arguments if wanted is None or name in wanted}
    for name in in_call_order(values, asked_for):
        text = python_of(program, params[name], values[name])
        given.append(f"{name}={text}" if name in asked_for else text)
    return f"registry.{call.method}({', '.join(given)})"


def _command(program: Program, method: str) -> Command | None:
    """Return the command that a method, or the timer of a call, asks for."""
    actions = program.machine.actions.items()
    names = {str(m): str(name) for name, each in actions for m in each.methods}
    names |= {each.name: each.first.name for each in program.choices}
    names |= {each.command.name: each.action for each in program.bulk if each.action}
    names |= {name: each[0].action for name, each in named_timers(program.timers).items()}
    if method in map(str, program.machine.create.methods):
        return program.create
    return next((each for each in program.actions if each.name == names.get(method)), None)


def _parameters(program: Program, method: str) -> dict[str, Type]:
    """Return the parameters of a call, each with its type."""
    command = _command(program, method)
    enum = Type("enum", program.symbols.cursor_enum)
    return {"consumer": enum, "cursor": INT} if command is None else dict(command.params)


def _asked(program: Program, method: str) -> frozenset[str]:
    """Return what a call of a method passes by name only."""
    command = _command(program, method)
    return command.keywords if command is not None else frozenset()


class _UnspellableError(Exception):
    """A value that no text of Python makes: of a class of the program, or of a pattern."""


def python_of(program: Program, type: Type, value: Value) -> str:
    """Return the Python expression of a value."""
    inner, symbols = type.required, program.symbols
    if value is not None and (scalar := _scalar_of(inner, value)) is not None:
        return scalar
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if inner == symbols.entity_fields["id"] and value != OPAQUE:
        return str(value)
    if inner.kind == "id":
        return f"{inner.name}.new()"
    if inner.kind == "enum":
        return f"{inner.name}.{value.upper()}"
    if inner.kind == DICT and inner.inner is not None and inner.key is not None:
        key, of = inner.key, inner.inner
        items = (
            f"{python_of(program, key, name)}: {python_of(program, of, each)}"
            for name, each in value
        )
        inside = ", ".join(items)
        return f"FrozenDict({{{inside}}})" if inside else "FrozenDict()"
    if inner.several and inner.inner is not None:
        of = inner.inner
        inside = ", ".join(python_of(program, of, each) for each in value)
        if inner.kind == SET:
            return f"frozenset({{{inside}}})" if inside else "frozenset()"
        return f"({inside},)" if inside else "()"
    if inner.kind in ("record", "union"):
        name, fields = (inner.name, value) if inner.kind == "record" else (value[0], value[1:])
        infos = symbols.records[name].fields.values()
        made = [
            f"{info.name}={python_of(program, info.type, each)}"
            for info, each in zip(infos, fields, strict=True)
        ]
        return f"{name}({', '.join(made)})"
    return repr(value)


def _scalar_of(type: Type, value: Value) -> str | None:
    """Return the Python expression of a value whose kind has a notation of its own, or None."""
    match type.kind:
        case "bytes":
            return _repeated(value, "b")
        case "decimal":
            return f'Decimal("{decimal_notation(value, type.places)}")'
        case DATETIME.kind:
            return f"datetime({', '.join(datetime_arguments(value))}, tzinfo=UTC)"
        case TIMEDELTA.kind:
            return f"timedelta({', '.join(timedelta_arguments(value))})"
        case "str":
            return _text_of(type, value)
        case "foreign":
            raise _UnspellableError
    return None


def _text_of(type: Type, value: str) -> str:
    """Return a text; for one that stands for any other, an example of a type with a pattern."""
    if type.limits is None or type.limits.accepts(value):
        return _repeated(value)
    if value != OPAQUE or not type.limits.accepts(type.limits.example):
        raise _UnspellableError
    return _repeated(type.limits.example)


def _repeated(text: str, prefix: str = "") -> str:
    """Return a text as Python, short where one character makes it long."""
    end = text[-1:]
    start = text.rstrip(end)
    if len(text) - len(start) < _REPEATED_MIN:
        return repr(text.encode() if prefix else text)
    times = f"{prefix}{end!r} * {len(text) - len(start)}"
    return f"{prefix}{start!r} + {times}" if start else times

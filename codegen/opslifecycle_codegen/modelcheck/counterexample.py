"""Print a counterexample: as text, call by call with the changes of each, and as a failing test."""

from __future__ import annotations

from collections.abc import Iterator

from opslifecycle_codegen.analysis.scenario_rules import (
    CRASH,
    CRASH_DISCARDING,
    DROP_BARRIER,
    DROP_WATCH,
)
from opslifecycle_codegen.ir.parameters import in_call_order
from opslifecycle_codegen.ir.program import TIMER_PREFIX, Program
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.ir.several import DICT, SET, element_of
from opslifecycle_codegen.ir.types import INT, Type, decimal_notation
from opslifecycle_codegen.modelcheck.search import Violation
from opslifecycle_codegen.modelcheck.state import Call, Several, State, Value
from opslifecycle_codegen.modelcheck.values import OPAQUE, shortened, spelled

#: How often a character is repeated before the number is shorter.
_REPEATED_MIN = 40
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
        lines.append(f"  {number}. {call_text(call)}")
        after = scenario.answer(state, call).state
        assert after is not None
        lines += [
            f"       {change}" for change in _changes(scenario.interpreter.program, state, after)
        ]
        state = after
    return "\n".join(lines)


def call_text(call: Call) -> str:
    """Return the shortest text of one call."""
    given = [call.id] if call.id is not None else []
    for name, value in call.arguments:
        if isinstance(value, Several):
            given.append(f"{name}: {shortened(spelled(value))}")
        elif isinstance(value, tuple) and name != "ids":
            inside = ", ".join(spelled(each) for each in value if each not in (None, OPAQUE))
            given.append(f"{name}: {inside}")
        elif name == "ids":
            given.append(f"[{', '.join(value)}]")
        elif value != OPAQUE:
            given.append(f"{name}: {shortened(spelled(value))}")
    text = f"{call.method}({', '.join(given)})"
    if call.time is not None:
        text += f" at time {call.time}"
    return f"{text}: {_NO_METHODS[call.method]}" if call.method in _NO_METHODS else text


def _changes(program: Program, before: State, after: State) -> Iterator[str]:
    """Yield the differences between two states."""
    fields = program.symbols.registry_fields
    for name, old, new in zip(fields, before.registry, after.registry, strict=True):
        if old != new:
            yield f"{name}: {old} → {new}"
    for old, new in zip(before.records, after.records, strict=True):
        if old is None or new is None:
            if old is not new:
                known = old if new is None else new
                assert known is not None
                yield f"{known[0]}: {'is gone' if new is None else f'is there, {new[1]}'}"
            continue
        for name, was, now in zip(program.symbols.entity_fields, old, new, strict=True):
            if was != now:
                yield f"{old[0]}.{name}: {shortened(spelled(was))} → {shortened(spelled(now))}"
    for name in ("rows", "cursors", "barriers", "watched", "time"):
        if getattr(before, name) != getattr(after, name):
            yield f"{name}: {getattr(before, name)} → {getattr(after, name)}"


def source_of_test(violation: Violation, module: str) -> str | None:
    """Return a test of the generated registry that fails while the property is violated.

    None for a property that no single state violates, and for a path on which a wait is dropped or
    a rule reads the time.
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
    lines = [f"from {module} import *", ""]
    types = (
        *program.create.params.values(),
        *(t for a in program.actions for t in a.params.values()),
    )
    has_dict = any(each.required.kind == DICT for each in types)
    if any(element_of(each).kind == "decimal" for each in types):
        lines.insert(0, "from decimal import Decimal")
    used = [name for name, is_used in (("FrozenDict", has_dict), ("MemoryStore", store)) if is_used]
    if used:
        lines.insert(0, f"from opslifecycle import {', '.join(used)}")
    if store:
        making = making.replace("MemoryStore()", "store")
    lines += ["", f"def test_{violation.property}() -> None:"]
    lines += [f"    {id} = {names.id}.new()" for id in ids]
    lines += ["    store = MemoryStore()"] if store else []
    lines += ["    waits = []", f"    registry = {making}"]
    for call in violation.calls:
        if call.method == CRASH:
            lines += ["    registry.close()", f"    registry = {making}"]
        else:
            lines.append(f"    {_python_call(program, call)}")
    lines.append("    assert registry.broken_invariants() == []")
    return "\n".join(lines) + "\n"


def _python_call(program: Program, call: Call) -> str:
    machine = program.machine
    if machine.watch is not None and call.method == machine.watch.method:
        return f"waits.append(registry.{call.method}({call.id}))"
    if machine.barrier is not None and call.method == machine.barrier.method:
        (key,) = machine.barrier.key.values()
        asked = ", ".join(dict(call.arguments)["ids"])
        return f"waits.append(registry.{call.method}({key}.new(), [{asked}]))"
    params: dict[str, Type] = dict(program.create.params)
    asked_for = _asked(program, call.method)
    for command in (*program.actions, *(each.command for each in program.bulk)):
        params |= command.params
    enum = Type("enum", program.symbols.cursor_enum)
    params |= {"consumer": enum, "cursor": INT}
    given = [call.id] if call.id is not None else []
    wanted = next((w for m, w in program.machine.create.methods.items() if m == call.method), None)
    values = {name: each for name, each in call.arguments if wanted is None or name in wanted}
    for name in in_call_order(values, asked_for):
        text = python_of(program, params[name], values[name])
        given.append(f"{name}={text}" if name in asked_for else text)
    return f"registry.{call.method}({', '.join(given)})"


def _asked(program: Program, method: str) -> frozenset[str]:
    """Return what a call of a method passes by name only."""
    actions = program.machine.actions.items()
    names = {str(m): str(name) for name, each in actions for m in each.methods}
    names |= {each.name: each.first.name for each in program.choices}
    names |= {each.command.name: each.action for each in program.bulk}
    action = names.get(method, "")
    if method in map(str, program.machine.create.methods):
        return program.create.keywords
    found = (each.keywords for each in program.actions if each.name == action)
    return next(found, frozenset())


def python_of(program: Program, type: Type, value: Value) -> str:
    """Return the Python expression of a value."""
    inner, symbols = type.required, program.symbols
    if inner.kind == "bytes" and value is not None:
        return _repeated(value, "b")
    if inner.kind == "decimal" and value is not None:
        return f'Decimal("{decimal_notation(value, inner.places)}")'
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
    return _repeated(value) if inner.kind == "str" else repr(value)


def _repeated(text: str, prefix: str = "") -> str:
    """Return a text as Python, short where one character makes it long."""
    end = text[-1:]
    start = text.rstrip(end)
    if len(text) - len(start) < _REPEATED_MIN:
        return repr(text.encode() if prefix else text)
    times = f"{prefix}{end!r} * {len(text) - len(start)}"
    return f"{prefix}{start!r} + {times}" if start else times

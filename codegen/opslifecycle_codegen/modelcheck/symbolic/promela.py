"""A scenario as a model for SPIN: one atomic step per call, properties asserted in each state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from opslifecycle_codegen.analysis.counters import every_update
from opslifecycle_codegen.ir.expr import Compare, Expression, Extreme, Literal, parts_of
from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.state import Value
from opslifecycle_codegen.modelcheck.symbolic.printing import (
    Printer,
    Spelling,
    call_text,
    header,
    members,
)
from opslifecycle_codegen.modelcheck.symbolic.relation import NotCoveredError, Relation, Transition
from opslifecycle_codegen.modelcheck.symbolic.terms import Formula, Term

_SHORT_MAX, _INT_MAX = 2**15 - 1, 2**31 - 1
_SPELLING = Spelling(
    {
        "and": "&&",
        "or": "||",
        "==": "==",
        "<": "<",
        "<=": "<=",
        "+": "+",
        "-": "-",
        "*": "*",
        "/": "/",
    },
    "!",
    lambda test, then, otherwise: f"({test} -> {then} : {otherwise})",
    ("false", "true"),
    # The maximum of C's `int`; no number of a state is greater.
    number_max=_INT_MAX,
)


def promela(scenario: Scenario, relation: Relation, source: str) -> str:
    """Return the text of the model; raises NotCoveredError if its numbers could overflow."""
    every = [each for _, each in [*relation.properties, *relation.variables]] + [relation.past]
    for transition in relation.transitions:
        every += [transition.enabled, *(formula for _, formula in transition.after)]
    numbers = _kind_of_numbers(scenario)
    lines = ["/*", *(f" * {line}" for line in header(scenario, source)), " */", ""]
    lines += [f"#define {label} {number}" for label, number in members(every).items()]
    lines.append("")
    for term, value in relation.variables:
        text, type = Printer(_SPELLING, []).text(value), "bool" if term.is_bool else numbers
        lines.append(f"{type} {term.name} = {text};")
    lines += ["/* One state stands for all past a bound, which are not gone on from. */"]
    lines += ["bool past = false;", ""]
    steps = [_step(each) for each in relation.transitions]
    check, checking = _check(relation)
    names = [name for name, _ in [*relation.properties, *relation.steps]]
    lines.append(f"hidden int {', '.join(names)};")
    temporary = max(count for _, count in [*steps, (check, checking)])
    lines += [f"hidden int {', '.join(f't{number + 1}' for number in range(temporary))};"]
    lines += ["", "active proctype registry() {", "end:", "  do", "  :: atomic {", "    if"]
    lines += [line for text, _ in steps for line in text]
    lines += ["    fi;", *check, "  }", "  od", "}", ""]
    return "\n".join(lines)


def _kind_of_numbers(scenario: Scenario) -> str:
    """Return the type of the variables: what one call computes from two numbers fits into it."""
    program = scenario.interpreter.program
    trees = [*program.initial.values(), *(each.value for each in every_update(program))]
    arguments = (value for call in scenario.calls for _, value in call.arguments)
    given = [each for value in arguments for each in _flat(value) if isinstance(each, int)]
    numbers = map(abs, (*given, *(each for tree in trees for each in _written(tree))))
    most = max([0, *numbers, *(bound.most for bound in scenario.bounds)])
    if most * most > _INT_MAX:
        raise NotCoveredError(f"its numbers go up to {most}, and SPIN computes with 32 bits")
    return "short" if most * most <= _SHORT_MAX else "int"


def _written(tree: Expression) -> Iterator[int]:
    """Yield the literals that may become a value; the end that `min` sets is beyond the bounds."""
    if isinstance(tree, Literal) and isinstance(tree.value, int):
        yield tree.value
    elif not isinstance(tree, Compare | Extreme):
        for part in parts_of(tree):
            yield from _written(part)


def _flat(value: Value) -> Iterator[Value]:
    """Yield the plain values that an argument consists of."""
    if isinstance(value, tuple):
        for each in value:
            yield from _flat(each)
    else:
        yield value


def _step(transition: Transition) -> tuple[list[str], int]:
    """Return one call as an alternative, and the number of its temporary variables."""
    after = dict(transition.after)
    asserted = [(name, formula) for name, formula in transition.steps if formula is not True]
    printer = Printer(_SPELLING, [*after.values(), *(formula for _, formula in asserted)])
    # The guard of a step must be its first statement, so it has no shared parts.
    enabled = Printer(_SPELLING, []).text(transition.enabled)
    lines = [f"    :: d_step {{ !past && {enabled} -> /* {call_text(transition.call)} */"]
    lines += [f"      {name} = {text};" for name, text in printer.definitions]
    lines += _asserted(printer, asserted)
    count = len(printer.definitions)
    assignments = []
    for term, formula in after.items():
        text = printer.text(formula)
        if isinstance(formula, Term) and not text.startswith("t"):
            # All new values are computed before any variable changes.
            count += 1
            lines.append(f"      t{count} = {text};")
            text = f"t{count}"
        assignments.append(f"      {term.name} = {text};")
    return [*lines, *assignments, "      skip }"], count


def _check(relation: Relation) -> tuple[list[str], int]:
    """Return the assertions of each state, and the jump of a state beyond a bound."""
    printer = Printer(_SPELLING, [*(each for _, each in relation.properties), relation.past])
    lines = ["    d_step {"]
    lines += [f"      {name} = {text};" for name, text in printer.definitions]
    lines += _asserted(printer, relation.properties)
    lines += ["      if", f"      :: {printer.text(relation.past)} ->"]
    lines += [f"        {term.name} = 0;" for term, _ in relation.variables]
    lines += ["        past = true", "      :: else", "      fi }"]
    return lines, len(printer.definitions)


def _asserted(printer: Printer, properties: Iterable[tuple[str, Formula]]) -> list[str]:
    """Return the assertions of properties; SPIN prints the variable's name of a violated one."""
    return [
        line
        for name, prop in properties
        for line in (f"      {name} = {printer.text(prop)};", f"      assert({name});")
    ]

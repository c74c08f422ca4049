"""A scenario as a TLA+ module: one action per call, each property an invariant or step property."""

from __future__ import annotations

from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.symbolic.printing import (
    Printer,
    Spelling,
    call_text,
    header,
    members,
)
from opslifecycle_codegen.modelcheck.symbolic.relation import Relation, Transition
from opslifecycle_codegen.modelcheck.symbolic.terms import Formula

_SPELLING = Spelling(
    {
        "and": "/\\",
        "or": "\\/",
        "==": "=",
        "<": "<",
        "<=": "<=",
        "+": "+",
        "-": "-",
        "*": "*",
        "/": "\\div",
    },
    "~",
    lambda test, then, otherwise: f"(IF {test} THEN {then} ELSE {otherwise})",
    ("FALSE", "TRUE"),
)


def tla(scenario: Scenario, relation: Relation, source: str) -> str:
    """Return the text of the module."""
    every: list[Formula] = [each for _, each in [*relation.properties, *relation.steps]]
    every += [relation.past, *(value for _, value in relation.variables)]
    for transition in relation.transitions:
        every += [transition.enabled, *(formula for _, formula in transition.after)]
    names = [term.name for term, _ in relation.variables]
    listed = ", ".join(names)
    plain = Printer(_SPELLING, [])
    begins = [f"  /\\ {term.name} = {plain.text(value)}" for term, value in relation.variables]
    lines = [
        f"---- MODULE {scenario.name} ----",
        *(f"\\* {line}" for line in header(scenario, source)),
    ]
    lines += ["EXTENDS Integers", ""]
    lines += [f"{label} == {number}" for label, number in members(every).items()]
    lines += ["", f"VARIABLES {listed}", "", f"vars == <<{listed}>>", "", "Init ==", *begins, ""]
    lines += ["\\* Past a bound: checked, and not gone on from.", *_defined("Past", relation.past)]
    for number, transition in enumerate(relation.transitions, 1):
        lines += _action(number, transition, names)
    calls = [f"Call{number + 1}" for number in range(len(relation.transitions))]
    lines += ["", "Next ==", "  /\\ ~Past"]
    lines += ["  /\\ \\/ " + "\n     \\/ ".join(calls), "", "Spec == Init /\\ [][Next]_vars", ""]
    for name, prop in relation.properties:
        lines += _defined(name, prop)
    for name, step in relation.steps:
        lines += _defined(name, step, "[][{}]_vars")
    return "\n".join([*lines, "====", ""])


def _defined(name: str, formula: Formula, form: str = "{}") -> list[str]:
    printer = Printer(_SPELLING, [formula])
    text = form.format(_within(printer, printer.text(formula)))
    return [f"{name} == {text}"]


def _within(printer: Printer, text: str) -> str:
    """Return a text after the definitions that it needs."""
    if not printer.definitions:
        return text
    defined = " ".join(f"{name} == {each}" for name, each in printer.definitions)
    return f"LET {defined} IN {text}"


def _action(number: int, transition: Transition, names: list[str]) -> list[str]:
    after = dict(transition.after)
    printer = Printer(_SPELLING, [transition.enabled, *after.values()])
    changed = {term.name for term in after}
    kept = [name for name in names if name not in changed]
    lines = ["", f"\\* {call_text(transition.call)}", f"Call{number} =="]
    if printer.definitions:
        defined = [f"{name} == {text}" for name, text in printer.definitions]
        lines += ["  LET " + "\n      ".join(defined), "  IN"]
    lines.append(f"  /\\ {printer.text(transition.enabled)}")
    lines += [f"  /\\ {term.name}' = {printer.text(each)}" for term, each in after.items()]
    if kept:
        lines.append(f"  /\\ UNCHANGED <<{', '.join(kept)}>>")
    return lines

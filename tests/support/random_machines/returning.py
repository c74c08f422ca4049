"""A random machine: values that actions return, and methods over several of them."""

from __future__ import annotations

from tests.support.random_machines.building import Builder, Tree
from tests.support.random_machines.expressions import Expressions, Scope
from tests.support.random_machines.picking import Pick


def add_returns(b: Builder, pick: Pick) -> None:
    """Have some actions return what they leave of their record, or of the registry."""
    expressions = Expressions(pick, b.shapes, pick)
    for action in b.tree["actions"].values():
        if action.get("methods") and pick.chance(25):
            action["returns"] = _value(b, pick, expressions, action)
            b.has("action: returns")
    for method in b.tree.get("methods", {}).values():
        if pick.chance(50):
            first = b.tree["actions"][method["actions"][0]]
            method["returns"] = _value(b, pick, expressions, first)
            b.has("method over several actions: returns")
    b.features |= expressions.used


def _value(b: Builder, pick: Pick, expressions: Expressions, action: Tree) -> str:
    given = {
        name: each if isinstance(each, str) else each["type"]
        for name, each in action.get("params", {}).items()
    }
    scope: Scope = {**b.of_record(), f"{b.entity}.id": b.id, **b.of_command(), **given}
    if pick.chance(60):
        return pick.one([path for path, _ in expressions.paths(scope)])
    if pick.chance(50):
        return f"min({expressions.count(scope, 1)}, 5) if {expressions.boolean(scope, 1)} else 2"
    return expressions.boolean(scope)

"""A field of a value that a guard checks in place of the constructor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opslifecycle import MemoryStore

from tests.support.codegen.projects import package

TURNSTILE = Path(__file__).parent / "turnstile.yaml"
EDITS = [
    (
        "statuses:\n",
        """values:
  Card:
    summary: What opens a gate.
    tag: kind
    variants: {Day: {summary: For a day., fields: {day: int}}, Staff: {summary: Always.}}
  Plan: {summary: What is planned., fields: {card: {type: Card | None, checked_by: has_card}}}

statuses:
""",
    ),
    ("  coins:", "  plan: {type: Plan | None, initial: plan}\n  coins:"),
    (
        "guards:\n",
        """  no_card: {class: NoCardError, message: that is no card}

guards:
  has_card: {when: plan is None or plan.card is None or plan.card is Card, error: no_card}
""",
    ),
    ("[id, place]", "[id, place, plan]"),
    ("place: str}", "place: str, plan: Plan | None}"),
    ("guards: [new]", "guards: [new, has_card]"),
    ("watch:", "recovery: {persist_if: 'true'}\n\nwatch:"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the package of gates with plans."""
    return package(tmp_path_factory.mktemp("gates"), TURNSTILE, "carded", *EDITS)


@pytest.mark.parametrize("wrong", ["a text", 7, object(), [], {"kind": "day"}])
def test_a_wrong_value_is_rejected_by_the_guard(made: Any, wrong: object) -> None:
    """The constructor accepts it, and no code behind the guard sees it."""
    with made.GateRegistry(store=MemoryStore()) as registry:
        id = made.GateId.new()
        with pytest.raises(made.NoCardError, match="that is no card"):
            registry.install(id, "door", made.Plan(wrong))
        for card in (None, made.Day(7), made.Staff()):
            registry.install(made.GateId.new(), "door", made.Plan(card))
        registry.install(id, "door")

"""Updates in order: each reads what those before it have set, not what guards knew."""

from __future__ import annotations

from pathlib import Path

import pytest
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.project import program_of

TURNSTILE = Path(__file__).with_name("turnstile.yaml")
FIELDS = """
  note: {type: str | None}
  last: {type: Visit | None}
  terminal_outcome: {type: End | None}
"""
TYPES = """
values:
  Visit:
    summary: Who came through.
    tag: kind
    variants:
      Guest: {summary: Somebody with a name., fields: {name: str}}
      Unknown: {summary: Somebody without one.}
  End:
    summary: How a gate ended.
    tag: kind
    variants:
      Scrapped: {summary: It was taken away., fields: {why: str}}
"""
GUARDS = """
  noted: {when: gate.note is not None, error: {no_such_gate: {id: id}}}
  named: {when: gate.last is Guest, error: {no_such_gate: {id: id}}}
"""


def rules(coin: str, scrap: str = "to: scrapped, outcome: Scrapped('old')") -> set[str]:
    """Return the rules that a machine breaks with such actions."""
    text = TURNSTILE.read_text(encoding="utf-8")
    for old, new in (
        ("\nerrors:\n", f"{FIELDS}\nerrors:\n"),
        ("\nstatuses:\n", f"{TYPES}\nstatuses:\n"),
        ("guards:\n  new", f"guards:{GUARDS}  new"),
        ("update: {gate.coins: gate.coins + 1}", coin),
        ("from: live, to: scrapped", f"from: live, {scrap}"),
        ("scrap: {summary: Take the gate away., methods: [scrap]",
         "scrap: {summary: Take it away., methods: [scrap], params: {visit: Visit}, "
         "guards: [known, noted, named]"),
        ("coin: {summary: Pay., methods: [coin]",
         "coin: {summary: Pay., methods: [coin], guards: [known, noted, named], "
         "params: {visit: Visit, text: str, more: str | None}"),
    ):  # fmt: skip
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    try:
        program_of(text.encode(), "turnstile.yaml")
    except InvalidMachineError as error:
        return {finding.rule for finding in error.findings}
    return set()


@pytest.mark.parametrize(
    ("updates", "rule"),
    [
        # A field that may be None, of which a guard knew that it is not.
        ("gate.place: gate.note, gate.note: None", ""),
        ("gate.note: None, gate.place: gate.note", "wrong-type"),
        ("gate.note: more, gate.place: gate.note", "wrong-type"),
        ("gate.note: text, gate.place: gate.note", ""),
        # A variant that a guard has tested.
        ("gate.place: gate.last.name, gate.last: visit", ""),
        ("gate.last: visit, gate.place: gate.last.name", "unknown-name"),
        ("gate.last: Unknown(), gate.place: gate.last.name", "unknown-name"),
        ("'gate.last': \"Guest('Ada')\", gate.place: gate.last.name", ""),
        # Another field whose name begins alike.
        ("gate.place: text, gate.note: gate.note", ""),
    ],
)
def test_an_update_is_of_the_values_before_it(updates: str, rule: str) -> None:
    assert rules(f"update: {{{updates}}}") == ({rule} if rule else set())


@pytest.mark.parametrize(
    ("scrap", "rule"),
    [
        ("to: scrapped, update: {gate.coins: 0}, outcome: Scrapped(gate.note)", ""),
        ("to: scrapped, update: {gate.note: None}, outcome: Scrapped(gate.note)", "wrong-type"),
        (
            "to: scrapped, update: {gate.last: visit}, outcome: Scrapped(gate.last.name)",
            "unknown-name",
        ),
    ],
)
def test_an_outcome_is_of_the_record_after_the_updates(scrap: str, rule: str) -> None:
    assert rules("update: {gate.coins: 1}", scrap) == ({rule} if rule else set())


@pytest.mark.parametrize(
    ("first", "rule"), [("gate.coins: 0", ""), ("gate.note: None", "wrong-type")]
)
def test_the_updates_of_a_target_come_after_those_of_the_action(first: str, rule: str) -> None:
    target = "status: scrapped, update: {gate.place: gate.note}, outcome: Scrapped('old')"
    other = "{status: scrapped, outcome: Scrapped('new')}"
    scrap = f"update: {{{first}}}, to: [{{when: gate.note == 'x', {target}}}, {other}]"
    assert rules("update: {gate.coins: 1}", scrap) == ({rule} if rule else set())

"""What a newcomer gets wrong: one message for each cause, and the fix in its hint."""

from __future__ import annotations

from pathlib import Path

import pytest
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.project import program_of

TURNSTILE = (Path(__file__).parent / "turnstile.yaml").read_text(encoding="utf-8")
COINS = "coins: {type: int, initial: '0'}"

#: By the mistake: a text of the machine, what is written in its place, the message, the hint.
MISTAKES = {
    "integer": ("coins: {type: int,", "coins: {type: integer,", "no type 'integer'", "write int"),
    "string": ("place: str}", "place: string}", "no type 'string'", "write str"),
    "boolean": ("coins: {type: int,", "coins: {type: boolean,", "'boolean'", "write bool"),
    "number": ("coins: {type: int,", "coins: {type: number,", "'number'", "write int or float"),
    "optional": ("coins: {type: int,", "coins: {type: 'int?',", "'int?'", "write int | None"),
    "tab": ("    locked:", "\tlocked:", "a tab indents this line", "indent with spaces"),
    "tab inside": ("  coin: {", "\tcoin: {", "a tab indents this line", "indent with spaces"),
    "less indented": (
        "    unlocked:",
        "   unlocked:",
        "this line is indented by 3 spaces",
        "indent the keys of one mapping alike: this one by 2 or 4 spaces",
    ),
    "more indented": (
        "    unlocked:",
        "     unlocked:",
        "this line is indented by 5 spaces",
        "indent the keys of one mapping alike: this one by 4 spaces",
    ),
    "yes": ("terminal: true", "terminal: yes", "YAML reads yes as a boolean", "write true, or"),
    "True": ("terminal: true", "terminal: True", "YAML reads True", "write true, or quote it"),
    "class": ("  push: {", "  class: {", "'class' is reserved by Python", "choose another"),
    "misspelt": ("summary: Pay.", "sumary: Pay.", "no key 'sumary'", "did you mean 'summary'?"),
    "section": ("\nactions:", "\ntransitions:", "no key 'transitions'", "did you mean 'actions'?"),
    "final": ("terminal: true", "final: true", "no property 'final' is", "did you mean 'terminal'"),
    # What seems unused because of the word is no mistake of its own.
    "target": ("to: unlocked", "to: unlokced", "there is no status 'unlokced'", "mean 'unlocked'?"),
    "method": ("methods: [coin]", "method: [coin]", "coin has no key 'method'", "mean 'methods'?"),
    "owner": (
        "gate.coins: gate.coins",
        "coins: gate.coins",
        "'coins' cannot be",
        "write gate.coins",
    ),
    "flat statuses": (
        "statuses:\n  members:\n",
        "statuses:\n",
        "statuses lacks the key 'members'",
        "put 'locked', 'unlocked', 'scrapped' under it",
    ),
    "colon": ("summary: A turn", "summary: A: turn", "mapping values are not", "quote a value"),
    "colon inside": ("summary: Pay.", "summary: Pay: now", "did not find", "quote a value"),
    "unclosed": (
        "away., terminal: true}",
        "away., terminal: true",
        "the { in line 13 is not closed before this line",
        "add } where it ends",
    ),
    "name": ("from: [locked]", "from: Locked", "'Locked' is not a snake_case", "write locked; "),
    "list": ("entity: gate", "entity: [gate]", "expected a single value", "leave out the brackets"),
    "and": ("gate is None,", "gate is None && true,", "not an expression", "write `and`"),
    "not": ("gate is None,", "gate is None and !gate.coins,", "not an expr", "write `not` in"),
    "text": (
        "gate.coins: gate.coins + 1",
        "gate.place: north",
        "there is no 'north' here",
        "write \"'north'\" for the text",
    ),
}


def findings(text: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidMachineError) as caught:
        program_of(text.encode(), "m.yaml")
    return [(each.message, each.hint) for each in caught.value.findings]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_reported_with_its_fix(name: str) -> None:
    old, new, message, hint = MISTAKES[name]
    assert old in TURNSTILE
    found = findings(TURNSTILE.replace(old, new, 1))
    ((told, fix),) = found
    assert message in told
    assert hint in fix


def test_a_field_that_others_depend_on_is_missed_once() -> None:
    text = TURNSTILE.replace(f"  {COINS}\n", "")
    assert text.count("coins") == 4
    found = findings(text)
    assert found == [
        ("the record has no field 'coins', also in line 52", "declare it under `fields`")
    ]


def test_a_word_that_yaml_reads_as_a_boolean_is_reported_once() -> None:
    found = findings(TURNSTILE.replace("locked", "on").replace("unon", "closed"))
    assert found == [
        (
            "YAML reads on as a boolean, also in lines 42, 45 and 46",
            "write true, or quote it to mean the word: 'on'",
        )
    ]


def test_two_causes_are_two_findings() -> None:
    text = TURNSTILE.replace(f"  {COINS}\n", "").replace("place: gate.place", "place: gate.plaice")
    assert [message.partition(",")[0] for message, _ in findings(text)] == [
        "the record has no field 'coins'",
        "the record has no field 'plaice'",
    ]

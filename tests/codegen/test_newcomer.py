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


CART = (Path(__file__).parent / "cart.yaml").read_text(encoding="utf-8")
PRESENT = "present: {when: 'sku in cart.counts'"
WITHOUT = "'without(cart.counts, sku)'"
RESERVED = "reserved: {type: Counts, initial: '{}'}"
RESERVE = "cart.reserved | {sku: cart.counts.get(sku, 0)}"
ABSENT = (
    "an absent key is None: write cart.counts.get(sku, default), or test"
    " `cart.counts.get(sku) is not None` first; `sku in cart.counts` is no such test"
)
INSTEAD = "test `is not None` first, or declare it without `| None`: it can be empty"
#: The same of collections: what is written, and where it is reported.
COLLECTIONS = {
    "get without a default": (
        PRESENT,
        "present: {when: 'cart.counts.get(sku) > 0'",
        "found int | None",
        ABSENT,
    ),
    "get on the right": (
        PRESENT,
        "present: {when: '0 < cart.counts.get(sku)'",
        "found int | None",
        ABSENT,
    ),
    "get behind in": (
        PRESENT,
        "present: {when: 'sku in cart.counts and cart.counts.get(sku) > 0'",
        "found int | None",
        ABSENT,
    ),
    "get in a sum": ("cart.counts.get(sku, 0) +", "cart.counts.get(sku) +", "a number", ABSENT),
    "get in an item": (
        "{sku: cart.counts.get(sku, 0)}",
        "{sku: cart.counts.get(sku)}",
        "int",
        ABSENT,
    ),
    "subscript": (
        PRESENT,
        "present: {when: 'sku in cart.counts and cart.counts[sku] > 0'",
        "subscripted",
        "write cart.counts.get(sku), which may be None, or cart.counts.get(sku, default)",
    ),
    "index": (
        PRESENT,
        "present: {when: 'cart.notes[0] == sku'",
        "subscripted",
        "`value in cart.notes`",
    ),
    "in a dict or None": (
        RESERVE,
        "{} if sku in cart.reserved else {}",
        "cart.reserved may",
        INSTEAD,
    ),
    "items of a dict or None": (RESERVE, RESERVE, "cart.reserved may be None", INSTEAD),
    "get of a dict or None": (RESERVE, "{sku: cart.reserved.get(sku, 0)}", "may be None", INSTEAD),
    "without of a dict or None": (RESERVE, "without(cart.reserved, sku)", "may be None", INSTEAD),
    "inline dict": (
        "counts: {type: Counts,",
        "counts: {type: 'dict[str, int]',",
        "no type 'dict[str, int]'",
        "`types` declares `Many: {summary: …, type: 'dict[str, int]', max_length: …}`",
    ),
    "inline list": (
        "params: {text: str}",
        "params: {text: 'list[str]'}",
        "no type 'list[str]'",
        "`types` declares `Many: {summary: …, type: 'list[str]', max_length: …}`",
    ),
    "only dict": ("type: 'dict[Sku, int]'", "type: dict", "limits 'dict'", "write dict[str, T], "),
    "None in a dict": ("dict[Sku, int]", "dict[Sku, int | None]", "no type", "no element of a "),
    "braces": (
        "initial: '{}'}\n  reserved",
        "initial: {}}\n  reserved",
        "a single",
        "quote an empty ",
    ),
    "without": (
        WITHOUT,
        "cart.counts.without(sku)",
        "'without'",
        "write without(cart.counts, key)",
    ),
    "pop": (WITHOUT, "cart.counts.pop(sku)", "'pop'", "write without(cart.counts, key)"),
    "append": (
        "cart.notes + [text]",
        "cart.notes.append(text)",
        "'append'",
        "cart.notes + [value]",
    ),
    "sum": (
        "cart.total + count",
        "sum(cart.counts)",
        "no rule adds up elements",
        "keep in a field what rules ask",
    ),
    "dict()": (
        "counts: {type: Counts, initial: '{}'",
        "counts: {type: Counts, initial: dict()",
        "no function 'dict'",
        "write {}",
    ),
    "any over keys": (
        PRESENT,
        "present: {when: any(key == sku for key in cart.counts)",
        "no rule goes through the elements of Counts",
        "keep in a field what rules ask",
    ),
    "all over items": (
        PRESENT,
        "present: {when: 'all(n > 0 for k, n in cart.counts.items())'",
        "through the elements of Counts",
        "keep in a field what rules ask",
    ),
    "any over a list": (
        PRESENT,
        "present: {when: any(each == sku for each in cart.notes)",
        "through the elements of Notes",
        "keep in a field what rules ask",
    ),
    "stars": (
        WITHOUT,
        "'{**cart.counts, sku: 0}'",
        "`key: value`",
        "write cart.counts | {key: value}",
    ),
    "update of a key": (
        f"{{cart.counts: {WITHOUT}}}",
        "{'cart.counts[sku]': '0'}",
        "'counts[sku]' is no field",
        "set counts, the whole field, to what it was, with `| {sku: value}` behind it",
    ),
    "returns None": (
        "summary: Drop an article.",
        "summary: Drop an article.\n    returns: None",
        "drop returns no value, so it has no `returns`",
        "remove `returns`",
    ),
    "returns null": (
        "summary: Drop an article.",
        "summary: Drop an article.\n    returns: null",
        "drop returns no value, so it has no `returns`",
        "remove `returns`",
    ),
}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_mistake_about_a_collection_is_reported_with_its_fix(name: str) -> None:
    old, new, message, hint = COLLECTIONS[name]
    assert CART.count(old) == 1
    text = CART.replace(old, new)
    if "or None" in name:
        text = text.replace(RESERVED, "reserved: {type: Counts | None}")
    ((told, fix),) = findings(text)
    assert message in told
    assert hint in fix


SAMPLE = Path(__file__).parents[1] / "random_machines/fields/sample.yaml"
PLAN = SAMPLE.with_name("subscription.yaml")


@pytest.mark.parametrize(
    ("path", "old", "new", "message", "hint"),
    [
        (SAMPLE, "{if: 'Risk.viral in", "{if: 'viral in", "there is no 'viral' here", "Risk.viral"),
        (SAMPLE, "else [reading]'", "else [Reading(of, level)]'", "no expression constructs a Rea",
         "take it as a parameter; of a union, write one of its variants"),
        (PLAN, " if len(registry.prices) < 5 else registry.prices", "", "len(registry.prices) may",
         "write `… if len(registry.prices) < 5 else …`, or add a guard that tests it"),
    ],
)  # fmt: skip
def test_a_hint_says_what_the_language_has(
    path: Path, old: str, new: str, message: str, hint: str
) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    ((told, fix),) = findings(text.replace(old, new))
    assert message in told
    assert hint in fix


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

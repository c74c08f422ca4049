"""Integers with a declared range: checked where they come in, kept in range, stored and read."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import InvalidValueError, OutOfRangeError, SqliteStore
from opslifecycle_codegen.analysis.counters import small_steps
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.limits import widens
from opslifecycle_codegen.compat.versions import compared
from opslifecycle_codegen.modelcheck import verification
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Search

from tests.support.codegen.projects import assert_clean, project

CASE = Path(__file__).parent / "cases" / "types" / "machine.yaml"
TEXT = CASE.read_text(encoding="utf-8")


def variant(*edits: tuple[str, str]) -> bytes:
    text = TEXT
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text.encode()


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a package of gates with a number of coins and a change that may be negative."""
    folder = tmp_path_factory.mktemp("limits")
    source = folder / "limited_gate.yaml"
    edits = (
        ("machine: turnstile", "machine: limited_gate"),
        ("errors:", "recovery: {persist_if: 'true'}\n\nerrors:"),
        ("coins: gate.coins}", "coins: gate.coins, last: gate.last, twice: gate.last * -2}"),
    )
    source.write_bytes(variant(*edits))
    made = project(folder / "project", source)
    assert_clean(made)
    sys.path.insert(0, str(made / "src"))
    yield importlib.import_module("limited_gate")
    sys.path.remove(str(made / "src"))


@pytest.mark.parametrize("by", [-1001, 1001, True, 1.0, "1", 2**70])
def test_an_argument_out_of_its_range_is_refused(gates: Any, by: object) -> None:
    with gates.GateRegistry() as registry:
        id = gates.GateId.new()
        registry.install(id, "door")
        with pytest.raises(InvalidValueError, match=r"^by: expected an integer"):
            registry.give(id, by)
        assert registry.snapshot(id).coins == 0


@pytest.mark.parametrize("stored", [False, True])
def test_a_result_out_of_its_range_is_rejected_and_nothing_has_changed(
    gates: Any, stored: bool, tmp_path: Path
) -> None:
    def opened() -> Any:
        store = SqliteStore(tmp_path / "gates.db") if stored else None
        return gates.GateRegistry(store=store)

    id = gates.GateId.new()
    with opened() as registry:
        registry.install(id, "door")
        registry.give(id, 1000)
        with pytest.raises(OutOfRangeError, match=r"gate\.coins would be 1001"):
            registry.coin(id)
        registry.give(id, -3)
        with pytest.raises(OutOfRangeError, match=r"gate\.coins would be -1"):
            registry.give(id, -998)
        found = registry.snapshot(id)
        assert (found.coins, found.last, found.twice) == (997, 3, -6)
    if stored:
        with opened() as registry:
            assert (registry.snapshot(id).coins, registry.snapshot(id).last) == (997, 3)


def test_a_divisor_of_zero_is_rejected_and_quotients_are_rounded_down(gates: Any) -> None:
    with gates.GateRegistry() as registry:
        id = gates.GateId.new()
        registry.install(id, "door")
        registry.give(id, 10)
        with pytest.raises(OutOfRangeError, match=r"the divisor parts would be 0"):
            registry.share(id, 0)
        assert registry.snapshot(id).coins == 10
        registry.share(id, -3)
        assert registry.snapshot(id).coins == 10 // -3 % 7


def test_a_stored_number_out_of_its_range_is_damage(gates: Any) -> None:
    storage = importlib.import_module("limited_gate.storage")
    id = gates.GateId.new()
    for coins in (-1, 1001, 1.0, True):
        body = f'{{"status":"locked","place":"door","coins":{str(coins).lower()}}}'
        with pytest.raises(InvalidValueError, match="expected an integer from 0 to 1000"):
            storage.deserialize(id, body)


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ("int", "int(minimum=-5)", True),
        ("int", "int(minimum=1)", False),
        ("int(minimum=0, maximum=9)", "int", True),
        ("int(minimum=0, maximum=9)", "int(maximum=10) | None", True),
        ("int(minimum=0, maximum=9)", "int(maximum=8)", False),
        ("int | None", "int", False),
        ("int", "str", False),
        ("GateId", "GateId | None", True),
        ("str(max_length=3)", "str", True),
        ("str(max_length=3)", "str(max_length=4) | None", True),
        ("str", "str(max_length=4)", False),
        ("str(pattern=a(b, c=1)?)", "str(max_length=9, pattern=a(b, c=1)?)", False),
        ("str(max_length=9, pattern=a(b, c=1)?)", "str(pattern=a(b, c=1)?)", True),
        ("str(pattern=a)", "str(pattern=b)", False),
    ],
)
def test_a_type_holds_the_values_of_another(old: str, new: str, verdict: bool) -> None:
    assert widens(old, new) is verdict


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("maximum: 1000}\n  Change", "maximum: 2000}\n  Change"), ["[field-widened]"]),
        (("maximum: 1000}\n  Change", "maximum: 999}\n  Change"), ["[field-type]"]),
        (
            ("minimum: -1000", "minimum: -999"),
            ["[field-type]", "[limits-changed]", "[limits-changed]"],
        ),
    ],
)
def test_a_change_of_limits_is_told(edit: tuple[str, str], told: list[str]) -> None:
    stored = ("errors:", "recovery: {persist_if: 'true'}\n\nerrors:")
    old, new = (program_of(variant(stored, *e), "m.yaml") for e in ((), (edit,)))
    changes = [str(change) for change, _ in compared(old, new).changes]
    found = [change for rule in dict.fromkeys(told) for change in changes if rule in change]
    assert [change[change.index("[") :] for change in found] == told


def test_a_search_tries_the_numbers_at_which_guards_decide_otherwise() -> None:
    guard = "  few: {when: by >= 50, error: {no_such_gate: {id: id}}}\n  new: {when"
    edits = (
        ("  new: {when", guard),
        (
            "params: {by: Change}, from: live",
            "params: {by: Change}, guards: [known, few], from: live",
        ),
    )
    (scenario,) = scenarios(program_of(variant(*edits), "m.yaml"))
    # Beside the constant: the ends of the range, and 0.
    assert scenario.values.chosen["by"] == [-1000, 0, 49, 50, 51, 1000]
    declared = "scenarios:\n  one: {summary: One., entities: 1, params: {by: ['7']}, "
    text = variant(*edits, ("snapshot:", declared + "bounds: {gate.coins: 9}}\n\nsnapshot:"))
    (scenario,) = scenarios(program_of(text, "m.yaml"))
    given = {dict(c.arguments)["by"] for c in scenario.calls if c.method == "give"}
    assert given == {7}
    _, lines = verification.searched(scenario)
    assert any(line.startswith("  tried parts: -1000,") for line in lines)


def test_a_search_tries_the_numbers_inside_a_variant() -> None:
    text = (Path(__file__).parent / "turnstile.yaml").read_text(encoding="utf-8")
    variants = "{Guest: {summary: G., fields: {age: int, name: str}}, Dog: {summary: D.}}"
    test = "visit is Guest and visit.age >= 18"
    for old, new in (
        (
            "\nstatuses:\n",
            f"\nvalues:\n  Visit: {{summary: V., tag: k, variants: {variants}}}\n\nstatuses:\n",
        ),
        (
            "guards:\n  new",
            f"guards:\n  adult: {{when: {test}, error: {{no_such_gate: {{id: id}}}}}}\n  new",
        ),
        ("methods: [coin],", "methods: [coin], params: {visit: Visit}, guards: [known, adult],"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (scenario,) = scenarios(program_of(text.encode(), "m.yaml"))
    visits = {dict(c.arguments)["visit"] for c in scenario.calls if c.method == "coin"}
    # No rule reads the name.
    assert visits == {("Dog",), *(("Guest", age, "x") for age in (0, 17, 18, 19))}
    assert "unlocked" in Search(scenario).run().statuses


FEED = """\
feed:
  summary: What happens.
  method: changes
  of: [give]
  epoch: FeedId
  batch: Changes
  when: gate.last > 50
  entry: {name: GateChange, summary: One., fields: {seq: gate.sequence}}

snapshot:"""
TALLY = """\
registry:
  many:
    type: int
    initial: 0
    summary: How many have much.
    recovered_as: count(g for g in gates if g.last > 50)

recovery: {persist_if: 'true'}

errors:"""
PAYMENT = """\
values:
  Payment:
    summary: What is paid.
    fields: {paid: int, is_large: {type: bool, always: paid > 50}}

errors:"""


def guarded(action: str, test: str) -> list[tuple[str, str]]:
    """Return edits that give an action a guard."""
    guard = f"  fit: {{when: {test}, error: {{no_such_gate: {{id: id}}}}}}\n  new: {{when"
    begin = f"  {action}: {{summary: "
    return [("  new: {when", guard), (begin, f"  {action}: {{guards: [known, fit], summary: ")]


@pytest.mark.parametrize(
    ("parameter", "edits"),
    [
        ("by", [("errors:", "recovery: {persist_if: gate.last != 50}\n\nerrors:")]),
        ("by", [("errors:", TALLY), *guarded("push", "registry.many == 0")]),
        ("by", [("  GateId:", "  FeedId: {summary: One.}\n  GateId:"), ("snapshot:", FEED)]),
        (
            "payment.paid",
            [
                ("errors:", PAYMENT),
                ("params: {by: Change}", "params: {by: Change, payment: Payment}"),
                *guarded("give", "payment.is_large"),
            ],
        ),
    ],
    ids=["persist_if", "recovered_as", "feed", "always"],
)
def test_a_search_tries_the_numbers_of_every_rule(
    parameter: str, edits: list[tuple[str, str]]
) -> None:
    (scenario,) = scenarios(program_of(variant(*edits), "m.yaml"))
    # `-by` becomes `last` where that is compared.
    assert {49, 50, 51} <= set(scenario.values.chosen[parameter])


@pytest.mark.parametrize(
    ("value", "is_small"),
    [
        ("gate.coins + 1", True),
        ("gate.coins - 1", True),
        ("gate.coins - (1 - by)", False),
        ("gate.coins - -2000", False),
        ("gate.coins * 2", False),
    ],
)
def test_only_what_grows_by_little_counts_in_small_steps(value: str, is_small: bool) -> None:
    edits = (
        ("coins: {type: Coins, initial: 0}", "coins: {type: int, initial: 0}"),
        ("gate.coins + by, gate.last: -by}", f"{value}, gate.last: -by}}"),
        ("by: Change}", "by: int}"),
        ("{gate.coins: gate.coins // parts % 7}", "{gate.last: parts}"),
        ("  Coins: {summary: How many fit into a gate., ", "  Coins: {summary: Unused., "),
        ("place: {type: str, ", "most: {type: Coins | None}\n  place: {type: str, "),
    )
    assert ("gate.coins" in small_steps(program_of(variant(*edits), "m.yaml"))) is is_small


TEXTS = Path(__file__).parent / "cases" / "text-types" / "machine.yaml"


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a package whose texts have limits, and whose identifiers are no UUIDs."""
    folder = tmp_path_factory.mktemp("texts")
    text = TEXTS.read_text(encoding="utf-8").replace("machine: turnstile", "machine: text_gate")
    source = folder / "text_gate.yaml"
    source.write_text(text.replace("errors:", "recovery: {persist_if: 'true'}\n\nerrors:"))
    made = project(folder / "project", source)
    assert_clean(made)
    sys.path.insert(0, str(made / "src"))
    yield importlib.import_module("text_gate")
    sys.path.remove(str(made / "src"))


def test_a_text_with_limits_is_checked_and_stored(shops: Any, tmp_path: Path) -> None:
    id, coin = shops.GateId("gate_front-door"), shops.CoinId("co12345678")
    with shops.GateRegistry(store=SqliteStore(tmp_path / "gates.db")) as registry:
        with pytest.raises(InvalidValueError, match=r"^place: expected at most 40 characters"):
            registry.install(id, "x" * 41)
        registry.install(id, "x" * 40)
        for currency in ("EUR", "euro", "eur\n", ""):
            with pytest.raises(InvalidValueError, match=r"^to: expected text that matches"):
                registry.change(id, coin, currency)
        registry.change(id, coin, "usd")
    with shops.GateRegistry(store=SqliteStore(tmp_path / "gates.db")) as registry:
        found = registry.snapshot(id)
        assert (found.id, found.place, found.currency) == (id, "x" * 40, "usd")
        assert (type(found.id), type(found.last)) == (shops.GateId, shops.CoinId)


def test_an_identifier_with_a_pattern_is_made_and_checked(shops: Any) -> None:
    first, second = shops.GateId.new(), shops.GateId.new()
    assert str(first).startswith("gate_")
    assert first < second
    assert shops.GateId(str(first)) == first != str(first)
    assert len(shops.CoinId.new()) == 34
    assert shops.GateId("gate_" + "x" * 200)
    for text in ("", "gate_", "door_1", "gate_" + "x" * 201, "gate_\ud800", 7):
        with pytest.raises(InvalidValueError, match=r"^GateId: expected text"):
            shops.GateId(text)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("prefix: gate_", "prefix: g_", "id-changed"),
        (", prefix: gate_}", "}", "id-changed"),
        ("max_length: 40", "max_length: 39", "field-type"),
        ("max_length: 40", "max_length: 41", "field-widened"),
    ],
)
def test_a_change_of_texts_is_told(old: str, new: str, told: str) -> None:
    text = TEXTS.read_text("utf-8").replace("errors:", "recovery: {persist_if: 'true'}\n\nerrors:")
    assert old in text
    before, after = (program_of(each.encode(), "m.yaml") for each in (text, text.replace(old, new)))
    assert told in {change.rule for change, _ in compared(before, after).changes}
    assert told not in {change.rule for change, _ in compared(before, before).changes}


def test_a_search_tries_a_parameter_that_rules_compare_only_as_a_field() -> None:
    """A number that is copied to a field is compared where the field is."""
    guard = "  rich: {when: gate.most > 70, error: {no_such_gate: {id: id}}}\n  new: {when"
    edits = (
        ("  new: {when", guard),
        ("fields:\n", "fields:\n  most: {type: int, initial: most}\n"),
        ("install: [id, place]", "install: [id, place, most]"),
        ("place: str}", "place: str, most: int}"),
        ("methods: [push], from", "methods: [push], guards: [known, rich], from"),
    )
    (scenario,) = scenarios(program_of(variant(*edits), "m.yaml"))
    assert scenario.values.chosen["most"] == [0, 69, 70, 71]
    # It is never computed from itself, so it ends by itself.
    assert "gate.most" not in {each.name for each in scenario.bounds}


@pytest.mark.nightly
def test_a_search_goes_on_from_a_counter_that_starts_high() -> None:
    """The bound of a number is some steps beyond its initial value: else nothing is reached."""
    field = "registry:\n  made: {{type: int, initial: '{}', summary: How many.}}\n\nerrors:\n"
    counters = [("errors:\n", field.format(start)) for start in (0, 50)]
    counted = ("  to: locked\n", "  to: locked\n  update: {registry.made: registry.made + 1}\n")
    programs = [program_of(variant(counter, counted), "m.yaml") for counter in counters]
    found = [verification.searched(scenarios(program)[0])[0] for program in programs]
    assert found[0].states == found[1].states > 10


@pytest.mark.parametrize(
    ("type", "start", "most", "least"),
    [
        ("Signed", "-50", 53, -53),
        ("Signed", "50", 53, -53),
        ("Words", "\"['a', 'b', 'c', 'd', 'e']\"", 8, None),
        ("Counts", "\"{'a': 50, 'b': 2}\"", 53, None),
    ],
)
def test_a_bound_is_some_steps_from_where_a_number_starts(
    type: str, start: str, most: int, least: int | None
) -> None:
    """Otherwise the first record is past it, and the search ends with one state."""
    declared = {
        "Signed": "{summary: More or less., type: int, minimum: -1000, maximum: 1000}",
        "Words": "{summary: Words., type: 'list[str]', max_length: 9}",
        "Counts": "{summary: Of words., type: 'dict[str, int]', max_length: 9}",
    }[type]
    update = {
        "Signed": "gate.far + 1",
        "Words": "gate.far + [gate.place]",
        "Counts": "gate.far | {'a': gate.far.get('a', 0) + 1}",
    }[type]
    again = '{summary: A., methods: [again], from: live, update: {gate.far: "UPDATE"}}'
    again = again.replace("UPDATE", update)
    text = variant(
        ("types:\n", f"types:\n  {type}: {declared}\n"),
        ("fields:\n  place:", f"fields:\n  far: {{type: {type}, initial: {start}}}\n  place:"),
        ("actions:\n", f"actions:\n  again: {again}\n"),
    )
    (scenario,) = scenarios(program_of(text, "m.yaml"))
    (bound,) = (each for each in scenario.bounds if each.name == "gate.far")
    assert (bound.most, bound.least) == (most, least)
    found = Search(scenario, states_max=300).run()
    assert found.states > 300
    assert "again" in found.fired


def test_texts_and_members_that_are_spelled_like_ids_are_none() -> None:
    """The search calls its ids a and b, and swaps them in states: a text or a member stays."""
    grade = "{summary: G., members: {a: {summary: A.}, b: {summary: B.}}}"
    again = "{summary: A., methods: [again], from: live, update: {gate.grades: '[b]'}}"
    text = variant(
        ("ids:\n", f"enums:\n  Grade: {grade}\n\nids:\n"),
        ("types:\n", "types:\n  Grades: {summary: G., type: 'list[Grade]', max_length: 2}\n"),
        ("fields:\n  place:", "fields:\n  grades: {type: Grades, initial: '[a]'}\n  place:"),
        ("actions:\n", f"actions:\n  again: {again}\n"),
    )
    (scenario,) = scenarios(program_of(text, "m.yaml"))
    found = Search(scenario, states_max=300).run()
    assert found.symmetry.swapped == ("ids",)
    assert found.violation is None

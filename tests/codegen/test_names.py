"""Any word may name anything: it compiles and works, or it is refused by one rule at its place."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import Any

import pytest
from opslifecycle_codegen.analysis.analyze import analyze
from opslifecycle_codegen.analysis.work import OFFERS
from opslifecycle_codegen.base.diagnostics import Diagnostics, InvalidMachineError
from opslifecycle_codegen.base.reserved_words import ANYWHERE, RESERVED
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.ir.views import BY_ID, PAGE_PARAMETERS
from opslifecycle_codegen.source.parser import parse
from opslifecycle_codegen.source.reader import read

from tests.support.codegen.hostile import (
    MACHINES,
    Machine,
    base,
    found_in,
    pascal_words,
    snake_words,
    spelled,
)
from tests.support.codegen.projects import (
    ENVIRONMENT,
    assert_clean,
    assert_typed,
    project,
    ran_tests,
)
from tests.support.warm import python

TURNSTILE = (Path(__file__).parent / "turnstile.yaml").read_text(encoding="utf-8")

SCRIPT = """
import inspect, sys
import alpha, beta, gamma
from opslifecycle import MemoryStore, SqliteStore

def opened(kind, path, **more):
    return kind(store=SqliteStore(path), **more)

registry = opened(alpha.AlphaRegistry, "alpha.db")
id, other = alpha.AlphaId.new(), alpha.AlphaId.new()
registry.zz_add(id)
takes = list(inspect.signature(registry.zz_add_all).parameters)[1:]
registry.zz_add_all(other, **{name: place for place, name in enumerate(takes)})
for name in ("close", "capture", "restore", "allowed", "records", "type", "list", "now_ms"):
    getattr(registry, name)(id)
assert registry.zz_snapshot(id).zz_total == 8
names = list(inspect.signature(registry.zz_act).parameters)[1:]
registry.zz_act(id, **{name: place for place, name in enumerate(names)})
given = dict(zip(names, range(len(names))))
most = sum(given[name] for name in ("zz_seed", "max", "len", "list", "sum"))
assert registry.zz_snapshot(id).zz_total == most
try:
    registry.zz_even(id)
except alpha.ZzOddError as odd:
    assert odd.clone() == odd
assert registry._broken_invariants() == []
assert len(registry._allowed(id)) > 50
document = registry._capture()
found = registry.zz_snapshot(other)
kept = {name: place for place, name in enumerate(takes) if hasattr(found, name)}
assert all(getattr(found, name) == place for name, place in kept.items())
registry._close()
with opened(alpha.AlphaRegistry, "alpha.db") as again:
    assert again.zz_snapshot(other) == found
    assert again.zz_list(list=takes.index("list")) == [found]
copy = alpha.AlphaRegistry._restore(document)
assert copy.zz_snapshot(other) == found

told = []
registry = opened(beta.BetaRegistry, "beta.db", on_effect=told.append)
id = beta.BetaId.new()
registry.zz_add(id)
registry.zz_pair(id)
try:
    registry.zz_records(id)
    registry.zz_other_pair(id)
    registry.zz_pair(id)
    raise AssertionError("a record called records is in no group")
except beta.ZzNotNowError:
    pass
for name in ("zz_state", "zz_type", "zz_no_effects", "zz_from_live", "zz_known"):
    getattr(registry, name)(id)
assert registry.max(id, **dict.fromkeys(list(inspect.signature(registry.max).parameters)[1:], 2))
registry._close()
with opened(beta.BetaRegistry, "beta.db") as again:
    assert again._authority._records_ == 4

registry = opened(gamma.GammaRegistry, "gamma.db")
id, other = gamma.GammaId.new(), gamma.GammaId.new()
registry.zz_add(id)
registry.zz_add(other)
value = gamma.ZzAll()
registry.zz_keep(other, value)
registry.zz_end_0(id, 1, 2, 3)
with registry:
    found = registry.zz_snapshot(other)
with opened(gamma.GammaRegistry, "gamma.db") as again:
    assert again.zz_snapshot(other) == found
print("all of it works")
"""


def written(folder: Path) -> None:
    """The machines in one project."""
    config = ["[tool.opslifecycle-codegen]", "line_length = 88"]
    (folder / "machine").mkdir(parents=True)
    for name, make in MACHINES.items():
        text = spelled(make())
        (folder / f"machine/{name}.yaml").write_text(text, encoding="utf-8")
        config += [
            "[[tool.opslifecycle-codegen.machine]]", f'source = "machine/{name}.yaml"',
            f'package = "src/{name}"', 'tests = "tests"', 'docs = "docs"',
        ]  # fmt: skip
    (folder / "pyproject.toml").write_text("\n".join(config), encoding="utf-8")


@pytest.mark.nightly
def test_hostile_words_work_in_every_place(tmp_path: Path) -> None:
    assert len(snake_words()) > 250
    assert len(pascal_words()) > 90
    written(tmp_path)
    assert main(["--project", str(tmp_path), "generate"]) == 0
    done = python("-c", SCRIPT, cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout[-3000:]
    assert_typed(tmp_path)
    done = ran_tests(tmp_path, "-x", "tests")
    assert done.returncode == 0, done.stdout[-3000:]


def put(machine: Machine, where: str, word: str) -> None:
    """Put one word into one place of a machine."""
    count = {"summary": "So many.", "type": "int"}
    match where:
        case "a type":
            machine["enums"] = {word: {"summary": "S.", "members": {"one": {"summary": "O."}}}}
        case "the entity":
            machine["entity"] = word
        case "a parameter of an action":
            machine["actions"]["zz_end"]["params"] = {word: "int"}
        case "a parameter of a classifier":
            taken = {"summary": "S.", "returns": "true", "params": {word: "int"}}
            machine["classifiers"] = {"zz_many": taken}
        case "a parameter of `create`":
            machine["create"]["params"][word] = "int | None"
        case "a `let` of a guard":
            machine["guards"]["held"]["let"] = {word: "1"}
        case "a parameter of a guard":
            machine["guards"]["held"]["params"] = {word: "int"}
        case "a field of a record":
            machine["fields"][word] = {"type": "int | None"}
        case "a setting":
            machine["settings"] = {word: {**count, "default": 1}}
        case "a field of the registry, or a setting":
            machine["registry"] = {word: {**count, "initial": 0}}
        case "a field of an error":
            machine["errors"]["gone"]["fields"][word] = "int"
        case "a property of a closed set":
            machine["statuses"]["properties"] = {word: count}
        case "the key of a barrier":
            refused = {"gone": {"id": "id"}}
            machine["barrier"] = {
                "summary": "S.", "method": "zz_wait", "key": {word: "AlphaId"},
                "active_per_key_max": 1, "request_id": "AlphaId", "wait": "ZzWait",
                "result": "ZzResult", "token": "ZzToken",
                "guards": [{"repeated": refused}, {"busy": refused}, {"unknown": refused}],
            }  # fmt: skip
        case "a status or a group":
            machine["statuses"]["members"][word] = {"summary": "S."}
        case "a property of the statuses":
            machine["statuses"]["properties"] = {word: {"type": "bool", "summary": "S."}}
        case "a parameter or a `let` of a machine that reads the time":
            machine["guards"]["held"]["let"] = {word: "1"}
            machine["fields"]["zz_ms"] = {"type": "int", "initial": "now"}
        case "a parameter or a `let` of a `create` that checks unique keys":
            unique = {
                "summary": "S.",
                "fields": ["zz_total"],
                "error": {"there": {"id": "existing"}},
            }
            machine["unique"] = {"zz_by_total": unique}
            machine["guards"]["fresh"]["let"] = {word: "1"}
        case "a parameter in a history":
            machine["actions"]["zz_end"]["params"] = {word: "int"}
            machine["history"] = {"summary": "S.", "method": "zz_h", "last": 2, "params": [word]}
        case "a filter or a bound of a listing with `orders`":
            put_listing(machine, {"filters": {word: "alpha.zz_total"}})
        case "a filter of a listing, if there is an archive":
            put_listing(machine, {"filters": {word: "alpha.zz_total"}})
            del machine["listing"]["orders"]
            machine["retention"] = {
                "evict": "records", "max_entries": "9",
                "archive": {"summary": "S.", "get": "zz_past", "since": "zz_pasts"},
            }  # fmt: skip
        case "an order of a listing":
            put_listing(machine, {"orders": {word: "alpha.id"}})
        case "given to a supervisor":
            call = {"do": "zz_end"}
            machine["watch"] = {"summary": "S.", "method": "zz_watch", "guards": ["held"]}
            machine["work"] = {
                "given": {word: "str"}, "register": {"zz_id": "id"}, "start": call,
                "complete": call, "fail": call, "cancel": call,
            }  # fmt: skip
        case _:
            raise AssertionError(where)


def put_listing(machine: Machine, more: dict[str, Any]) -> None:
    """Give a machine a listing that is read page by page."""
    listing = {"summary": "S.", "method": "zz_list", "order": ["alpha.id"]}
    machine["listing"] = {**listing, "orders": {"zz_order": "alpha.id"}, **more}


def test_the_table_has_what_generated_listings_and_supervisors_take() -> None:
    assert RESERVED["a filter or a bound of a listing with `orders`"][0] == {*PAGE_PARAMETERS}
    assert RESERVED["an order of a listing"][0] == {BY_ID}
    assert RESERVED["given to a supervisor"][0] == {"id", *OFFERS["register"]}


@pytest.mark.parametrize("where", RESERVED)
def test_a_reserved_word_is_refused_by_one_rule(where: str) -> None:
    for word in sorted(RESERVED[where][0]):
        machine = base("alpha")
        put(machine, where, word)
        rules = [rule for rule, message in found_in(machine) if repr(word) in message]
        assert "reserved-name" in rules, word


@pytest.mark.parametrize("word", sorted(RESERVED["a status or a group"][0]))
@pytest.mark.parametrize("status", ["locked", "unlocked", "scrapped", "used"])
def test_a_status_with_the_name_of_a_built_in_group_is_one_error(word: str, status: str) -> None:
    """Every rule about statuses reads those groups, and would have something to say."""
    text = TURNSTILE.replace("statuses:\n", "statuses:\n  groups: {used: [locked, unlocked]}\n")
    changed, diagnostics = re.sub(rf"\b{status}\b", word, text), Diagnostics()
    with pytest.raises(InvalidMachineError) as caught:
        analyze(parse(read(changed.encode(), "m.yaml"), diagnostics), diagnostics)
    assert [finding.rule for finding in caught.value.findings] == ["reserved-name"]


@pytest.mark.parametrize("word", sorted(w for w in ANYWHERE if keyword.iskeyword(w) or w == "self"))
def test_a_word_of_python_is_no_name(word: str) -> None:
    machine = base("alpha")
    put(machine, "a type" if word[0].isupper() else "a field of a record", word)
    assert ("reserved-name" in {rule for rule, _ in found_in(machine)}) or word == "false"


@pytest.mark.parametrize(
    "name",
    [
        "Status",
        "Snapshot",
        "Reads",
        "RegistryBase",
        "Effect",
        "Watch",
        "Record",
        "Registry",
        "Authority",
        "Id",
    ],
)
def test_a_type_that_is_called_like_a_generated_one_is_refused_with_both_places(name: str) -> None:
    machine = base("alpha")
    put(machine, "a type", f"Alpha{name}")
    diagnostics = Diagnostics()
    tree = read(spelled(machine).encode(), "m.yaml")
    with pytest.raises(InvalidMachineError) as caught:
        analyze(parse(tree, diagnostics), diagnostics)
    told = [each for each in caught.value.findings if each.rule == "name-collision"]
    assert any(f"Alpha{name}" in each.message and "line" in each.hint for each in told)


def test_types_that_are_spelled_alike_in_json_are_refused() -> None:
    machine = base("alpha")
    value = {"summary": "V.", "fields": {"one": "int"}}
    machine["values"] = {"HTTPEnd": value, "HttpEnd": value}
    machine["fields"]["one"] = {"type": "HTTPEnd | None"}
    machine["fields"]["two"] = {"type": "HttpEnd | None"}
    assert any(
        rule == "name-collision" and "http_end" in message for rule, message in found_in(machine)
    )


def test_actions_may_have_the_names_of_builtins_that_annotations_use(tmp_path: Path) -> None:
    text = TURNSTILE
    for word, name in {"coin": "int", "push": "str", "scrap": "tuple"}.items():
        text = re.sub(rf"\b{word}\b", name, text)
    source = tmp_path / "turnstile.yaml"
    source.write_text(text, encoding="utf-8")
    assert_clean(project(tmp_path / "project", source))

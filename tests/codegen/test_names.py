"""Any word may name anything: it compiles and works, or it is refused by one rule at its place."""

from __future__ import annotations

import ast
import builtins
import json
import keyword
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opslifecycle_codegen.analysis.analyze import analyze
from opslifecycle_codegen.analysis.work import OFFERS
from opslifecycle_codegen.base.diagnostics import Diagnostics, InvalidMachineError
from opslifecycle_codegen.base.reserved_words import ANYWHERE, RESERVED
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.ir.built_ins import BUILT_IN_EFFECTS
from opslifecycle_codegen.ir.symbols import snake
from opslifecycle_codegen.ir.views import BY_ID, PAGE_PARAMETERS
from opslifecycle_codegen.source.parser import parse
from opslifecycle_codegen.source.reader import read

from tests.support.codegen.projects import (
    ENVIRONMENT,
    assert_clean,
    assert_typed,
    project,
    ran_tests,
)
from tests.support.scale import whole_or
from tests.support.warm import python

ROOT = Path(__file__).parents[2]
TURNSTILE = (Path(__file__).parent / "turnstile.yaml").read_text(encoding="utf-8")
GENERATED = [
    *(ROOT / "src/opslifecycle/operations").glob("*.py"),
    *(ROOT / "examples").glob("*/src/*/*.py"),
]

Machine = dict[str, Any]


def spelled(machine: Machine) -> str:
    """A machine as text: JSON is YAML, and has no aliases."""
    return json.dumps(machine, indent=1)


def words_of(path: Path) -> Iterator[str]:
    """Every name, attribute, argument and function of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for part in ("id", "attr", "arg", "name"):
            word = getattr(node, part, None)
            if isinstance(word, str):
                yield word


_ORDINARY = """
    type close capture restore register records state now_ms clock_offset_ms stage is_persistent
    merge copy copy_of snapshot_of list max min len id str dict int sum any all iter
    created_at_ms checks terminal_outcome allowed broken_invariants pending_effects settings
    store stored on_effect lock rt b match case from_live no_effects known end_effects name
    value wire mro args with_guard field_names template status sequence consumer cursor cursors feed
    rows text data body time times each live ended effects made outcome seen active ids label
    from_statuses partial satisfied json weakref typing attrs frozen define opslifecycle abc
    trusted_parcel end_all
"""
ORDINARY = _ORDINARY.split()

#: What more than one machine's code has is no machine's own word.
_COUNTED = Counter(
    word
    for package in {path.parent for path in GENERATED}
    for word in {word for path in package.glob("*.py") for word in words_of(path)}
)
_FOUND = {word for word, machines in _COUNTED.items() if machines > 1}
_SNAKE = sorted(
    w for w in {*ORDINARY, *dir(builtins), *_FOUND} if w.isidentifier() and w[0].islower()
)
#: Every word at night; otherwise those that were thought of, and some of those that were found.
SNAKE = [w for n, w in enumerate(_SNAKE) if w in ORDINARY or n % whole_or(1, 5) == 0]
#: What statuses are called; each makes a constant, so the words that our own constants have count.
STATUSES = [
    *["state", "records", "type", "id", "effects", "no_effects", "from_live", "from_open", "known"],
    *["end_effects", "mro", "name", "value", "wire", "default", "note", "list", "match", "live_"],
    *["statuses_1", "from_statuses_1", "open_or_state"],
]
_CLASSES = {w for w in {*dir(builtins), *_FOUND} if w.isalnum() and w[0].isupper()}
_RUNTIME = ["Store", "Barrier", "Engine", "Wait", "Clock", "Permission", "Put", "Data", "Rt", "B"]
#: One of those that are spelled alike, as FAILED and Failed are.
PASCAL = sorted({snake(word): word for word in sorted({*_CLASSES, *_RUNTIME})}.values())


def free(where: str, words: list[str]) -> list[str]:
    """The words that a position does not refuse."""
    return [word for word in words if word not in RESERVED[where][0] and word not in ANYWHERE]


def base(name: str) -> Machine:
    """A small machine, to which words are added."""
    id = f"{name.capitalize()}Id"
    status = f"{name.capitalize()}Status"
    not_now = {"id": "id", "status": f"{name}.status", "verb": "action.label"}
    return {
        "machine": name,
        "version": 1,
        "entity": name,
        "summary": "A machine with hostile names.",
        "ids": {id: {"summary": "Names one."}},
        "statuses": {
            "members": {
                "open": {"summary": "It is open."},
                "shut": {"summary": "It is shut.", "terminal": True},
            }
        },
        "errors": {
            "there": {"class": "ZzThereError", "fields": {"id": id}, "message": "there is {id}"},
            "gone": {"class": "ZzGoneError", "fields": {"id": id}, "message": "there is no {id}"},
            "not_now": {
                "class": "ZzNotNowError",
                "fields": {"id": id, "status": status, "verb": "str"},
                "message": "cannot {verb}",
            },
        },
        "guards": {
            "fresh": {"when": f"{name} is None", "error": {"there": {"id": "id"}}},
            "held": {"when": f"{name} is not None", "error": {"gone": {"id": "id"}}},
        },
        "illegal_transition": {"not_now": not_now},
        "default_guards": ["held"],
        "fields": {"zz_total": {"type": "int", "initial": "0"}},
        "create": {
            "summary": "Begin.",
            "methods": {"zz_add": ["zz_id"]},
            "params": {"zz_id": id},
            "id": "zz_id",
            "guards": ["fresh"],
            "to": "open",
        },
        "actions": {
            "zz_end": {"summary": "End.", "methods": ["zz_end"], "from": "live", "to": "shut"}
        },
        "snapshot": {
            "summary": "One of them.",
            "method": "zz_snapshot",
            "fields": {"id": f"{name}.id", "zz_total": f"{name}.zz_total"},
        },
        "recovery": {"persist_if": "true"},
    }


def methods_and_fields() -> Machine:
    """Actions, methods, parameters, fields, settings, facts, lets, filters, invariants."""
    machine = base("alpha")
    actions = [word for word in SNAKE if word not in ANYWHERE]
    for word in actions:
        machine["actions"][word] = {
            "summary": "Do it.",
            "methods": [word],
            "from": ["open"],
            "update": {"alpha.zz_total": "alpha.zz_total + 1"},
        }
    params = free("a parameter of an action", SNAKE)
    biggest = " + ".join(["zz_seed", *(word for word in ("max", "len", "list", "sum"))])
    machine["actions"]["zz_act"] = {
        "summary": "Take everything.",
        "methods": ["zz_act"],
        "from": ["open"],
        "params": {"zz_seed": "int", **dict.fromkeys(params, "int")},
        "update": {"alpha.zz_total": f"max({biggest}, min(type, ended, label))"},
    }
    lets = [w for w in free("a `let` of a guard", SNAKE) if w not in ("zz_seed",)]
    facts = free("a field of an error", SNAKE)[:60]
    machine["errors"]["odd"] = {
        "class": "ZzOddError",
        "fields": dict.fromkeys(facts, "int"),
        "message": "odd: {" + facts[0] + "}",
    }
    machine["guards"]["even"] = {
        "let": dict.fromkeys(lets, "alpha.zz_total"),
        "when": "max < 1000 or len < max(list, 5)",
        "error": {"odd": dict.fromkeys(facts, "max")},
    }
    machine["actions"]["zz_even"] = {
        "summary": "Be even.",
        "methods": ["zz_even"],
        "from": ["open"],
        "guards": ["held", "even"],
    }
    fields = [w for w in free("a field of a record", SNAKE) if w not in ("id", "status")]
    fields.remove("terminal_outcome")
    machine["create"]["params"].update(dict.fromkeys(fields, "int | None"))
    machine["create"]["methods"]["zz_add_all"] = [*machine["create"]["params"]]
    for word in fields:
        machine["fields"][word] = {"type": "int | None", "initial": word}
    machine["snapshot"]["fields"].update({word: f"alpha.{word}" for word in fields})
    machine["settings"] = {
        word: {"summary": "So many.", "type": "int", "default": 7, "at_least": 1}
        for word in free("a setting", free("a field of the registry, or a setting", SNAKE))
    }
    machine["listing"] = {
        "summary": "All of them.",
        "method": "zz_list",
        "order": ["alpha.zz_total"],
        "filters": {word: f"alpha.{word}" for word in fields},
    }
    machine["invariants"] = {
        word: {"summary": "Enough.", "expr": f"all({loop}.zz_total < 99999 for {loop} in alphas)"}
        for word, loop in zip(actions, reversed(actions), strict=True)
    }
    return machine


def registry_and_effects() -> Machine:
    """Registry fields, classifiers and their parameters, effects, guards, statuses."""
    machine = base("beta")
    words = free("a field of the registry, or a setting", SNAKE)
    machine["registry"] = {
        word: {"type": "int", "initial": "3", "summary": "So many."} for word in words
    }
    machine["statuses"]["members"].update(
        {word: {"summary": "It is so.", "terminal": False} for word in STATUSES}
    )
    machine["effects"] = {
        word: {"summary": "Say so."} for word in words if word not in BUILT_IN_EFFECTS
    }
    for word in STATUSES:
        update = f"registry.{word}" if word in words else "registry.records"
        machine["actions"][f"zz_{word}"] = {
            "summary": "Go there.",
            "methods": [f"zz_{word}"],
            "from": "live",
            "to": word,
            "update": {update: f"{update} + 1"},
        }
    machine["actions"]["zz_tell"] = {
        "summary": "Say everything.",
        "methods": ["zz_tell"],
        "from": "live",
        "effects": [*machine["effects"]],
    }
    machine["statuses"]["groups"] = {"open_or_records": ["open", "state"]}
    machine["actions"]["zz_pair"] = {
        "summary": "Only two.",
        "methods": ["zz_pair"],
        "from": ["open_or_records"],
        "update": {"beta.zz_total": "registry.records + registry.max"},
    }
    machine["actions"]["zz_other_pair"] = {
        "summary": "Only another two.",
        "methods": ["zz_other_pair"],
        "from": ["open", "records"],
        "update": {"beta.zz_total": "0"},
    }
    params = free("a parameter of a classifier", SNAKE)
    machine["classifiers"] = {
        word: {
            "summary": "Whether it is many.",
            "params": dict.fromkeys([w for w in params if w != word][: whole_or(40, 8)], "int"),
            "returns": "max > 1" if word != "max" else "len > 1",
        }
        for word in words
    }
    for word in words:
        machine["classifiers"][word]["params"].update({"max": "int", "len": "int"})
    machine["transition_invariants"] = {
        word: {"summary": "It only grows.", "expr": f"before.{word} <= after.{word}"}
        for word in words
    }
    return machine


def types_and_members() -> Machine:
    """Classes of every kind, members and properties of closed sets, fields of values."""
    machine = base("gamma")
    words = free("a type", PASCAL)
    fields = [word for word in SNAKE if word not in ANYWHERE]
    fifth = len(words) // 5
    enums, values, ids, errors, variants = (words[i * fifth : (i + 1) * fifth] for i in range(5))
    properties = free("a property of a closed set", SNAKE)
    machine["enums"] = {
        word: {"summary": "Some.", "members": {m: {"summary": "One."} for m in fields[i::fifth]}}
        for i, word in enumerate(enums)
    }
    machine["enums"]["ZzKind"] = {
        "summary": "A kind.",
        "properties": {word: {"type": "int", "summary": "So many."} for word in properties},
        "members": {"one": {"summary": "One.", **dict.fromkeys(properties, 5)}},
    }
    machine["ids"].update({word: {"summary": "Names another."} for word in ids})
    machine["values"] = {
        word: {
            "summary": "A value.",
            "fields": dict.fromkeys(fields, "str") if i == 0 else {"int": "str", "str": "int"},
        }
        for i, word in enumerate(values)
    }
    machine["values"]["ZzEnd"] = {
        "summary": "How it ended.",
        "tag": "how",
        "variants": {
            word: {"summary": "So.", "fields": {"list": "int", "made": "int", "type": "int"}}
            for word in variants
        },
    }
    machine["values"]["ZzAll"] = {
        "summary": "All of them.",
        "fields": {
            f"zz_{i}": f"{word} | None" for i, word in enumerate([*enums, *values, *ids, "ZzKind"])
        },
    }
    machine["fields"]["all"] = {"type": "ZzAll | None"}
    machine["fields"]["terminal_outcome"] = {"type": "ZzEnd | None"}
    for i, word in enumerate(errors):
        machine["errors"][f"zz_{i}"] = {"class": word, "message": "no"}
        machine["guards"][f"zz_{i}"] = {
            "when": f"gamma.zz_total != {i + 90}",
            "error": f"zz_{i}",
        }
    machine["actions"] = {
        f"zz_end_{i}": {
            "summary": "End.",
            "methods": [f"zz_end_{i}"],
            "from": "live",
            "to": "shut",
            "params": {"list": "int", "made": "int", "type": "int"},
            "outcome": f"{word}(list, made, type)",
        }
        for i, word in enumerate(variants)
    }
    machine["actions"]["zz_keep"] = {
        "summary": "Keep a value.",
        "methods": ["zz_keep"],
        "from": "live",
        "params": {"all": "ZzAll"},
        "guards": ["held", *(f"zz_{i}" for i in range(len(errors)))],
        "update": {"gamma.all": "all"},
    }
    machine["snapshot"]["fields"]["all"] = "gamma.all"
    return machine


MACHINES: dict[str, Callable[[], Machine]] = {
    "alpha": methods_and_fields,
    "beta": registry_and_effects,
    "gamma": types_and_members,
}

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


def test_hostile_words_work_in_every_place(tmp_path: Path) -> None:
    assert len(_SNAKE) > 250
    assert len(PASCAL) > 90
    written(tmp_path)
    assert main(["--project", str(tmp_path), "generate"]) == 0
    done = python("-c", SCRIPT, cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout[-3000:]
    assert_typed(tmp_path)
    done = ran_tests(tmp_path, "-x", "tests")
    assert done.returncode == 0, done.stdout[-3000:]


def found_in(machine: Machine) -> list[tuple[str, str]]:
    """The rules that a machine breaks, each with its message."""
    diagnostics = Diagnostics()
    text = spelled(machine)
    try:
        analyze(parse(read(text.encode(), "m.yaml"), diagnostics), diagnostics)
    except InvalidMachineError as error:
        return [(finding.rule, finding.message) for finding in error.findings]
    return []


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

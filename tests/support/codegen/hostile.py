"""Machines in which any word names anything, in every place where a machine has names."""

from __future__ import annotations

import ast
import builtins
import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from opslifecycle_codegen.analysis.analyze import analyze
from opslifecycle_codegen.base.diagnostics import Diagnostics, InvalidMachineError
from opslifecycle_codegen.base.reserved_words import ANYWHERE, RESERVED
from opslifecycle_codegen.ir.built_ins import BUILT_IN_EFFECTS
from opslifecycle_codegen.ir.symbols import snake
from opslifecycle_codegen.source.parser import parse
from opslifecycle_codegen.source.reader import read

ROOT = Path(__file__).parents[3]
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
#: What statuses are called; each makes a constant, so the words that our own constants have count.
STATUSES = [
    *["state", "records", "type", "id", "effects", "no_effects", "from_live", "from_open", "known"],
    *["end_effects", "mro", "name", "value", "wire", "default", "note", "list", "match", "live_"],
    *["statuses_1", "from_statuses_1", "open_or_state"],
]
_RUNTIME = ["Store", "Barrier", "Engine", "Wait", "Clock", "Permission", "Put", "Data", "Rt", "B"]


@cache
def _shared() -> frozenset[str]:
    """The words in the code of more than one machine: no machine's own."""
    counted = Counter(
        word
        for package in {path.parent for path in GENERATED}
        for word in {word for path in package.glob("*.py") for word in words_of(path)}
    )
    return frozenset(word for word, machines in counted.items() if machines > 1)


@cache
def snake_words() -> list[str]:
    """Every word that may name what Python spells in small letters."""
    words = {*ORDINARY, *dir(builtins), *_shared()}
    return sorted(word for word in words if word.isidentifier() and word[0].islower())


@cache
def pascal_words() -> list[str]:
    """Words that may name a type; one of those that are spelled alike, as FAILED and Failed are."""
    words = {word for word in {*dir(builtins), *_shared()} if word.isalnum() and word[0].isupper()}
    return sorted({snake(word): word for word in sorted({*words, *_RUNTIME})}.values())


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
    actions = [word for word in snake_words() if word not in ANYWHERE]
    for word in actions:
        machine["actions"][word] = {
            "summary": "Do it.",
            "methods": [word],
            "from": ["open"],
            "update": {"alpha.zz_total": "alpha.zz_total + 1"},
        }
    params = free("a parameter of an action", snake_words())
    biggest = " + ".join(["zz_seed", *(word for word in ("max", "len", "list", "sum"))])
    machine["actions"]["zz_act"] = {
        "summary": "Take everything.",
        "methods": ["zz_act"],
        "from": ["open"],
        "params": {"zz_seed": "int", **dict.fromkeys(params, "int")},
        "update": {"alpha.zz_total": f"max({biggest}, min(type, ended, label))"},
    }
    lets = [w for w in free("a `let` of a guard", snake_words()) if w not in ("zz_seed",)]
    facts = free("a field of an error", snake_words())[:60]
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
    fields = [w for w in free("a field of a record", snake_words()) if w not in ("id", "status")]
    fields.remove("terminal_outcome")
    machine["create"]["params"].update(dict.fromkeys(fields, "int | None"))
    machine["create"]["methods"]["zz_add_all"] = [*machine["create"]["params"]]
    for word in fields:
        machine["fields"][word] = {"type": "int | None", "initial": word}
    machine["snapshot"]["fields"].update({word: f"alpha.{word}" for word in fields})
    machine["settings"] = {
        word: {"summary": "A count.", "type": "int", "default": 7, "at_least": 1}
        for word in free("a setting", free("a field of the registry, or a setting", snake_words()))
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
    words = free("a field of the registry, or a setting", snake_words())
    machine["registry"] = {
        word: {"type": "int", "initial": "3", "summary": "A count."} for word in words
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
    params = free("a parameter of a classifier", snake_words())
    machine["classifiers"] = {
        word: {
            "summary": "Whether it is many.",
            "params": dict.fromkeys([w for w in params if w != word][:40], "int"),
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
    words = free("a type", pascal_words())
    fields = [word for word in snake_words() if word not in ANYWHERE]
    fifth = len(words) // 5
    enums, values, ids, errors, variants = (words[i * fifth : (i + 1) * fifth] for i in range(5))
    properties = free("a property of a closed set", snake_words())
    machine["enums"] = {
        word: {"summary": "Some.", "members": {m: {"summary": "One."} for m in fields[i::fifth]}}
        for i, word in enumerate(enums)
    }
    machine["enums"]["ZzKind"] = {
        "summary": "A kind.",
        "properties": {word: {"type": "int", "summary": "A count."} for word in properties},
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


def found_in(machine: Machine) -> list[tuple[str, str]]:
    """The rules that a machine breaks, each with its message."""
    diagnostics = Diagnostics()
    text = spelled(machine)
    try:
        analyze(parse(read(text.encode(), "m.yaml"), diagnostics), diagnostics)
    except InvalidMachineError as error:
        return [(finding.rule, finding.message) for finding in error.findings]
    return []

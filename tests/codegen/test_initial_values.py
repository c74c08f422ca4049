"""A first value of every type, from every source, is stored and read back as it was."""

from __future__ import annotations

import signal
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.support.codegen.hostile import base, found_in, spelled
from tests.support.codegen.projects import ENVIRONMENT, assert_typed, edit, project, ran_tests
from tests.support.warm import python

TYPES = ("bool", "int", "float", "str", "name", "OtherId", "Colour", "Point", "Shape")
SOURCES = ("literal", "parameter", "path", "registry", "none")
LITERALS = {
    "bool": "true", "int": "41", "float": "2.5", "str": "'a \"word\"'",
    "Colour": "Colour.red", "Shape": "Round(7)",
}  # fmt: skip


def cases() -> list[tuple[str, str, str, bool, bool]]:
    """Field, type, source, whether it is optional and updated: all that a machine can say."""
    found = []
    for type, source, optional, updated in product(TYPES, SOURCES, (False, True), (False, True)):
        if source == "none" and not optional:
            continue
        if source in ("literal", "registry") and type not in LITERALS:
            continue
        name = f"{type.lower()}_{source}{'_optional' * optional}{'_updated' * updated}"
        found.append((name, type, source, optional, updated))
    return found


def machine() -> dict[str, Any]:
    """One machine with a field for each case."""
    made = base("start")
    value = dict.fromkeys(["one", "two"], "int")
    made["ids"]["OtherId"] = {"summary": "Names another."}
    made["enums"] = {
        "Colour": {"summary": "C.", "members": {m: {"summary": "M."} for m in ("red", "blue")}}
    }
    made["values"] = {
        "Point": {"summary": "A point.", "fields": value},
        "Shape": {
            "summary": "A shape.",
            "tag": "shape",
            "variants": {
                "Round": {"summary": "R.", "fields": {"radius": "int"}},
                "Square": {"summary": "S.", "fields": {"side": "int"}},
            },
        },
        "Ask": {
            "summary": "All of them.",
            "fields": {
                **{f"some_{type.lower()}": type for type in TYPES},
                **{f"maybe_{type.lower()}": f"{type} | None" for type in TYPES},
            },
        },
    }
    made["registry"] = {
        f"kept_{type.lower()}": {"type": type, "initial": literal, "summary": "Kept."}
        for type, literal in LITERALS.items()
    }
    create, update = made["create"], {}
    takes: dict[str, str] = {}
    for name, type, source, optional, updated in cases():
        starts = {
            "literal": LITERALS.get(type),
            "parameter": f"{'maybe' if optional else 'some'}_{type.lower()}",
            "path": f"ask.{'maybe' if optional else 'some'}_{type.lower()}",
            "registry": f"registry.kept_{type.lower()}",
            "none": None,
        }[source]
        spelled_type = f"{type} | None" if optional else type
        made["fields"][name] = {"type": spelled_type, **({"initial": starts} if starts else {})}
        made["snapshot"]["fields"][name] = f"start.{name}"
        if source == "parameter":
            takes[str(starts)] = spelled_type
        if updated:
            update[f"start.{name}"] = f"{'maybe' if optional else 'some'}_{type.lower()}"
    # An optional parameter stands before a required one, on purpose.
    order = sorted(takes, key=lambda param: not param.startswith("maybe_count"))
    create["params"].update({param: takes[param] for param in order})
    create["params"]["ask"] = "Ask"
    create["methods"]["zz_add"] = [*create["params"]]
    made["actions"]["zz_change"] = {
        "summary": "Change what can be changed.",
        "methods": ["zz_change"],
        "from": "live",
        "params": {param: takes[param] for param in order},
        "update": update,
    }
    return made


SCRIPT = """
import functools, inspect, os, pickle, signal, sys
from pathlib import Path
from opslifecycle import MemoryStore, SqliteStore
from start import *

def values(number, absent):
    some = {
        "bool": bool(number % 2), "int": number, "float": number + 0.25, "str": f"é {number}",
        "name": f"word{number}", "otherid": OtherId.new(),
        "colour": list(Colour)[number % 2], "point": Point(number, 2), "shape": Square(number),
    }
    maybe = dict.fromkeys(some) if absent else some
    found = {f"some_{name}": value for name, value in some.items()}
    return {**found, **{f"maybe_{name}": value for name, value in maybe.items()}}

def given(method, number, absent):
    chosen = values(number, absent)
    chosen["ask"] = Ask(**values(number + 1, absent))
    names = list(inspect.signature(method).parameters)
    return {name: chosen[name] for name in names if name in chosen}

def created(registry, ids):
    for place, id in enumerate(ids):
        registry.zz_add(zz_id=id, **given(registry.zz_add, 10 + place, absent=bool(place)))
    first = registry.zz_snapshot(ids[0])
    assert (first.int_literal, first.int_parameter, first.int_path) == (41, 10, 11)
    assert first.int_registry == 41 and first.int_none_optional is None

def changed(registry, ids, number, absent):
    for id in ids:
        registry.zz_change(id, **given(registry.zz_change, number, absent))
    found = registry.zz_snapshot(ids[0])
    assert (found.int_literal_updated, found.int_literal) == (number, 41)
    assert (found.int_literal_optional_updated is None) is absent

STEPS = [
    created,
    # 41 is what some fields start with: a value that comes back to it is left out, and is right.
    functools.partial(changed, number=20, absent=False),
    functools.partial(changed, number=31, absent=True),
    functools.partial(changed, number=41, absent=False),
    functools.partial(changed, number=42, absent=False),
    lambda registry, ids: registry.zz_end(ids[0]),
    lambda registry, ids: None,
]

def seen(registry, ids):
    return {id: registry.zz_snapshot(id) for id in ids}

def compared(kept, found):
    wrong = [
        (name, getattr(kept[id], name), getattr(found[id], name))
        for id in kept if kept[id] != found[id]
        for name in dir(found[id]) if getattr(kept[id], name) != getattr(found[id], name)
    ]
    assert not wrong, wrong

kind = sys.argv[1]
if kind == "memory":
    store, ids = MemoryStore(), [StartId.new(), StartId.new()]
    before = dict.fromkeys(ids)
    for step in STEPS:
        with StartRegistry(store=store) as registry:
            compared(before, seen(registry, ids))
            step(registry, ids)
            before = seen(registry, ids)
else:
    number = int(kind)
    before = pickle.loads(Path("before").read_bytes()) if number else {}
    registry = StartRegistry(store=SqliteStore("start.db"))
    ids = list(before) or [StartId.new(), StartId.new()]
    compared(before, seen(registry, ids) if before else {})
    STEPS[number](registry, ids)
    Path("before").write_bytes(pickle.dumps(seen(registry, ids)))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source") / "start.yaml"
    source.write_text(spelled(machine()), encoding="utf-8")
    return project(tmp_path_factory.mktemp("made") / "project", source, width=100)


def ran(folder: Path, *command: str, ends_with: int = 0) -> None:
    done = python(*command, cwd=folder, env=ENVIRONMENT)
    assert done.returncode == ends_with, done.stdout[-3000:]


def test_every_start_survives_a_kill_and_reopening(folder: Path) -> None:
    assert len(cases()) > 120
    for step in range(7):
        ran(folder, "-c", SCRIPT, str(step), ends_with=-signal.SIGKILL)
    ran(folder, "-c", SCRIPT, "memory")


@pytest.mark.nightly
def test_what_is_generated_for_every_start_is_typed_and_passes(folder: Path) -> None:
    assert_typed(folder)
    assert ran_tests(folder).returncode == 0
    ran(folder, "-m", "ruff", "format", "--isolated", "--line-length", "100", "--check", "src")


def test_a_required_field_without_a_start_is_refused() -> None:
    made = base("start")
    made["fields"]["one"] = {"type": "int"}
    assert [rule for rule, _ in found_in(made)] == ["missing-key"]


def test_an_optional_start_of_a_required_field_is_refused() -> None:
    made = base("start")
    made["create"]["params"]["one"] = "int | None"
    made["fields"]["one"] = {"type": "int", "initial": "one"}
    assert "wrong-type" in [rule for rule, _ in found_in(made)]


def test_the_generated_tests_notice_a_field_that_is_not_stored(tmp_path: Path) -> None:
    folder = project(tmp_path / "project", Path(__file__).parent / "parcel.yaml")
    chosen = ("tests", "-k", "survives")
    assert ran_tests(folder, *chosen).returncode == 0
    edit(folder / "src/parcel/storage.py", "if parcel.stops != 0:", "if parcel.stops > 1_000:")
    assert ran_tests(folder, *chosen).returncode == 1

"""Identifiers that are integers: made, checked, ordered, stored, and written as JSON numbers."""

from __future__ import annotations

import copy
import json
import pickle
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from opslifecycle import InvalidValueError, SqliteStore, structure, unstructure
from opslifecycle.values.identifiers import identifier_of_uuid
from opslifecycle.work import Supervisor
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.versions import compared

from tests.support.codegen.projects import assert_clean, imported, package, project
from tests.support.waiting import until

CASE = Path(__file__).parent / "cases" / "ids" / "machine.yaml"
DOWNLOAD = Path(__file__).parents[2] / "examples/download/machine/download.yaml"
TEXT = CASE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return a package of gates whose ids are integers."""
    folder = tmp_path_factory.mktemp("ids")
    source = folder / "numbered_gate.yaml"
    source.write_text(TEXT.replace("machine: turnstile", "machine: numbered_gate"), "utf-8")
    made = project(folder / "project", source)
    assert_clean(made)
    return imported(made, "numbered_gate")


def test_integers_are_identifiers_of_one_type(gates: ModuleType) -> None:
    one, other = gates.GateId(9), gates.GateId("10")
    assert (one < other, one <= other, one > other, one >= other) == (True, True, False, False)
    assert (one == gates.GateId(9), one != other, hash(one)) == (True, True, hash(9))
    assert one not in (9, "9", gates.WaiterId(9), None)
    assert (str(one), f"{one}", repr(one), int(one)) == ("9", "9", "GateId(9)", 9)
    assert [type(each(one)) for each in (copy.copy, copy.deepcopy)] == [gates.GateId] * 2
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(TypeError, match="GateId and WaiterId cannot be ordered"):
        assert one < gates.WaiterId(9)


def test_new_integers_rise_and_fit_into_64_bits(gates: ModuleType) -> None:
    made = [gates.GateId.new() for _ in range(1000)]
    assert all(one < other for one, other in pairwise(made))
    assert int(made[-1]) < 2**63
    assert type(made[0]) is gates.GateId
    uuid = UUID("0190b0b5-7f3e-7c1a-8b7c-1f2e3d4c5b6a")
    assert identifier_of_uuid(gates.GateId, uuid) == gates.GateId(uuid.int % 2**63)


@pytest.mark.parametrize("value", [-1, 2**63, True, 1.0, "01", "-1", "1 ", "", "x", None, "9" * 20])
def test_nothing_else_is_an_integer_identifier(gates: ModuleType, value: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^GateId: expected an integer from 0 to"):
        gates.GateId(value)


def test_a_record_with_an_integer_is_stored_and_read(gates: ModuleType, tmp_path: Path) -> None:
    hall = gates.HallId.new()
    ids = [gates.GateId(each) for each in (10, 9, 100)]
    told: list[Any] = []
    with gates.GateRegistry(
        store=SqliteStore(tmp_path / "gates.db"), on_effect=told.append
    ) as registry:
        for id in ids:
            registry.install(id, gates.Place(hall, ids[0] if id > ids[0] else None))
        with pytest.raises(InvalidValueError, match="expected GateId"):
            registry.join(ids[0], 9)
        with pytest.raises(gates.OwnTwinError, match="gate 9 cannot"):
            registry.join(ids[1], ids[1])
        registry.join(ids[1], ids[0])
        watch = registry.watch(ids[1])
        wait = registry.wait_for(gates.WaiterId(3), ids[:2])
        registry.scrap(ids[1])
        registry.scrap(ids[0])
        assert watch.result(1) is gates.GateStatus.SCRAPPED
        assert [id for id, _ in wait.result(1).outcomes] == ids[:2]
        until(lambda: told)
    with gates.GateRegistry(store=SqliteStore(tmp_path / "gates.db")) as registry:
        # In the order of numbers, and not of texts.
        assert [each.id for each in registry.gates()] == [gates.GateId(n) for n in (9, 10, 100)]
        assert [each.id for each in registry.gates(twin=ids[0])] == [ids[1]]
        found = registry.snapshot(ids[2])
        assert found.place == gates.Place(hall, ids[0])
        assert type(found.place.behind) is gates.GateId
        batch = registry.scrapped_gates().list_since(0)
        assert [(each.gate, each.twin) for each in batch.entries] == [
            (ids[1], ids[0]),
            (ids[0], None),
        ]
        data = unstructure(found)
        assert json.loads(json.dumps(data))["id"] == 100
        assert data["place"] == {"hall": str(hall), "behind": 10}
        assert structure(data["place"], gates.Place) == found.place
    assert [each.arguments for each in told] == [{"id": ids[1], "twin": ids[0]}]


def test_a_supervisor_records_work_under_integers(tmp_path: Path) -> None:
    edit = ("Names one download.", "Names one download., type: int")
    downloads = package(tmp_path, DOWNLOAD, "numbered_download", edit)
    store = SqliteStore(tmp_path / "work.db")
    with downloads.DownloadRegistry(store=store) as registry, Supervisor(registry) as work:
        given = {"address": "a.example"}
        one = work.start(lambda: "/srv/a", key="a", given=given)
        assert one.result(60) is downloads.DownloadStatus.SAVED
        # The same key is the same integer, so the work is not done again.
        other = work.start(lambda: "/srv/b", key="a", given=given)
        assert (other.id, type(one.id)) == (one.id, downloads.DownloadId)
        assert registry.snapshot(one.id).place == "/srv/a"
        assert work.start(lambda: "/srv/c", given=given).id > downloads.DownloadId(2**60)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("one gate., type: int}", "one gate.}", ["id-changed"]),
        ("one gate., type: int}", "one gate., prefix: gate_}", ["id-changed"]),
        ("a hall., type: UUID}", "a hall.}", []),
    ],
)
def test_a_change_of_the_type_is_told(old: str, new: str, told: list[str]) -> None:
    assert old in TEXT
    before, after = (program_of(each.encode(), "m.yaml") for each in (TEXT, TEXT.replace(old, new)))
    assert [change.rule for change, _ in compared(before, after).changes] == told

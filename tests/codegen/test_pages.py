"""Pages of the listing of a machine of one's own: declared orders and bounds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opslifecycle import InvalidValueError, MemoryStore, PageCursor
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.behaviour import behaviour_changes
from opslifecycle_codegen.ir.program import Program

from tests.support.codegen.projects import assert_clean, package, project

PARCEL = Path(__file__).with_name("parcel.yaml")
NOON = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
LISTING = """listing:
  summary: The parcels.
  method: parcels
  order: [parcel.address]
  filters: {status: parcel.status}
  orders: {due: parcel.due, rank: parcel.rank}
  above: {due_after: due, rank_above: rank}
  below: {due_before: due}

watch:"""
EDITS = [
    ("Names one parcel.", "Names one parcel., type: int"),
    ("stops: {type: int, initial: '0'}", "stops: {type: int, initial: '0'}\n"
     "  due: {type: datetime, initial: due}\n  rank: {type: Rank, initial: rank}"),
    ("statuses:", "types:\n  Rank: {type: int, minimum: -9, maximum: 9}\n\nstatuses:"),
    ("[id, address]", "[id, address, due, rank]"),
    ("{id: ParcelId, address: str}", "{id: ParcelId, address: str, due: datetime, rank: Rank}"),
    ("    stops: parcel.stops",
     "    stops: parcel.stops\n    due: parcel.due\n    rank: parcel.rank"),
    ("watch:", LISTING),
]  # fmt: skip


@pytest.fixture(scope="module")
def parcels(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return package(tmp_path_factory.mktemp("pages"), PARCEL, "paged_parcel", *EDITS)


@pytest.fixture
def registry(parcels: ModuleType) -> Any:
    with parcels.ParcelRegistry(store=MemoryStore(), on_effect=lambda message: None) as registry:
        for number in range(9):
            due = NOON + dt.timedelta(microseconds=number % 4)
            registry.accept(parcels.ParcelId.new(), f"street {number % 2}", due, number % 3 - 1)
        yield registry


def walked(registry: Any, **asked: Any) -> list[Any]:
    page = registry.parcels(limit=2, **asked)
    found = list(page)
    while page.has_more:
        # Through a text, as another process has it.
        cursor = PageCursor.parse(str(page.cursor))
        page = registry.parcels(limit=2, after=cursor, **asked)
        found += page
    return found


def test_each_declared_order_is_total(registry: Any, parcels: ModuleType) -> None:
    orders: dict[Any, Callable[[Any], Any]] = {
        None: lambda each: (each.address, each.id),
        parcels.ParcelOrder.ID: lambda each: each.id,
        parcels.ParcelOrder.DUE: lambda each: (each.due, each.id),
        parcels.ParcelOrder.RANK: lambda each: (each.rank, each.id),
    }
    assert set(orders) == {None, *parcels.ParcelOrder}
    for order, key in orders.items():
        wanted = sorted(registry.parcels(), key=key)
        assert walked(registry, order_by=order) == wanted
        assert walked(registry, order_by=order, descending=True) == wanted[::-1]


def test_bounds_hold_in_every_order(registry: Any, parcels: ModuleType) -> None:
    low, high = NOON, NOON + dt.timedelta(microseconds=3)
    for order in (None, *parcels.ParcelOrder):
        for descending in (False, True):
            asked = {"order_by": order, "descending": descending}
            every = registry.parcels(**asked)
            between = [each for each in every if low < each.due < high]
            assert walked(registry, due_after=low, due_before=high, **asked) == between
            positive = [each for each in every if each.rank > 0]
            assert walked(registry, rank_above=0, **asked) == positive
            assert walked(registry, rank_above=9, **asked) == []
    with pytest.raises(InvalidValueError, match="rank_above: expected an integer of at most 9"):
        registry.parcels(rank_above=10)


def test_a_cursor_survives_the_process(parcels: ModuleType) -> None:
    store, order = MemoryStore(), parcels.ParcelOrder.DUE
    ids = sorted(parcels.ParcelId.new() for _ in range(4))
    with parcels.ParcelRegistry(store=store, on_effect=lambda message: None) as registry:
        for id in ids:
            registry.accept(id, "street", NOON, 0)
        text = str(registry.parcels(limit=1, order_by=order).cursor)
    with parcels.ParcelRegistry(store=store, on_effect=lambda message: None) as registry:
        later = registry.parcels(order_by=order, after=PageCursor.parse(text))
        assert [each.id for each in later] == ids[1:]


@pytest.mark.nightly
def test_generated_code_is_clean(tmp_path: Path) -> None:
    source = tmp_path / "paged_parcel.yaml"
    text = PARCEL.read_text(encoding="utf-8").replace(
        "machine: parcel\n", "machine: paged_parcel\n"
    )
    for old, new in EDITS:
        text = text.replace(old, new, 1)
    source.write_text(text, encoding="utf-8")
    assert_clean(project(tmp_path / "project", source))


def test_a_diff_names_the_parameters() -> None:
    text = PARCEL.read_text(encoding="utf-8")
    programs: list[Program] = []
    for edits in (EDITS, [*EDITS[:-1], ("watch:", LISTING.replace(", rank: parcel.rank", "")
                                        .replace(", rank_above: rank", ""))]):  # fmt: skip
        changed = text
        for old, new in edits:
            changed = changed.replace(old, new, 1)
        programs.append(program_of(changed.encode(), "parcel.yaml"))
    (change,) = behaviour_changes(programs[0], programs[1])
    assert "rank_above: int" in str(change)
    assert "order_by: id or due or rank" in str(change)

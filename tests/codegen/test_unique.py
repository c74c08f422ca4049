"""Unique keys: no two records share one, whatever happens to them and to the store."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from opslifecycle import (
    MemoryStore,
    Reader,
    SqliteStore,
    Store,
    StoreDamagedError,
    StoreVersionError,
)
from opslifecycle.cli.doctor import examine
from opslifecycle.cli.packages import machine_of
from opslifecycle.inspection.locations import location_of
from opslifecycle.stores.migrating import migrate, planned
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.behaviour import behaviour_changes
from opslifecycle_codegen.compat.compare import changes
from opslifecycle_codegen.compat.lock import lock_of
from opslifecycle_codegen.compat.migrations import applied
from opslifecycle_codegen.ir.program import Program

from tests.support.codegen.projects import assert_clean, imported, project
from tests.support.edits import replaced
from tests.support.random_machines.compiling import Generated, compiled

INVOICE = Path(__file__).with_name("invoice.yaml")
MakeMaybe = Callable[[], Store | None]


@pytest.fixture(scope="module")
def invoices(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = project(tmp_path_factory.mktemp("invoices"), INVOICE)
    assert_clean(folder)
    return imported(folder, "invoice")


@pytest.fixture(params=["without a store", "memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeMaybe:
    memory = MemoryStore()
    stores: dict[str, MakeMaybe] = {
        "without a store": lambda: None,
        "memory": lambda: memory,
        "sqlite": lambda: SqliteStore(tmp_path / "store.db", durability="process"),
    }
    return stores[request.param]


def ids(invoices: Any, count: int) -> list[Any]:
    return [invoices.InvoiceId.new() for _ in range(count)]


def test_a_key_is_refused_with_the_id_that_holds_it(invoices: Any, make: MakeMaybe) -> None:
    one, two = ids(invoices, 2)
    customer = invoices.CustomerId.new()
    with invoices.InvoiceRegistry(store=make()) as registry:
        registry.write(one, customer, "a", 1)
        with pytest.raises(invoices.RequestRepeatedError) as repeated:
            registry.write(two, invoices.CustomerId.new(), "a", 2)
        with pytest.raises(invoices.NumberTakenError) as taken:
            registry.write(two, customer, "b", 1)
        assert (repeated.value.id, repeated.value.guard) == (one, "by_request")
        assert (taken.value.id, taken.value.number, taken.value.guard) == (one, 1, "by_number")
        assert pickle.loads(pickle.dumps(taken.value)) == taken.value
        assert registry.snapshot(two) is None
        assert registry.by_request("b") is None


def test_a_key_finds_its_record(invoices: Any, make: MakeMaybe) -> None:
    one, two = ids(invoices, 2)
    customer = invoices.CustomerId.new()
    with invoices.InvoiceRegistry(store=make()) as registry:
        registry.write(one, customer, "a", 1)
        registry.write(two, customer, "b", 2)
        assert registry.by_request("b") == registry.snapshot(two)
        assert registry.by_number(customer, 1) == registry.snapshot(one)
        assert registry.by_number(invoices.CustomerId.new(), 1) is None


def test_a_key_with_none_in_it_is_no_key(invoices: Any, make: MakeMaybe) -> None:
    customer = invoices.CustomerId.new()
    with invoices.InvoiceRegistry(store=make()) as registry:
        for id in ids(invoices, 2):
            registry.write(id, customer, None, None)
            registry.cancel(id)
            registry.erase(id)
        for id in ids(invoices, 2):
            registry.write(id, customer, None, None)


def test_a_key_of_live_records_is_free_when_its_record_ends(invoices: Any, make: MakeMaybe) -> None:
    one, two = ids(invoices, 2)
    customer = invoices.CustomerId.new()
    with invoices.InvoiceRegistry(store=make()) as registry:
        registry.write(one, customer, "a", 1)
        registry.pay(one)
        assert registry.by_number(customer, 1) is None
        assert registry.by_request("a").status is invoices.InvoiceStatus.PAID
        registry.write(two, customer, "b", 1)
        registry.erase(one)
        assert registry.by_number(customer, 1).id == two
        assert registry.by_request("a") is None
        registry.write(one, customer, "a", 2)


def test_a_key_is_free_when_its_record_is_rolled_back(invoices: Any, make: MakeMaybe) -> None:
    one, two = ids(invoices, 2)
    customer = invoices.CustomerId.new()
    with invoices.InvoiceRegistry(store=make()) as registry:
        registry.write(one, customer, "a", 1)
        registry.forget(one)
        registry.write(two, customer, "a", 1)
        assert registry.by_request("a").id == registry.by_number(customer, 1).id == two


def test_a_transaction_hands_a_key_over_or_leaves_it(invoices: Any, make: MakeMaybe) -> None:
    one, two, three = ids(invoices, 3)
    customer = invoices.CustomerId.new()
    with invoices.InvoiceRegistry(store=make()) as registry:
        registry.write(one, customer, "a", 1)

        def in_vain() -> None:
            with registry.transaction() as transaction:
                transaction.forget(one)
                transaction.write(two, customer, "a", 1)
                transaction.write(three, customer, "a", 2)

        with pytest.raises(invoices.RequestRepeatedError) as caught:
            in_vain()
        assert (caught.value.command_index, caught.value.id) == (2, two)
        assert registry.by_request("a").id == registry.by_number(customer, 1).id == one
        with registry.transaction() as transaction:
            transaction.forget(one)
            transaction.write(two, customer, "a", 1)
        assert registry.by_request("a").id == registry.by_number(customer, 1).id == two


def test_keys_are_held_again_when_a_store_is_opened(invoices: Any, tmp_path: Path) -> None:
    one, two, three = ids(invoices, 3)
    customer = invoices.CustomerId.new()
    path = tmp_path / "store.db"
    with invoices.InvoiceRegistry(store=SqliteStore(path)) as registry:
        registry.write(one, customer, "a", 1)
        registry.pay(one)
        registry.write(two, customer, "b", 1)
        document = registry.capture()
    with invoices.InvoiceRegistry(store=SqliteStore(path)) as registry:
        restored = invoices.InvoiceRegistry.restore(document)
        for each in (registry, restored):
            with pytest.raises(invoices.RequestRepeatedError):
                each.write(three, customer, "a", 3)
            with pytest.raises(invoices.NumberTakenError):
                each.write(three, customer, "c", 1)
            assert each.by_number(customer, 1).id == two
        restored.close()


def test_stored_records_with_one_key_are_refused(invoices: Any) -> None:
    store = MemoryStore()
    (other,) = ids(invoices, 1)
    with invoices.InvoiceRegistry(store=store) as registry:
        (id,) = ids(invoices, 1)
        registry.write(id, invoices.CustomerId.new(), "a", 1)
    store._records[str(other)] = store._records[str(id)]
    with pytest.raises(StoreDamagedError, match=f"{id} and {other} have the same key, 'a'"):
        invoices.InvoiceRegistry(store=store)


def program(*edits: tuple[str, str]) -> Program:
    text = replaced(INVOICE.read_text(encoding="utf-8"), edits)
    return program_of(text.encode(), "invoice.yaml")


def test_a_parameter_cannot_have_the_name_of_the_record_that_holds_the_key() -> None:
    text = INVOICE.read_text(encoding="utf-8").replace("number: int | None}\n  id", "N}\n  id")
    text = text.replace("N}", "number: int | None, existing: str}")
    text = text.replace(
        "[id, customer, request, number]", "[id, customer, request, number, existing]"
    )
    with pytest.raises(InvalidMachineError) as caught:
        program_of(text.encode(), "invoice.yaml")
    assert [each.rule for each in caught.value.findings] == ["reserved-name"]


BY_REQUEST = """  by_request:
    summary: Find the invoice of a request.
    fields: [request]
    error: {repeated: {id: existing}}
"""
WITHOUT = (
    (BY_REQUEST, ""),
    (
        "  repeated: {class: RequestRepeatedError, fields: {id: InvoiceId},"
        " message: 'the request made invoice {id}'}\n",
        "",
    ),
)


class TestChanges:
    def test_a_new_key_breaks_stored_data_until_a_migration_accepts_it(self) -> None:
        old, new = lock_of(program(*WITHOUT), ""), lock_of(program(), "")
        (found,) = (each for each in changes(old, new) if each.rule == "stored-key-added")
        assert found.breaking
        assert found.text == "stored records may have equal values of request, which become unique"
        assert not any(each.rule == "stored-key-added" for each in changes(new, old))

    def test_a_key_of_all_records_may_become_one_of_live_records(self) -> None:
        live = (BY_REQUEST, BY_REQUEST + "    among: live\n")
        old, new = lock_of(program(), ""), lock_of(program(live), "")
        assert not [each for each in changes(old, new) if each.rule == "stored-key-added"]
        assert [each for each in changes(new, old) if each.rule == "stored-key-added"]

    def test_a_renamed_field_is_the_same_key(self) -> None:
        renamed = program(
            ("version: 1", "version: 2"),
            ("  request: {type", "  asked: {type"),
            ("fields: [request]", "fields: [asked]"),
            ("    request: invoice.request", "    request: invoice.asked"),
            (
                "distinct(invoice.request for invoice in invoices if invoice.request is not None)",
                "distinct(invoice.asked for invoice in invoices if invoice.asked is not None)",
            ),
            (
                "recovery: ",
                "migrations:\n  2: {reason: Ours, renames: {fields: {request: asked}}}\n\n"
                "recovery: ",
            ),
        )  # fmt: skip
        new = lock_of(renamed, "")
        old = applied(renamed.migrations, lock_of(program(), ""), new)
        assert [each.rule for each in changes(old, new) if each.breaking] == []

    def test_diff_tells_of_keys(self) -> None:
        told = {each.rule for each in behaviour_changes(program(*WITHOUT), program())}
        assert {"key-added", "checks-changed"} <= told


@pytest.fixture
def versions() -> Iterator[tuple[Generated, Generated]]:
    """A version without a key, and the next one, which has it and accepts older stores."""
    text = INVOICE.read_text(encoding="utf-8")
    accepts = "{2: {reason: x, accepts: {stored-key-added: each request is made once}}}"
    later = replaced(text, [("version: 1\n", f"version: 2\nmigrations: {accepts}\n")])
    with compiled(yaml.safe_load(replaced(text, WITHOUT))) as first:
        assert isinstance(first, Generated)
        with compiled(yaml.safe_load(later), first) as second:
            assert isinstance(second, Generated)
            yield first, second


class TestAKeyThatStoredRecordsShare:
    """The version with the key refuses the store, which the version without it goes on with."""

    def test_nothing_is_changed(
        self, versions: tuple[Generated, Generated], make: MakeMaybe
    ) -> None:
        first, second = (each.package for each in versions)
        one, two, three = ids(first, 3)
        store, customer = make(), first.CustomerId.new()
        if store is None:
            return
        with first.InvoiceRegistry(store=store) as registry:
            registry.write(one, customer, "a", 1)
            registry.write(two, customer, "a", 2)
            document = registry.capture()
        shared = f"by_request: the records {one} and {two} have the same key, 'a'"
        for _ in range(2):
            with pytest.raises(StoreVersionError, match=shared):
                second.InvoiceRegistry(store=make())
        with pytest.raises(StoreVersionError, match=shared):
            second.InvoiceRegistry.restore(document)
        with first.InvoiceRegistry(store=make()) as registry:
            registry.write(three, customer, "b", 3)
            registry.cancel(two)
            registry.erase(two)
        with second.InvoiceRegistry(store=make()) as registry:
            found = [str(registry.by_request(each).id) for each in ("a", "b")]
            assert found == [str(one), str(three)]

    def test_commands_and_readers_say_the_same(
        self, versions: tuple[Generated, Generated], tmp_path: Path
    ) -> None:
        first, second = (each.package for each in versions)
        path, customer = tmp_path / "store.db", first.CustomerId.new()
        with first.InvoiceRegistry(store=SqliteStore(path)) as registry:
            for each in ids(first, 2):
                registry.write(each, customer, "a", None)
        location, machine = location_of(str(path)), machine_of(second.__name__)
        with pytest.raises(StoreVersionError, match="have the same key"):
            list(planned(location.reader, machine.schema))
        with pytest.raises(StoreVersionError, match="have the same key"):
            list(migrate(location.store, ["default"], machine.schema, lambda version: None))
        with pytest.raises(StoreVersionError, match="have the same key"):
            examine(location, machine, lambda line: None)
        with (
            pytest.raises(StoreVersionError, match="have the same key"),
            Reader(second.InvoiceRegistry, SqliteStore(path)),
        ):
            pass
        # Its own invariant says that no two have one request, and nothing is damaged.
        assert examine(location, machine_of(first.__name__), lambda line: None) == (1, 1)

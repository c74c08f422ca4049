"""Machines without optional features: no store, no fields that change, no effects."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from opslifecycle_codegen.cli.main import main

from tests.support.codegen.projects import assert_clean, edit, project
from tests.support.warm import python

SHIPPED = Path(__file__).parents[2] / "machine/ops_lifecycle.yaml"
ONE_STATUS = SHIPPED.with_name("a2a_push_config.yaml")
TURNSTILE = Path(__file__).with_name("turnstile.yaml")
PARCEL = Path(__file__).with_name("parcel.yaml")
DEFERRED = "    deferred: true\n"


def compiled(folder: Path, source: Path, *edits: tuple[str, str]) -> Path:
    """A project of a machine with some of its text replaced."""
    machine = folder / source.name
    shutil.copy(source, machine)
    for old, new in edits:
        edit(machine, old, new)
    made = project(folder / "project", machine)
    assert_clean(made)
    return made


def recovery_of(source: Path) -> str:
    """The section that says what is kept; without it, nothing is."""
    rest = source.read_text(encoding="utf-8").partition("\nrecovery:")[2]
    return "\nrecovery:" + rest.partition("\n\n")[0]


def printed(folder: Path, script: str) -> list[str]:
    done = python("-c", script, cwd=folder / "src")
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


def test_a_feed_needs_no_store(tmp_path: Path) -> None:
    deferred = SHIPPED.read_text(encoding="utf-8").count(DEFERRED)
    edits = [(recovery_of(SHIPPED), ""), *[(DEFERRED, "")] * deferred]
    folder = compiled(tmp_path, SHIPPED, *edits)
    script = (
        "from ops_lifecycle import *\n"
        "from opslifecycle import InvalidValueError\n"
        "try: Registry(max_completed=-1)\n"
        "except InvalidValueError as error: print(error.field)\n"
        "with Registry(max_completed=1) as registry:\n"
        "    ids = [OperationId.new(), OperationId.new()]\n"
        "    for id in ids:\n"
        "        spec = OperationSpec(\n"
        "            id, OperationKind.BACKGROUND_TOOL_OP, SessionId.new(), 'n', 'l')\n"
        "        registry.register_operation(spec)\n"
        "        registry.fail_operation(id, 'no')\n"
        "    feed = registry.completion_feed()\n"
        "    (row,) = feed.list_since(1, epoch_id=feed.epoch_id).entries\n"
        "    print(type(feed.epoch_id).__name__, row.seq, registry.snapshot(ids[0]))\n"
        "    print(registry.broken_invariants())\n"
    )
    assert printed(folder, script) == ["max_completed", "RuntimeEpochId 2 None", "[]"]


def test_effects_need_no_store(tmp_path: Path) -> None:
    folder = compiled(tmp_path, PARCEL, (recovery_of(PARCEL), ""))
    script = (
        "from parcel import *\n"
        "from queue import SimpleQueue\n"
        "heard = SimpleQueue()\n"
        "with ParcelRegistry(on_effect=heard.put) as parcels:\n"
        "    id = ParcelId.new()\n"
        "    parcels.accept(id, 'here')\n"
        "    parcels.move(id)\n"
        "    for call in (heard.get(timeout=30), heard.get(timeout=30)):\n"
        "        print(call.number, call.effect.value, call.snapshot.stops)\n"
    )
    assert printed(folder, script) == ["1 print_label 0", "2 tell_receiver 1"]


@pytest.mark.nightly
def test_what_was_live_stays_so_where_the_machine_says_nothing_else(tmp_path: Path) -> None:
    folder = compiled(
        tmp_path,
        PARCEL,
        ("recovery: {persist_if: 'true', do: lose}", "recovery: {persist_if: 'true'}"),
    )
    script = (
        "from parcel import *\n"
        "from opslifecycle import InvalidValueError, SqliteStore\n"
        "id = ParcelId.new()\n"
        "with ParcelRegistry(store=SqliteStore('parcels.db')) as parcels:\n"
        "    parcels.accept(id, 'here')\n"
        "with ParcelRegistry(store=SqliteStore('parcels.db')) as parcels:\n"
        "    print(parcels.snapshot(id).status.value)\n"
        "try: ParcelRegistry(store=SqliteStore('parcels.db', interrupted='terminate'))\n"
        "except InvalidValueError as error: print(error.field)\n"
    )
    assert printed(folder, script) == ["accepted", "interrupted"]


@pytest.mark.nightly
def test_records_without_anything_that_stays_as_it_began_are_kept(tmp_path: Path) -> None:
    folder = compiled(
        tmp_path,
        PARCEL,
        ("  address: {type: str, initial: address}\n", ""),
        ("{accept: [id, address]}", "{accept: [id]}"),
        ("{id: ParcelId, address: str}", "{id: ParcelId}"),
        ("    address: parcel.address\n", ""),
    )
    script = (
        "from parcel import *\n"
        "from opslifecycle import SqliteStore\n"
        "one, two = ParcelId.new(), ParcelId.new()\n"
        "with ParcelRegistry(on_effect=id, store=SqliteStore('parcels.db')) as parcels:\n"
        "    parcels.accept(one); parcels.move(one); parcels.deliver(one); parcels.accept(two)\n"
        "with ParcelRegistry(on_effect=id, store=SqliteStore('parcels.db')) as parcels:\n"
        "    for each in (one, two):\n"
        "        snapshot = parcels.snapshot(each)\n"
        "        print(snapshot.status.value, snapshot.stops)\n"
    )
    assert printed(folder, script) == ["delivered 1", "lost 0"]


@pytest.mark.nightly
def test_a_machine_may_use_the_word_open(tmp_path: Path) -> None:
    folder = compiled(tmp_path, PARCEL, ("methods: [move]", "methods: [open]"))
    script = (
        "import asyncio\n"
        "from opslifecycle import MemoryStore\n"
        "from parcel import *\n"
        "async def main():\n"
        "    async with await AsyncParcelRegistry._open(store=MemoryStore()) as parcels:\n"
        "        id = ParcelId.new()\n"
        "        await parcels.accept(id, 'here')\n"
        "        await parcels.open(id)\n"
        "        print(parcels.snapshot(id).stops)\n"
        "asyncio.run(main())\n"
    )
    assert printed(folder, script) == ["1"]


@pytest.mark.nightly
def test_without_a_feed_a_field_may_be_called_sequence(tmp_path: Path) -> None:
    coins = "  coins: {type: int"
    folder = compiled(
        tmp_path,
        TURNSTILE,
        (coins, f"  sequence: {{type: int | None}}\n{coins}"),
        ("\nsnapshot:", "\nrecovery: {persist_if: 'true'}\n\nsnapshot:"),
    )
    script = (
        "from opslifecycle import MemoryStore\n"
        "from turnstile import *\n"
        "store, id = MemoryStore(), GateId.new()\n"
        "for _ in range(2):\n"
        "    with GateRegistry(store=store) as gates:\n"
        "        if gates.snapshot(id) is None:\n"
        "            gates.install(id, 'north')\n"
        "        else:\n"
        "            print(gates.snapshot(id).place)\n"
    )
    assert printed(folder, script) == ["north"]


LEAVING = """
from opslifecycle import MemoryStore
from turnstile import GateId, GateRegistry
store, id, other = MemoryStore(), GateId.new(), GateId.new()
with GateRegistry(store=store) as gates:
    gates.install(id, "north")
    gates.install(other, "south")
    gates.coin(id)
    gates.push(id)
    print(sorted(store._records) == [str(other)])
with GateRegistry(store=store) as gates:
    print(gates.snapshot(id), gates.snapshot(other).coins)
"""


@pytest.mark.nightly
@pytest.mark.parametrize("deferred", ["", ", deferred: true"])
def test_a_record_that_is_no_longer_kept_leaves_the_store(tmp_path: Path, deferred: str) -> None:
    """What a store has of it is older than what was acknowledged: it must not come back."""
    folder = compiled(
        tmp_path,
        TURNSTILE,
        ("\nsnapshot:", "\nrecovery: {persist_if: gate.coins < 1}\n\nsnapshot:"),
        ("to: unlocked,", f"to: unlocked{deferred},"),
    )
    assert printed(folder, LEAVING) == ["True", "None 0"]


CLOSING = """
from opslifecycle import MemoryStore
from turnstile import GateRegistry
import json
store = MemoryStore()
gates = GateRegistry(store=store)
gates.close_station()
gates.close_station()
print(json.loads(store._state)["closings"])
"""


@pytest.mark.nightly
def test_what_a_command_for_all_sets_is_stored_even_where_it_ends_nothing(tmp_path: Path) -> None:
    folder = compiled(
        tmp_path,
        TURNSTILE,
        ("\nsnapshot:", "\nrecovery: {persist_if: 'true'}\n\nsnapshot:"),
        ("\nerrors:", "\nregistry:\n  closings: {type: int, initial: '0', summary: All.}\n"
         "\nerrors:"),
        ("\nwatch:", "\nbulk:\n  close_station:\n    summary: Take every gate away.\n"
         "    do: scrap\n    update: {registry.closings: registry.closings + 1}\n\nwatch:"),
    )  # fmt: skip
    assert printed(folder, CLOSING) == ["2"]


@pytest.mark.nightly
def test_an_action_that_only_recovery_applies_needs_no_method(tmp_path: Path) -> None:
    folder = compiled(
        tmp_path,
        TURNSTILE,
        ("summary: Take the gate away., methods: [scrap], from", "summary: Take it away., from"),
        ("\nwatch:", "\nrecovery: {persist_if: 'true', do: scrap}\n\nwatch:"),
    )
    script = (
        "from turnstile import *\n"
        "from opslifecycle import MemoryStore\n"
        "store, id = MemoryStore(), GateId.new()\n"
        "with GateRegistry(store=store) as registry: registry.install(id, 'west')\n"
        "with GateRegistry(store=store) as registry:\n"
        "    print(registry.snapshot(id).status.value, hasattr(registry, 'scrap'))\n"
    )
    assert printed(folder, script) == ["scrapped False"]


def test_numbers_whose_names_fill_a_line_are_written_as_text(tmp_path: Path) -> None:
    count = "coins_paid_since_the_gate_was_installed"
    pause = "pause_before_the_next_person_gets_in"
    machine = tmp_path / "turnstile.yaml"
    shutil.copy(TURNSTILE, machine)
    for old, new in (
        (
            "  coins: {type: int, initial: '0'}",
            "  coins: {type: int, initial: '0'}\n"
            f"  {count}: {{type: int, initial: '0'}}\n"
            f"  {pause}: {{type: timedelta | None, initial: 'None'}}",
        ),
        (
            "methods: [coin], from: [locked], to: unlocked, update: {",
            "methods: [coin], params: {pause: timedelta}, from: [locked], to: unlocked,"
            f" update: {{gate.{count}: gate.{count} + 2, gate.{pause}: pause, ",
        ),
        (
            "coins: gate.coins}",
            f"coins: gate.coins, {count}: gate.{count}, {pause}: gate.{pause}}}",
        ),
        ("\nwatch:", "\nrecovery: {persist_if: 'true'}\n\nwatch:"),
    ):
        edit(machine, old, new)
    folder = project(tmp_path / "project", machine)
    assert "str(_rt.microseconds(" in (folder / "src/turnstile/storage.py").read_text()
    script = (
        "from datetime import timedelta\n"
        "from turnstile import *\n"
        "from opslifecycle import SqliteStore\n"
        "id = GateId.new()\n"
        "with GateRegistry(store=SqliteStore('gates.db')) as registry:\n"
        "    registry.install(id, 'west')\n"
        "    registry.coin(id, timedelta(seconds=3))\n"
        "with GateRegistry(store=SqliteStore('gates.db')) as registry:\n"
        "    gate = registry.snapshot(id)\n"
        f"    print(gate.{count}, gate.{pause})\n"
    )
    assert printed(folder, script) == ["2 0:00:03"]


@pytest.mark.parametrize("guards", ["", "\n    guards: [known]"])
def test_one_status_is_enough(tmp_path: Path, guards: str) -> None:
    # Every status is legal then, and nothing is watched; neither is a fault of the machine. With
    # guards of its own, no action is left for the table of the generated tests.
    folder = compiled(tmp_path, ONE_STATUS, ("    from: active\n", f"    from: active{guards}\n"))
    assert main(["--project", str(folder), "verify", "--induction"]) == 0

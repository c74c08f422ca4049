"""Bytes: checked where they come in, compared, stored as base64 text."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from opslifecycle import InvalidValueError, SqliteStore, structure, unstructure
from opslifecycle.values.binary import bytes_from, bytes_text
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.versions import compared
from opslifecycle_codegen.modelcheck import verification
from opslifecycle_codegen.modelcheck.scenarios import scenarios

from tests.support.codegen.projects import assert_clean, imported, project

CASE = Path(__file__).parent / "cases" / "bytes" / "machine.yaml"
TEXT = CASE.read_text(encoding="utf-8")
KEY = b'\x00\xff"\\'


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return a package of gates that keys open."""
    folder = tmp_path_factory.mktemp("bytes")
    source = folder / "keyed_gate.yaml"
    source.write_text(TEXT.replace("machine: turnstile", "machine: keyed_gate"), "utf-8")
    made = project(folder / "project", source)
    assert_clean(made)
    return imported(made, "keyed_gate")


def test_bytes_are_compared_and_stored(gates: ModuleType, tmp_path: Path) -> None:
    one, other = gates.GateId.new(), gates.GateId.new()
    with gates.GateRegistry(store=SqliteStore(tmp_path / "gates.db")) as registry:
        registry.install(one, "door", KEY)
        registry.install(other, "hall", b"")
        with pytest.raises(gates.NoSuchGateError):
            registry.open(one, gates.Badge(b"\x00"))
        registry.open(one, gates.Badge(KEY, photo=b"12345678"), b"spare")
        before = registry.snapshot(one)
    with gates.GateRegistry(store=SqliteStore(tmp_path / "gates.db")) as registry:
        found = registry.snapshot(one)
        assert found == before
        assert (found.key, found.spare, found.last.photo) == (KEY, b"spare", b"12345678")
        assert [each.id for each in registry.gates()] == [other, one]
        assert [each.id for each in registry.gates(key=KEY)] == [one]
        data = unstructure(found.last)
        assert data == {"key": "AP8iXA==", "photo": "MTIzNDU2Nzg="}
        assert structure(data, gates.Badge) == found.last


@pytest.mark.parametrize(
    "value", ["text", bytearray(b"x"), memoryview(b"x"), 5, None, b"123456789"]
)
def test_only_bytes_of_the_length_are_taken(gates: ModuleType, value: object) -> None:
    with (
        gates.GateRegistry() as registry,
        pytest.raises(InvalidValueError, match=r"^key: expected (at most 8 )?bytes"),
    ):
        registry.install(gates.GateId.new(), "door", value)


@pytest.mark.parametrize(
    "data", [5, None, "AP8iXA", "AP8i XA==", "*", "AP9=", "MTIzNDU2Nzg5", "\u00e9"]
)
def test_stored_data_that_is_no_base64_is_refused(data: object) -> None:
    with pytest.raises(InvalidValueError):
        bytes_from(data, 8)
    assert bytes_from(bytes_text(KEY), 8) == KEY


def test_a_shorter_length_breaks_what_is_stored() -> None:
    edits = ("max_length: 8", "max_length: 9"), ("max_length: 8", "max_length: 7")
    old, longer, shorter = (
        program_of(each.encode(), "m.yaml") for each in (TEXT, *(TEXT.replace(*e) for e in edits))
    )
    assert "field-widened" in {change.rule for change, _ in compared(old, longer).changes}
    assert "field-type" in {change.rule for change, _ in compared(old, shorter).changes}


def test_a_search_tries_equal_and_different_bytes() -> None:
    (scenario,) = scenarios(program_of(TEXT.encode(), "m.yaml"))
    given = [dict(call.arguments)["badge"][0] for call in scenario.calls if call.method == "open"]
    assert len(set(given)) == 2
    found, _ = verification.searched(scenario)
    assert found.violation is None

"""One bad argument fails its own call: nothing is applied, and the registry stays open."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    BackendPeer,
    CompletionCursorConsumer,
    InvalidSpecError,
    InvalidValueError,
    MemoryStore,
    OperationId,
    OperationProgressUpdate,
    OperationResult,
    OperationSpec,
    OperationStatus,
    PostgresStore,
    Registry,
    SessionId,
    SqliteStore,
    Store,
)
from opslifecycle.cluster import Cluster
from opslifecycle.values import checks
from opslifecycle.work import Supervisor

from tests.support.builders import CHILD, HANDLE, TOOL, UPDATE, registered, result, running, spec
from tests.support.gate import snapshot

TOO_MANY = checks.TEXT_BYTES_MAX // len("é".encode()) + 1
AGENT = CompletionCursorConsumer.AGENT_APPLIED


class Text(str):
    """Text that says of itself that it is fine."""

    def encode(self, *_: Any) -> bytes:
        return b""


class Word(StrEnum):
    NO = "no"


class Number(IntEnum):
    ONE = 1


class Unchecked(OperationSpec):
    def __attrs_post_init__(self) -> None:
        pass


class UncheckedId(OperationId):
    def __str__(self) -> str:
        return '"'


def counted(value: Any) -> OperationResult:
    return OperationResult(OperationId.new(), "done", False, value, 0)


#: Values that are refused when they are made or when they are given, by the field at fault.
REFUSED: list[tuple[str, str, Callable[[Registry, OperationId], Any]]] = [
    ("duration_ms", "5,000 digits", lambda r, id: r.complete_operation(id, counted(10**5000))),
    ("duration_ms", "negative, 5,000 digits", lambda r, id: counted(-(10**5000))),
    ("duration_ms", "more than 64 bits", lambda r, id: counted(checks.COUNT_MAX + 1)),
    ("duration_ms", "negative", lambda r, id: counted(-1)),
    ("duration_ms", "a flag", lambda r, id: counted(True)),
    ("percent", "no float", lambda r, id: OperationProgressUpdate("x", 10**400)),
    ("percent", "no exact float", lambda r, id: OperationProgressUpdate("x", 2**53 + 1)),
    ("percent", "a flag", lambda r, id: OperationProgressUpdate("x", True)),
    ("error", "a surrogate", lambda r, id: r.fail_operation(id, "\ud800")),
    ("error", "a surrogate in disguise", lambda r, id: r.fail_operation(id, Text("\udfff"))),
    ("error", "a subclass", lambda r, id: r.fail_operation(id, Text("no"))),
    ("error", "a member", lambda r, id: r.fail_operation(id, Word.NO)),
    ("error", "an identifier", lambda r, id: r.fail_operation(id, id)),
    ("duration_ms", "a member", lambda r, id: counted(Number.ONE)),
    ("error", "bytes", lambda r, id: r.fail_operation(id, b"no")),  # type: ignore[arg-type]
    ("error", "too long", lambda r, id: r.fail_operation(id, "é" * TOO_MANY)),
    ("reason", "a number", lambda r, id: r.terminate_owner(3)),  # type: ignore[arg-type]
    ("spec", "a subclass", lambda r, id: r.register_operation(
        Unchecked(OperationId.new(), TOOL, SessionId.new(), 3, None))),  # type: ignore[arg-type]
    ("id", "a subclass", lambda r, id: r.provisioning_succeeded(UncheckedId(str(id)))),
    ("max_concurrent", "5,000 digits",
     lambda r, id: r.register_operation_with_admission_limit(spec(), 10**5000)),
    ("cursor", "5,000 digits", lambda r, id: r.advance_completion_cursor(AGENT, 10**5000)),
    ("after", "5,000 digits", lambda r, id: r.completion_feed().list_since(10**5000)),
]  # fmt: skip


@pytest.fixture(params=["none", "memory", "sqlite"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    stores: dict[str, Store | None] = {
        "none": None,
        "memory": MemoryStore(),
        "sqlite": SqliteStore(tmp_path / "store.db"),
    }
    with Registry(store=stores[request.param]) as registry:
        yield registry


@pytest.mark.parametrize(
    ("field", "call"), [(f, c) for f, _, c in REFUSED], ids=[f"{f}: {w}" for f, w, _ in REFUSED]
)
def test_a_bad_value_fails_its_own_call(
    registry: Registry, field: str, call: Callable[[Registry, OperationId], Any]
) -> None:
    id = running(registry)
    before = snapshot(registry, id)
    with pytest.raises(InvalidValueError) as caught:
        call(registry, id)
    assert caught.value.field == field
    assert len(str(caught.value)) < 200
    assert snapshot(registry, id) == before
    registry.complete_operation(id, result())
    assert registry.broken_invariants() == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_is_no_percentage(value: float) -> None:
    with pytest.raises(InvalidSpecError, match="expected a finite number"):
        OperationProgressUpdate("x", value)


def test_the_largest_values_are_stored_and_given_back(tmp_path: Path) -> None:
    id, text = OperationId.new(), '\0\x1f\U0010ffff"\\' * 1000
    given = OperationResult(id, text, True, checks.COUNT_MAX, 0)
    with Registry(store=SqliteStore(tmp_path / "store.db")) as registry:
        registry.register_operation(spec(id=id))
        registry.provisioning_succeeded(id)
        registry.report_progress(id, OperationProgressUpdate(text, 2**60))
        registry.complete_operation(id, given)
        expected = snapshot(registry, id)
    with Registry(store=SqliteStore(tmp_path / "store.db")) as registry:
        found = snapshot(registry, id)
        assert found.terminal_outcome == expected.terminal_outcome
        assert found.latest_progress == OperationProgressUpdate(text, float(2**60))


class _Source(BackendPeer):
    def __attrs_post_init__(self) -> None:
        pass


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_what_gets_past_every_check_fails_its_own_call_too(tmp_path: Path, kind: str) -> None:
    store = MemoryStore() if kind == "memory" else SqliteStore(tmp_path / "store.db")
    with Registry(store=store) as registry:
        made = spec(CHILD)
        object.__setattr__(made, "display_name", 3)
        with pytest.raises(InvalidValueError, match=f"the record {made.id} cannot be stored"):
            registry.register_operation(made)
        assert registry.snapshot(made.id) is None
        source = _Source(object(), "address")  # type: ignore[arg-type]
        with pytest.raises(InvalidValueError):
            registry.register_operation(spec(CHILD, source=source))
        id = running(registry, CHILD)
        registry.peer_ready(id, HANDLE)
        assert registry.broken_invariants() == []


def test_only_the_commands_of_a_bad_record_fail_in_a_batch() -> None:
    async def scenario() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            good, bad = [spec() for _ in range(20)], spec()
            object.__setattr__(bad, "source_label", None)
            work = [*good[:10], bad, *good[10:]]
            tasks = [asyncio.ensure_future(registry.register_operation(each)) for each in work]
            again = asyncio.ensure_future(registry.provisioning_succeeded(bad.id))
            answers = await asyncio.gather(*tasks, again, return_exceptions=True)
            failed = [type(each) for each in answers if each is not None]
            assert failed[0] is InvalidValueError
            assert len(failed) == 2
            assert len(registry.list_operations()) == 20
            assert registry.broken_invariants() == []

    asyncio.run(scenario())


def test_a_registry_goes_on_after_bad_values(registry: Registry) -> None:
    id = registered(registry)
    for _, _, call in REFUSED[:3]:
        with pytest.raises(InvalidValueError):
            call(registry, id)
    registry.provisioning_succeeded(id)
    registry.report_progress(id, UPDATE)
    registry.complete_operation(id, result())
    assert snapshot(registry, id).status is OperationStatus.COMPLETED


#: Arguments that are numbers of seconds or places, by the call that takes one.
NUMBERS: dict[str, Callable[[Any], object]] = {
    "lock_timeout": lambda value: SqliteStore("a.db", lock_timeout=value),
    "lease_seconds": lambda value: PostgresStore("host=x", lease_seconds=value),
    "poll_seconds": lambda value: Cluster("host=x", AsyncRegistry, poll_seconds=value),
    "patience_seconds": lambda value: Cluster("host=x", AsyncRegistry, patience_seconds=value),
    "max_running": lambda value: Supervisor(Registry(), max_running=value),
    "store_patience_seconds": lambda value: Supervisor(Registry(), store_patience_seconds=value),
}


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize(
    "value",
    [-(10**5000), math.nan, "x" * 500, Word.NO, None, -1],
    ids=["huge", "nan", "long", "enum", "none", "negative"],
)
def test_an_option_is_refused_in_a_short_sentence(field: str, value: object) -> None:
    if field == "max_running" and value is None:
        pytest.skip("it means no limit")
    with pytest.raises(InvalidValueError) as caught:
        NUMBERS[field](value)
    assert caught.value.field == field
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", ["x" * 500, math.nan])
def test_a_timeout_is_refused_in_a_short_sentence(value: Any) -> None:
    with Registry() as registry, pytest.raises(InvalidValueError) as caught:
        registry.completion_feed().wait_for_advance(0).result(timeout=value)
    assert len(str(caught.value)) < 200

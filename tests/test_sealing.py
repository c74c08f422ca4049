"""A sealed owner registers nothing; what is live goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from opslifecycle import (
    AlreadyRegisteredError,
    AsyncRegistry,
    InvalidSpecError,
    MemoryStore,
    OperationId,
    OwnerAdmission,
    OwnerRetiredError,
    OwnerSealedError,
    Registry,
    RunId,
    SessionChild,
    SessionId,
    SqliteStore,
)

from tests.support.builders import ACTIONS, SLOT, TOOL, registered, running, spec


def sealed(**given: object) -> Registry:
    registry = Registry(**given)  # type: ignore[arg-type]
    registry.seal_owner()
    return registry


def test_it_registers_nothing_by_any_method() -> None:
    registry = sealed()
    for kind in (TOOL, SLOT):
        with pytest.raises(OwnerSealedError, match="operation owner is sealed"):
            registry.register_operation(spec(kind))
        with pytest.raises(OwnerSealedError):
            registry.register_operation_with_admission_limit(spec(kind), 9)
        with pytest.raises(OwnerSealedError):
            registry.register_resumable_operation(spec(kind), "call")
    assert registry.list_operations() == []


def test_what_is_wrong_with_the_call_itself_is_said_first() -> None:
    registry = Registry(max_concurrent=1)
    id = registered(registry)
    registry.seal_owner()
    with pytest.raises(AlreadyRegisteredError):
        registry.register_operation(spec(id=id))
    with pytest.raises(InvalidSpecError):
        registry.register_operation(spec(TOOL, source=SessionChild(SessionId.new())))
    with pytest.raises(OwnerSealedError):
        registry.register_operation(spec())


@pytest.mark.parametrize("action", ACTIONS)
def test_what_is_live_goes_on(action: str) -> None:
    answers = []
    for seals in (False, True):
        registry = Registry()
        id = OperationId("019a0000-0000-7000-8000-000000000001")
        registry.register_operation(spec(id=id))
        registry.provisioning_succeeded(id)
        if seals:
            registry.seal_owner()
        try:
            ACTIONS[action](registry, id)
            refused = ""
        except Exception as error:
            refused = repr(error)
        shown = registry.snapshot(id)
        answers.append((refused, shown and shown.status, len(registry.collect_completed())))
    assert answers[0] == answers[1]


def test_waits_and_rollback_go_on() -> None:
    registry = Registry()
    id, other = running(registry), running(registry)
    registry.seal_owner()
    wait = registry.wait_all(RunId.new(), [id])
    registry.cancel_operation(id, None)
    assert wait.result(1).outcomes
    registry.rollback_unreturned_operation(other)
    assert registry.snapshot(other) is None


def test_the_admission_of_an_owner_is_told_even_after_the_close() -> None:
    registry = Registry()
    assert registry.owner_admission() is OwnerAdmission.OPEN
    registry.seal_owner()
    registry.terminate_owner("over")
    assert registry.owner_admission() is OwnerAdmission.SEALED
    registry.seal_owner()
    registry.retire_owner("over")
    assert registry.owner_admission() is OwnerAdmission.RETIRED
    registry.seal_owner()
    with pytest.raises(OwnerRetiredError):
        registry.register_operation(spec())
    registry.close()
    assert registry.owner_admission() is OwnerAdmission.RETIRED


def test_the_next_process_begins_open(tmp_path: Path) -> None:
    path = tmp_path / "operations.db"
    first = sealed(store=SqliteStore(path))
    first.close()
    with Registry(store=SqliteStore(path)) as second:
        assert second.owner_admission() is OwnerAdmission.OPEN
        registered(second)


def test_a_capture_of_a_sealed_owner_restores_to_an_open_one() -> None:
    capture = sealed().capture()
    assert Registry.restore(capture).owner_admission() is OwnerAdmission.OPEN


def test_the_seal_of_an_asynchronous_registry() -> None:
    async def test() -> None:
        async with await AsyncRegistry.open(store=MemoryStore()) as registry:
            await registry.seal_owner()
            assert registry.owner_admission() is OwnerAdmission.SEALED
            with pytest.raises(OwnerSealedError):
                await registry.register_operation(spec())

    asyncio.run(test())

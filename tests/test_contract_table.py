"""The contract's table, written by hand: every cell, and that a rejection changes nothing."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from opslifecycle import (
    AlreadyPeerReadyError,
    AlreadyRegisteredError,
    CompletionCursorConsumer,
    InvalidTransitionError,
    MaxConcurrentExceededError,
    OperationId,
    OperationKind,
    OperationLifecycleAction,
    OperationNotFoundError,
    OperationStatus,
    OpsLifecycleError,
    OwnerRetiredError,
    PeerNotExpectedError,
    Registry,
    RunId,
)

from tests.support.builders import ACTIONS, CHILD, PATHS, SLOT, TOOL, in_status, registered, spec

#: NF not found, IT invalid transition, OK the same and an idempotent success, stays accepted
#: without a change of status; anything else is the status it leads to.
COLUMNS = [
    "start",
    "fail",
    "progress_reported",
    "complete",
    "abort",
    "cancel",
    "retire_requested",
    "retire_completed",
]
TABLE = """
absent       NF      NF     NF    NF        NF      NF        NF       NF
provisioning running failed IT    IT        aborted cancelled IT       IT
running      OK      failed stays completed IT      cancelled retiring retired
retiring     IT      failed stays completed IT      cancelled OK       retired
completed    IT      IT     OK    IT        OK      IT        OK       OK
failed       IT      IT     OK    IT        OK      IT        OK       OK
aborted      IT      IT     OK    IT        OK      IT        OK       OK
cancelled    IT      IT     OK    IT        OK      IT        OK       OK
retired      IT      IT     OK    IT        OK      IT        OK       OK
terminated   IT      IT     OK    IT        OK      IT        OK       OK
"""
CELLS = [
    (status, action, cell)
    for status, *row in (line.split() for line in TABLE.strip().splitlines())
    for action, cell in zip(COLUMNS, row, strict=True)
]
LABELS = {
    "start": "provisioning_succeeded",
    "fail": "fail_operation",
    "progress_reported": "report_progress",
    "complete": "complete_operation",
    "abort": "abort_provisioning",
    "cancel": "cancel_operation",
    "retire_requested": "request_retire",
    "retire_completed": "mark_retired",
    "terminate": "terminate_owner",
    "peer_ready": "peer_ready",
}
#: Whether each status is an end, and what it looks like from outside.
STATUS_CLASSES = {
    "absent": (False, "missing_authority"),
    "provisioning": (False, "running"),
    "running": (False, "running"),
    "retiring": (False, "running"),
    "completed": (True, "completed"),
    "failed": (True, "failed"),
    "terminated": (True, "failed"),
    "aborted": (True, "cancelled"),
    "cancelled": (True, "cancelled"),
    "retired": (True, "cancelled"),
}
#: Each kind: whether it has a peer, is fed, wakes, is kept.
KIND_CLASSES = {
    CHILD: (True, "emit", "ignore", "retain"),
    TOOL: (False, "emit", "wake", "retain"),
    SLOT: (False, "suppress", "ignore", "discard"),
}
#: What leads a running operation to each status.
AFTER_READY = {
    "running": [],
    "retiring": ["retire_requested"],
    "completed": ["complete"],
    "failed": ["fail"],
    "cancelled": ["cancel"],
    "retired": ["retire_completed"],
    "terminated": ["terminate"],
}
LIVE = (OperationStatus.PROVISIONING, OperationStatus.RUNNING, OperationStatus.RETIRING)


def everything(registry: Registry) -> Any:
    """All that can be seen of a registry."""
    feed = registry.completion_feed()
    return (
        registry.list_operations(),
        feed.list_since(0),
        feed.watermark,
        [registry.completion_cursor(consumer) for consumer in CompletionCursorConsumer],
        registry.broken_invariants(),
    )


def brought_to(registry: Registry, status: str, kind: OperationKind = TOOL) -> OperationId:
    if status == "absent":
        return OperationId.new()
    return in_status(registry, OperationStatus(status), kind)


def assert_rejected(registry: Registry, id: OperationId, action: str) -> OpsLifecycleError:
    bystander = in_status(registry, OperationStatus.RUNNING)
    watch = registry.register_watcher(bystander)
    before = everything(registry)
    with pytest.raises(OpsLifecycleError) as caught:
        ACTIONS[action](registry, id)
    assert everything(registry) == before
    assert not watch.done()
    return caught.value


@pytest.mark.parametrize("kind", [CHILD, TOOL])
@pytest.mark.parametrize(("status", "action", "cell"), CELLS)
def test_an_action_on_a_status_does_what_its_cell_says(
    status: str, action: str, cell: str, kind: OperationKind
) -> None:
    registry = Registry()
    id = brought_to(registry, status, kind)
    idempotent = registry.classify_operation_transition_idempotence(
        id, OperationLifecycleAction(action)
    )
    assert idempotent is (cell == "OK")
    if cell == "NF":
        assert assert_rejected(registry, id, action) == OperationNotFoundError(id)
    elif cell in ("IT", "OK"):
        found = OperationStatus(status)
        error = InvalidTransitionError(id, found, LABELS[action])
        assert assert_rejected(registry, id, action) == error
    else:
        before = registry.snapshot(id)
        assert before is not None
        ACTIONS[action](registry, id)
        after = registry.snapshot(id)
        assert after is not None
        assert after.status.value == (status if cell == "stays" else cell)
        counted = 1 if action == "progress_reported" else 0
        assert after.progress_count == before.progress_count + counted
        assert after.terminal is (after.terminal_outcome is not None)
        assert registry.broken_invariants() == []


@pytest.mark.parametrize("kind", [CHILD, TOOL])
@pytest.mark.parametrize("status", ["absent", *(status.value for status in PATHS)])
def test_what_is_allowed_is_what_happens(status: str, kind: OperationKind) -> None:
    found = Registry().allowed(OperationId.new())
    assert [each.action for each in found] == [each.value for each in OperationLifecycleAction]
    for permission in found:
        registry = Registry()
        id = brought_to(registry, status, kind)
        before = everything(registry)
        foreseen = next(p for p in registry.allowed(id) if p.action == permission.action)
        assert everything(registry) == before
        assert foreseen.depends_on == ()
        if permission.action == "terminate":
            # It has no method of its own: terminate_owner leaves alone what it cannot end.
            assert foreseen.allowed is (status in ("provisioning", "running", "retiring"))
        elif foreseen.allowed:
            ACTIONS[permission.action](registry, id)
        else:
            refused = assert_rejected(registry, id, permission.action)
            assert refused == foreseen.refusal
            assert foreseen.refusal is not None
            assert refused.guard == foreseen.refusal.guard is not None


def test_a_rejection_names_its_guard_and_keeps_it() -> None:
    registry = Registry(max_concurrent=0)
    with pytest.raises(MaxConcurrentExceededError) as caught:
        registry.register_operation(spec())
    assert caught.value.guard == "room"
    assert pickle.loads(pickle.dumps(caught.value)).guard == "room"
    registry.retire_owner("why")
    wait = registry.wait_all(RunId.new(), [])
    with pytest.raises(OwnerRetiredError) as refused:
        wait.result(0)
    assert refused.value.guard == "owner_present"
    assert {p.refusal for p in registry.allowed(OperationId.new())} == {OwnerRetiredError()}


@pytest.mark.parametrize("status", [s for s in OperationStatus if s is not OperationStatus.ABSENT])
def test_register_again_is_rejected_from_every_status(status: OperationStatus) -> None:
    registry = Registry()
    id = in_status(registry, status)
    before = everything(registry)
    with pytest.raises(AlreadyRegisteredError):
        registry.register_operation(spec(id=id))
    assert everything(registry) == before


@pytest.mark.parametrize("status", [s for s in OperationStatus if s is not OperationStatus.ABSENT])
def test_terminate_ends_the_live_and_leaves_the_ended(status: OperationStatus) -> None:
    registry = Registry()
    id = in_status(registry, status)
    registry.terminate_owner("why")
    after = registry.snapshot(id)
    assert after is not None
    assert after.status is (OperationStatus.TERMINATED if status in LIVE else status)


@pytest.mark.parametrize("status", [s.value for s in OperationStatus])
@pytest.mark.parametrize("kind", [CHILD, TOOL])
@pytest.mark.parametrize("ready", [False, True])
def test_peer_ready_is_accepted_where_the_table_says(
    status: str, kind: OperationKind, ready: bool
) -> None:
    registry = Registry()
    made_ready = ready and kind is CHILD
    if made_ready and status not in ("absent", "provisioning", "aborted"):
        id = registered(registry, kind)
        registry.provisioning_succeeded(id)
        ACTIONS["peer_ready"](registry, id)
        for action in AFTER_READY[status]:
            ACTIONS[action](registry, id)
    else:
        id = brought_to(registry, status, kind)
    idempotent = registry.classify_operation_transition_idempotence(
        id, OperationLifecycleAction.PEER_READY
    )
    terminal = status != "absent" and OperationStatus(status).terminal
    assert idempotent is terminal
    if status == "absent":
        assert isinstance(assert_rejected(registry, id, "peer_ready"), OperationNotFoundError)
    elif kind is TOOL:
        assert assert_rejected(registry, id, "peer_ready") == PeerNotExpectedError(id)
    elif made_ready and status not in ("provisioning", "aborted"):
        assert assert_rejected(registry, id, "peer_ready") == AlreadyPeerReadyError(id)
    elif status in ("running", "retiring"):
        ACTIONS["peer_ready"](registry, id)
        after = registry.snapshot(id)
        assert after is not None
        assert (after.peer_ready, after.status.value) == (True, status)
    else:
        error = assert_rejected(registry, id, "peer_ready")
        assert error == InvalidTransitionError(id, OperationStatus(status), "peer_ready")


def test_classifiers_of_statuses() -> None:
    registry = Registry()
    id = OperationId.new()
    assert registry.classify_operation_public_result(id).value == "missing_authority"
    assert {s.value for s in OperationStatus} == set(STATUS_CLASSES)
    for status in OperationStatus:
        terminal, public = STATUS_CLASSES[status.value]
        assert registry.classify_operation_terminality(id, status) is terminal
        assert status.public_result_class.value == public
        if status is not OperationStatus.ABSENT:
            held = in_status(registry, status)
            assert registry.classify_operation_public_result(held).value == public


def test_classifiers_of_kinds() -> None:
    assert set(OperationKind) == set(KIND_CLASSES)
    registry = Registry()
    for kind, (peer, feed, wake, durability) in KIND_CLASSES.items():
        assert kind.expects_peer_channel is peer
        assert kind.completion_feed_class.value == feed
        assert kind.completion_wake_class.value == wake
        assert kind.durability_class.value == durability
        found = registry.classify_operation_completion_wake(OperationId.new(), kind)
        assert found is kind.completion_wake_class

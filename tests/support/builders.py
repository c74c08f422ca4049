"""Values that tests need again and again."""

from __future__ import annotations

from collections.abc import Callable

from opslifecycle import (
    OperationId,
    OperationKind,
    OperationPeerHandle,
    OperationProgressUpdate,
    OperationResult,
    OperationSource,
    OperationSpec,
    OperationStatus,
    Registry,
    SessionId,
    TrustedPeerDescriptor,
)

CHILD = OperationKind.MOB_MEMBER_CHILD
TOOL = OperationKind.BACKGROUND_TOOL_OP
SLOT = OperationKind.BACKGROUND_TOOL_CAPACITY_SLOT

HANDLE = OperationPeerHandle("peer", TrustedPeerDescriptor("peer", "peer-id", "tcp://peer"))
UPDATE = OperationProgressUpdate("half way", 50.0)


def spec(
    kind: OperationKind = TOOL,
    *,
    id: OperationId | None = None,
    owner: SessionId | None = None,
    name: str = "work",
    source: OperationSource | None = None,
) -> OperationSpec:
    return OperationSpec(
        id or OperationId.new(), kind, owner or SessionId.new(), name, "test", source
    )


def result(content: str = "done", *, is_error: bool = False) -> OperationResult:
    return OperationResult(OperationId.new(), content, is_error, 1, 2)


def registered(registry: Registry, kind: OperationKind = TOOL, name: str = "work") -> OperationId:
    made = spec(kind, name=name)
    registry.register_operation(made)
    return made.id


def running(registry: Registry, kind: OperationKind = TOOL, name: str = "work") -> OperationId:
    id = registered(registry, kind, name)
    registry.provisioning_succeeded(id)
    return id


def completed(registry: Registry, kind: OperationKind = TOOL, name: str = "work") -> OperationId:
    id = running(registry, kind, name)
    registry.complete_operation(id, result())
    return id


#: Calls of every action by its name, as the contract's table has them.
ACTIONS: dict[str, Callable[[Registry, OperationId], None]] = {
    "start": lambda r, id: r.provisioning_succeeded(id),
    "fail": lambda r, id: r.fail_operation(id, "error"),
    "progress_reported": lambda r, id: r.report_progress(id, UPDATE),
    "complete": lambda r, id: r.complete_operation(id, result()),
    "abort": lambda r, id: r.abort_provisioning(id, "why"),
    "cancel": lambda r, id: r.cancel_operation(id, "why"),
    "retire_requested": lambda r, id: r.request_retire(id),
    "retire_completed": lambda r, id: r.mark_retired(id),
    "terminate": lambda r, id: r.terminate_owner("why"),
    "peer_ready": lambda r, id: r.peer_ready(id, HANDLE),
}

#: The actions that lead to each status.
PATHS: dict[OperationStatus, list[str]] = {
    OperationStatus.PROVISIONING: [],
    OperationStatus.RUNNING: ["start"],
    OperationStatus.RETIRING: ["start", "retire_requested"],
    OperationStatus.COMPLETED: ["start", "complete"],
    OperationStatus.FAILED: ["fail"],
    OperationStatus.ABORTED: ["abort"],
    OperationStatus.CANCELLED: ["cancel"],
    OperationStatus.RETIRED: ["start", "retire_completed"],
    OperationStatus.TERMINATED: ["terminate"],
}


def in_status(
    registry: Registry, status: OperationStatus, kind: OperationKind = TOOL
) -> OperationId:
    """A new operation that has come to `status`."""
    id = registered(registry, kind)
    for action in PATHS[status]:
        ACTIONS[action](registry, id)
    return id

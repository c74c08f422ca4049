"""The limit to compare with: the same lifecycle as somebody would write it by hand for speed.

A slotted record, a dict, if-chains. It does the work of the generated authority: the fence, unknown
ids, illegal transitions with their error, times, payloads, the count of live operations, sequences
and the watermark, and what follows an end by the kind's classes.
"""

from __future__ import annotations

from opslifecycle import (
    AlreadyRegisteredError,
    Completed,
    InvalidSpecError,
    InvalidTransitionError,
    MaxConcurrentExceededError,
    OperationId,
    OperationKind,
    OperationNotFoundError,
    OperationPeerHandle,
    OperationProgressUpdate,
    OperationResult,
    OperationSource,
    OperationSpec,
    OperationStatus,
    OperationTerminalOutcome,
    OpsLifecycleError,
    OwnerRetiredError,
)
from opslifecycle.values.trusted import mutable_subclass

PROVISIONING = OperationStatus.PROVISIONING
RUNNING = OperationStatus.RUNNING
RETIRING = OperationStatus.RETIRING
COMPLETED = OperationStatus.COMPLETED

SLOT = OperationKind.BACKGROUND_TOOL_CAPACITY_SLOT
KEPT = ("append", "count", "wake", "evict")
ERASED = ("count", "wake", "erase")
NOTHING: tuple[str, ...] = ()

# As quickly as the authority fills its outcomes: a limit must not lag behind what it limits.
_CompletedDraft = mutable_subclass(Completed)

Decision = tuple[str, ...] | OpsLifecycleError


class Record:
    """One operation."""

    __slots__ = (
        "clock_offset_ms", "completed_ms", "created_ms", "id", "kind", "outcome", "peer_handle",
        "peer_ready", "progress", "progress_count", "sequence", "spec", "started_ms", "status",
    )  # fmt: skip

    def __init__(self, spec: OperationSpec, clock_offset_ms: int, now_ms: int) -> None:
        self.id = spec.id
        self.clock_offset_ms = clock_offset_ms
        self.spec = spec
        self.kind = spec.kind
        self.status = PROVISIONING
        self.created_ms = clock_offset_ms + now_ms
        self.peer_ready = False
        self.peer_handle: OperationPeerHandle | None = None
        self.started_ms: int | None = None
        self.completed_ms: int | None = None
        self.progress_count = 0
        self.progress: OperationProgressUpdate | None = None
        self.outcome: OperationTerminalOutcome | None = None
        self.sequence: int | None = None


class Handwritten:
    """The lifecycle with if-chains."""

    __slots__ = (
        "active",
        "clock_offset_ms",
        "ended",
        "limit",
        "now_ms",
        "records",
        "retired",
        "sequence",
        "watermark",
    )

    def __init__(self, limit: int | None = None) -> None:
        self.records: dict[OperationId, Record] = {}
        self.ended: dict[OperationId, Record] = {}
        self.limit = limit
        self.active = 0
        self.sequence = 0
        self.watermark = 0
        self.retired = False
        self.now_ms = 0
        self.clock_offset_ms = 0

    def register(self, spec: OperationSpec) -> Decision:
        if self.retired:
            return OwnerRetiredError()
        id = spec.id
        if id in self.records:
            return AlreadyRegisteredError(id)
        source = spec.operation_source
        if source is not None and not (
            spec.kind.may_have_source and isinstance(source, OperationSource)
        ):
            return InvalidSpecError("operation_source", "this kind has no such source")
        if self.limit is not None and self.active >= self.limit:
            return MaxConcurrentExceededError(self.limit, self.active)
        self.records[id] = Record(spec, self.clock_offset_ms, self.now_ms)
        self.active += 1
        return NOTHING

    def start(self, id: OperationId) -> Decision:
        if self.retired:
            return OwnerRetiredError()
        record = self.records.get(id)
        if record is None:
            return OperationNotFoundError(id)
        if record.status is not PROVISIONING:
            return InvalidTransitionError(id, record.status, "provisioning_succeeded")
        record.status = RUNNING
        record.started_ms = record.clock_offset_ms + self.now_ms
        return NOTHING

    def progress(self, id: OperationId, update: OperationProgressUpdate) -> Decision:
        if self.retired:
            return OwnerRetiredError()
        record = self.records.get(id)
        if record is None:
            return OperationNotFoundError(id)
        status = record.status
        if status is not RUNNING and status is not RETIRING:
            return InvalidTransitionError(id, status, "report_progress")
        if record.progress_count < 4294967295:
            record.progress_count += 1
        record.progress = update
        return NOTHING

    def complete(self, id: OperationId, result: OperationResult) -> Decision:
        if self.retired:
            return OwnerRetiredError()
        record = self.records.get(id)
        if record is None:
            return OperationNotFoundError(id)
        status = record.status
        if status is not RUNNING and status is not RETIRING:
            return InvalidTransitionError(id, status, "complete_operation")
        record.status = COMPLETED
        outcome = _CompletedDraft()
        outcome.result = result
        outcome.__class__ = Completed
        record.outcome = outcome
        record.completed_ms = record.clock_offset_ms + self.now_ms
        self.active -= 1
        self.sequence += 1
        record.sequence = self.sequence
        if record.kind is SLOT:
            del self.records[id]
            return ERASED
        self.watermark = self.sequence
        self.ended[id] = record
        return KEPT

"""A registry for long-running asynchronous operations: nothing is lost, nothing ends twice.

The lifecycle is declared in `machine/ops_lifecycle.yaml` and compiled to `opslifecycle.operations`.
This module is the whole public surface.
"""

from typing import TYPE_CHECKING

from opslifecycle.clock import Clock, ManualClock
from opslifecycle.errors import (
    BarrierMemberRolledBackError,
    ChannelClosedError,
    ClockError,
    CommandInterruptedError,
    CommitInDoubtError,
    CompletionFeedGap,
    CompletionFeedGapError,
    CursorOutOfRangeError,
    EpochChangedError,
    EventLoopBlockedError,
    InternalError,
    InvalidSpecError,
    InvalidValueError,
    OpsLifecycleError,
    OutOfRangeError,
    OwnershipLostError,
    PersistenceError,
    RegistryClosedError,
    RegistryOwnedError,
    StoreBusyError,
    StoreDamagedError,
    StoreLostError,
    StoreRolledBackError,
    StoreVersionError,
    TransactionEndedError,
    UnsupportedError,
)
from opslifecycle.shell.archive import Archived
from opslifecycle.shell.consuming import Consumed, Consumer, Delivery, ThreadConsumer
from opslifecycle.shell.feed import CompletionFeed
from opslifecycle.shell.permissions import Permission
from opslifecycle.shell.reader import Reader
from opslifecycle.shell.transactions import AsyncTransaction, Transaction
from opslifecycle.stores.base import MemoryStore, Store
from opslifecycle.values.conversion import register_type, structure, unstructure
from opslifecycle.values.dicts import FrozenDict
from opslifecycle.values.pages import Page, PageCursor

from opslifecycle.operations import (
    DEFAULT_MAX_COMPLETED,
    Aborted,
    AlreadyPeerReadyError,
    AlreadyRegisteredError,
    AsyncRegistry,
    BackendPeer,
    Cancelled,
    Completed,
    CompletionBatch,
    CompletionCursorConsumer,
    CompletionEntry,
    DuplicateWaitOperationError,
    EpochCursorState,
    Failed,
    InvalidTransitionError,
    MaxConcurrentExceededError,
    OperationCompletionFeedClass,
    OperationCompletionWakeClass,
    OperationCompletionWatch,
    OperationDurabilityClass,
    OperationId,
    OperationKind,
    OperationLifecycleAction,
    OperationLifecycleSnapshot,
    OperationNotFoundError,
    OperationOrder,
    OperationPeerHandle,
    OperationProgressUpdate,
    OperationPublicResultClass,
    OperationResult,
    OperationSource,
    OperationSpec,
    OperationStatus,
    OperationTerminalOutcome,
    OperationTerminalOutcomeKind,
    OpsLifecycleRegistry,
    OwnerAdmission,
    OwnerRetiredError,
    OwnerSealedError,
    PeerNotExpectedError,
    Registry,
    Retired,
    RunId,
    RuntimeEpochId,
    SessionChild,
    SessionId,
    Terminated,
    TrustedPeerDescriptor,
    WaitAll,
    WaitAllResult,
    WaitAllSatisfied,
    WaitAlreadyActiveError,
    WaitNotActiveError,
    WaitRequestId,
)

if TYPE_CHECKING:
    # Not in `__all__`: a star import must not need the driver, which an extra installs.
    from opslifecycle.stores.postgres.store import PostgresStore as PostgresStore
    from opslifecycle.stores.sqlite.store import SqliteStore

__all__ = [
    "DEFAULT_MAX_COMPLETED",
    "Aborted",
    "AlreadyPeerReadyError",
    "AlreadyRegisteredError",
    "Archived",
    "AsyncRegistry",
    "AsyncTransaction",
    "BackendPeer",
    "BarrierMemberRolledBackError",
    "Cancelled",
    "ChannelClosedError",
    "Clock",
    "ClockError",
    "CommandInterruptedError",
    "CommitInDoubtError",
    "Completed",
    "CompletionBatch",
    "CompletionCursorConsumer",
    "CompletionEntry",
    "CompletionFeed",
    "CompletionFeedGap",
    "CompletionFeedGapError",
    "Consumed",
    "Consumer",
    "CursorOutOfRangeError",
    "Delivery",
    "DuplicateWaitOperationError",
    "EpochChangedError",
    "EpochCursorState",
    "EventLoopBlockedError",
    "Failed",
    "FrozenDict",
    "InternalError",
    "InvalidSpecError",
    "InvalidTransitionError",
    "InvalidValueError",
    "ManualClock",
    "MaxConcurrentExceededError",
    "MemoryStore",
    "OperationCompletionFeedClass",
    "OperationCompletionWakeClass",
    "OperationCompletionWatch",
    "OperationDurabilityClass",
    "OperationId",
    "OperationKind",
    "OperationLifecycleAction",
    "OperationLifecycleSnapshot",
    "OperationNotFoundError",
    "OperationOrder",
    "OperationPeerHandle",
    "OperationProgressUpdate",
    "OperationPublicResultClass",
    "OperationResult",
    "OperationSource",
    "OperationSpec",
    "OperationStatus",
    "OperationTerminalOutcome",
    "OperationTerminalOutcomeKind",
    "OpsLifecycleError",
    "OpsLifecycleRegistry",
    "OutOfRangeError",
    "OwnerAdmission",
    "OwnerRetiredError",
    "OwnerSealedError",
    "OwnershipLostError",
    "Page",
    "PageCursor",
    "PeerNotExpectedError",
    "Permission",
    "PersistenceError",
    "Reader",
    "Registry",
    "RegistryClosedError",
    "RegistryOwnedError",
    "Retired",
    "RunId",
    "RuntimeEpochId",
    "SessionChild",
    "SessionId",
    "SqliteStore",
    "Store",
    "StoreBusyError",
    "StoreDamagedError",
    "StoreLostError",
    "StoreRolledBackError",
    "StoreVersionError",
    "Terminated",
    "ThreadConsumer",
    "Transaction",
    "TransactionEndedError",
    "TrustedPeerDescriptor",
    "UnsupportedError",
    "WaitAll",
    "WaitAllResult",
    "WaitAllSatisfied",
    "WaitAlreadyActiveError",
    "WaitNotActiveError",
    "WaitRequestId",
    "register_type",
    "structure",
    "unstructure",
]


def __getattr__(name: str) -> "type[PostgresStore | SqliteStore]":
    # Loaded when they are first used, so that importing the package loads neither sqlite3 nor a
    # driver, which may not be installed.
    if name == "SqliteStore":
        from opslifecycle.stores.sqlite.store import SqliteStore

        return SqliteStore
    if name == "PostgresStore":
        from opslifecycle.stores.postgres.store import PostgresStore

        return PostgresStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

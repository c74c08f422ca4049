"""Work under a registry: coroutines, functions and processes, whose outcomes are recorded."""

from opslifecycle.work.answers import (
    AlreadyFinished,
    CancelAnswer,
    UnknownOperation,
    WorkCancelled,
)
from opslifecycle.work.context import CurrentOperation, current
from opslifecycle.work.errors import (
    NoCurrentOperationError,
    NoEventLoopError,
    OperationEndedError,
    SupervisorClosedError,
    WorkNotRecordedError,
)
from opslifecycle.work.executor import OperationExecutor, OperationFuture
from opslifecycle.work.job import Process
from opslifecycle.work.operation import Operation
from opslifecycle.work.retry import Backoff, Retry
from opslifecycle.work.stored_calls import (
    Adopt,
    Decision,
    EndAsFailed,
    Interrupted,
    StartAgain,
)
from opslifecycle.work.supervisor import REQUEUES_MAX, RESULT_CHARACTERS_MAX, Supervisor
from opslifecycle.work.threads import ThreadOperation, ThreadSupervisor
from opslifecycle.work.timeouts import is_timeout

__all__ = [
    "REQUEUES_MAX",
    "RESULT_CHARACTERS_MAX",
    "Adopt",
    "AlreadyFinished",
    "Backoff",
    "CancelAnswer",
    "CurrentOperation",
    "Decision",
    "EndAsFailed",
    "Interrupted",
    "NoCurrentOperationError",
    "NoEventLoopError",
    "Operation",
    "OperationEndedError",
    "OperationExecutor",
    "OperationFuture",
    "Process",
    "Retry",
    "StartAgain",
    "Supervisor",
    "SupervisorClosedError",
    "ThreadOperation",
    "ThreadSupervisor",
    "UnknownOperation",
    "WorkCancelled",
    "WorkNotRecordedError",
    "current",
    "is_timeout",
]

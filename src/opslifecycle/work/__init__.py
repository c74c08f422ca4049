"""Work under a registry: run coroutines, functions and processes, and record how each ends."""

from opslifecycle.work.answers import (
    AlreadyFinished,
    CancelAnswer,
    UnknownOperation,
    WorkCancelled,
)
from opslifecycle.work.consuming import Consumed, Consumer, Delivery, ThreadConsumer, consume
from opslifecycle.work.context import CurrentOperation, current
from opslifecycle.work.errors import (
    NoCurrentOperationError,
    SupervisorClosedError,
    WorkNotRecordedError,
)
from opslifecycle.work.job import Process
from opslifecycle.work.operation import Operation
from opslifecycle.work.retry import Backoff, Retry
from opslifecycle.work.supervisor import RESULT_CHARACTERS_MAX, Supervisor
from opslifecycle.work.threads import ThreadOperation, ThreadSupervisor

__all__ = [
    "RESULT_CHARACTERS_MAX",
    "AlreadyFinished",
    "Backoff",
    "CancelAnswer",
    "Consumed",
    "Consumer",
    "CurrentOperation",
    "Delivery",
    "NoCurrentOperationError",
    "Operation",
    "Process",
    "Retry",
    "Supervisor",
    "SupervisorClosedError",
    "ThreadConsumer",
    "ThreadOperation",
    "ThreadSupervisor",
    "UnknownOperation",
    "WorkCancelled",
    "WorkNotRecordedError",
    "consume",
    "current",
]

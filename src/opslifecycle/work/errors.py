"""Errors of a supervisor. A failure of work is an outcome, not an error."""

from __future__ import annotations

from opslifecycle import OperationTerminalOutcome
from opslifecycle.errors import OpsLifecycleError


class SupervisorClosedError(OpsLifecycleError):
    """A call of a supervisor outside its block, or while the block cancels its operations."""

    template = "the supervisor accepts no work: call it inside its `with` or `async with` block"

    def __init__(self) -> None:
        super().__init__()


class NoEventLoopError(OpsLifecycleError, RuntimeError):
    """A supervisor that was entered with `async with` outside an event loop of asyncio.

    trio and other loops do not run the tasks of a supervisor.
    """

    template = (
        "a supervisor needs a running event loop of asyncio: use `with Supervisor(...)`, whose"
        " calls block, in a thread"
    )

    def __init__(self) -> None:
        super().__init__()


class NoCurrentOperationError(OpsLifecycleError, LookupError):
    """A call of `current()` outside work that a supervisor runs in this process."""

    template = "no operation is running here: call current() inside work of a supervisor"

    def __init__(self) -> None:
        super().__init__()


class WorkNotRecordedError(OpsLifecycleError):
    """The end of some operations of a supervisor could not be recorded.

    The end of the block raises it, and whatever waits for one of the operations. The next process
    that opens the store recovers them as interrupted. `ids` are the ids of the operations, `cause`
    is the last error of the store or of the machine.
    """

    field_names = ("ids", "cause")
    template = "the end of {ids} could not be recorded: {cause}"

    ids: tuple[str, ...]
    cause: str

    def __init__(self, ids: tuple[str, ...], cause: str) -> None:
        super().__init__(ids, cause)


class OperationEndedError(OpsLifecycleError):
    """An operation that did not complete, raised by the future of an executor.

    `outcome` is how it ended: by another caller, or because its result could not be recorded.
    """

    field_names = ("outcome",)
    template = "the operation ended otherwise: {outcome}"

    outcome: OperationTerminalOutcome

    def __init__(self, outcome: OperationTerminalOutcome) -> None:
        super().__init__(outcome)

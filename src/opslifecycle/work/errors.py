"""Errors of a supervisor. What goes wrong in work is an outcome, not an error."""

from __future__ import annotations

from opslifecycle.errors import OpsLifecycleError


class SupervisorClosedError(OpsLifecycleError):
    """A call of a supervisor outside its block, or after its block began to end by cancelling."""

    template = "the supervisor accepts no work: call it inside its `with` or `async with` block"

    def __init__(self) -> None:
        super().__init__()


class NoCurrentOperationError(OpsLifecycleError, LookupError):
    """A call of `current()` outside work that a supervisor runs in this process."""

    template = "no operation is running here: call current() inside work of a supervisor"

    def __init__(self) -> None:
        super().__init__()


class WorkNotRecordedError(OpsLifecycleError):
    """Work whose end the store refused to record, raised at the end of the supervisor's block.

    The next process that opens the store recovers these operations as interrupted. `ids` are
    theirs, `cause` is the last error of the store.
    """

    field_names = ("ids", "cause")
    template = "the end of {ids} could not be recorded: {cause}"

    ids: tuple[str, ...]
    cause: str

    def __init__(self, ids: tuple[str, ...], cause: str) -> None:
        super().__init__(ids, cause)

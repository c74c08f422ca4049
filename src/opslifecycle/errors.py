"""Errors that every machine shares. The rejections of a machine are generated from its YAML.

Every error has its fields as attributes, in the order of the constructor's arguments, and can be
pickled. Two errors of one class with equal fields are equal, so that tests can compare them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self


class OpsLifecycleError(Exception):
    """Base of every error that this package raises.

    A subclass has the names of its fields in `field_names` and its message in `template`; the
    constructor's arguments fill both. `guard` is the name of the guard that rejected the command,
    None for other errors. `already_done` says whether the machine calls the rejection an idempotent
    success.
    """

    field_names: ClassVar[tuple[str, ...]] = ()
    template: ClassVar[str] = "operation lifecycle error"

    #: The guard of the machine that rejected the command.
    guard: str | None = None
    #: Whether the status is in the action's `idempotent_in`. A caller can treat this as success.
    already_done: bool = False

    def __init__(self, *values: Any) -> None:
        super().__init__(*values)
        for name, value in zip(self.field_names, values, strict=True):
            setattr(self, name, value)

    def with_guard(self, guard: str, *, already_done: bool = False) -> Self:
        """Return the same error, as raised by a guard of the machine."""
        self.guard = guard
        self.already_done = already_done
        return self

    def clone(self) -> Self:
        """Return an equal error. A shared one would collect the tracebacks of all that raise it."""
        other = type(self)(*self.args)
        other.guard = self.guard
        other.already_done = self.already_done
        return other

    def __str__(self) -> str:
        return self.template.format_map(dict(zip(self.field_names, self.args, strict=True)))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.args == other.args

    def __hash__(self) -> int:
        return hash((type(self), self.args))


class InvalidValueError(OpsLifecycleError, ValueError):
    """An argument of the wrong type or out of range; `field` is the path to it."""

    field_names = ("field", "reason")
    template = "{field}: {reason}"

    field: str
    reason: str

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)


class InvalidSpecError(InvalidValueError):
    """A value of the right type that no record can have; `field` names it."""


class UnsupportedError(OpsLifecycleError):
    """A method that this registry does not implement; `name` is the method's."""

    field_names = ("name",)
    template = "operation not supported: {name}"

    name: str

    def __init__(self, name: str) -> None:
        super().__init__(name)


class InternalError(OpsLifecycleError):
    """A broken invariant; `detail` is its name. The registry that raised it has closed itself."""

    field_names = ("detail",)
    template = "internal lifecycle registry error: {detail}"

    detail: str

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


class ChannelClosedError(OpsLifecycleError):
    """A watch whose registry was closed or lost, or whose record was rolled back."""

    template = "operation completion channel closed without an authorized terminal outcome"

    def __init__(self) -> None:
        super().__init__()


class RegistryClosedError(OpsLifecycleError):
    """A call of a closed registry, or a wait that its closing has ended."""

    template = "the registry is closed"

    def __init__(self) -> None:
        super().__init__()


class CommandBrokenOffError(RegistryClosedError):
    """A use of a registry that an exception has closed.

    The exception, an interrupt for instance, came into the middle of a command, and what the
    command was about may be half changed. Reading goes on.
    """

    template = "the registry is closed: an exception broke off a command half-way"


class BarrierMemberRolledBackError(OpsLifecycleError):
    """A barrier that contained a record which was rolled back; `id` is the record's."""

    field_names = ("id",)
    template = "wait_all lost an operation that was rolled back: {id}"

    id: Any

    def __init__(self, id: Any) -> None:
        super().__init__(id)


class CompletionFeedGapError(OpsLifecycleError):
    """A reader whose next entries were evicted; `gap` has the positions."""

    field_names = ("gap",)
    template = (
        "completion feed has a gap: entries after {gap.requested_after_seq} up to "
        "{gap.dropped_through} are no longer retained (watermark {gap.watermark})"
    )

    gap: Any

    def __init__(self, gap: Any) -> None:
        super().__init__(gap)


class CursorOutOfRangeError(OpsLifecycleError):
    """A position past the watermark of the feed: no entry has that sequence number yet.

    It comes from another registry, another epoch or another store.
    """

    field_names = ("cursor", "watermark")
    template = "completion cursor {cursor} is past the watermark {watermark}"

    cursor: int
    watermark: int

    def __init__(self, cursor: int, watermark: int) -> None:
        super().__init__(cursor, watermark)


class OutOfRangeError(OpsLifecycleError):
    """A number that a command would have moved out of its range: nothing has changed.

    `field` names it as the machine does; `value` is what it would have become.
    """

    field_names = ("field", "value")
    template = "{field} would be {value}, which is out of its range"

    field: str
    value: float

    def __init__(self, field: str, value: float) -> None:
        super().__init__(field, value)


class EpochChangedError(OpsLifecycleError):
    """A position of another epoch: `expected` is its epoch, `actual` the feed's."""

    field_names = ("expected", "actual")
    template = "completion feed epoch changed: position is from {expected}, the feed is {actual}"

    expected: Any
    actual: Any

    def __init__(self, expected: Any, actual: Any) -> None:
        super().__init__(expected, actual)


class EventLoopBlockedError(OpsLifecycleError, RuntimeError):
    """A blocking `result()` inside a running event loop. Use `await` instead."""

    template = "result() would block the running event loop: await it instead"

    def __init__(self) -> None:
        super().__init__()


class PersistenceError(OpsLifecycleError):
    """A store that could not write a commit. Nothing has happened; the call can be repeated."""

    field_names: ClassVar[tuple[str, ...]] = ("store", "cause")
    template = "{store}: {cause}"

    store: str
    cause: str

    def __init__(self, store: str, cause: str) -> None:
        super().__init__(store, cause)


class RegistryOwnedError(PersistenceError):
    """A stored registry that another process owns; `holder` identifies the owner."""

    field_names = ("path", "holder")
    template = "{path} is owned by {holder}"

    path: str
    holder: str

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(path, holder)


class StoreDamagedError(PersistenceError):
    """A store whose contents contradict each other. It is left as it is."""

    field_names = ("path", "row", "rule")
    template = "{path} is damaged at row {row}: {rule}"

    path: str
    row: int
    rule: str

    def __init__(self, path: str, row: int, rule: str) -> None:
        OpsLifecycleError.__init__(self, path, row, rule)


class StoreLostError(PersistenceError):
    """A store whose file was deleted or replaced while a registry used it: it writes no more."""


class StoreVersionError(OpsLifecycleError):
    """A store of another machine, version or layout."""

    field_names = ("found", "known")
    template = "the store was written by {found}, and this is {known}"

    found: str
    known: str

    def __init__(self, found: str, known: str) -> None:
        super().__init__(found, known)


class OwnershipLostError(OpsLifecycleError):
    """A registry whose store another process has taken over. The registry has closed itself."""

    template = "the registry no longer owns its store"

    def __init__(self) -> None:
        super().__init__()

"""Errors that every machine shares. The rejections of a machine are generated from its YAML.

Every error has its fields as attributes, in the order of the constructor's arguments, and can be
pickled. Two errors of one class with equal fields are equal, so that tests can compare them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import timedelta
    from decimal import Decimal

    from opslifecycle.gaps import CompletionFeedGap


class OpsLifecycleError(Exception):
    """Base of every error that this package raises.

    Args:
        *values: The value of each field, in the order of `field_names`.

    Attributes:
        field_names: The names of the fields, which are attributes of the error.
        template: The message, with the fields in braces.
        fix: What to do, where the message does not say it; tracebacks show it as a note.
        guard: The guard of the machine that rejected the command; None for other errors.
        already_done: Whether the record's status is in the `idempotent_in` of the action. A caller
            can treat the rejection as success.
        command_index: The index of the rejected command among those of its transaction; None
            outside of one.
    """

    field_names: ClassVar[tuple[str, ...]] = ()
    template: ClassVar[str] = "operation lifecycle error"
    fix: ClassVar[str] = ""

    guard: str | None = None
    already_done: bool = False
    command_index: int | None = None

    def __init__(self, *values: object) -> None:
        super().__init__(*values)
        for name, value in zip(self.field_names, values, strict=True):
            setattr(self, name, value)
        if self.fix:
            self.add_note(self.fix)

    def with_guard(self, guard: str, *, already_done: bool = False) -> Self:
        """Return the same error, as raised by a guard of the machine."""
        self.guard = guard
        self.already_done = already_done
        return self

    def of_command(self, index: int) -> Self:
        """Return the same error, as raised by a command of a transaction."""
        self.command_index = index
        self.add_note(f"command {index} of the transaction was rejected, so none has happened")
        return self

    def clone(self) -> Self:
        """Return an equal error.

        Each raise needs its own: an exception collects the tracebacks of all its raises.
        """
        other = type(self)(*self.args)
        other.guard = self.guard
        other.already_done = self.already_done
        other.command_index = self.command_index
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
    """An argument of the wrong type or out of range.

    `field` is the path to the wrong value, for instance `spec.display_name` or `ids[2]`; `reason`
    says what was expected.
    """

    field_names = ("field", "reason")
    template = "{field}: {reason}"

    field: str
    reason: str

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)


class InvalidSpecError(InvalidValueError):
    """An argument of the right type that no record can have; `field` is the path to it."""


class UnsupportedError(OpsLifecycleError):
    """A call of a method that this registry does not implement; `name` is the method."""

    field_names = ("name",)
    template = "operation not supported: {name}"
    fix = "call a registry that implements it, outside of a transaction"

    name: str

    def __init__(self, name: str) -> None:
        super().__init__(name)


class InternalError(OpsLifecycleError):
    """A broken invariant of the package; the registry that raises it has closed itself.

    `detail` is the invariant. Please report it: no use of the public interface should break one.
    """

    field_names = ("detail",)
    template = "internal lifecycle registry error: {detail}"
    fix = "open a new registry, which continues from the last commit, and please report this"

    detail: str

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


class ChannelClosedError(OpsLifecycleError):
    """A watch whose registry was closed or lost, or whose record was rolled back."""

    template = "operation completion channel closed without an authorized terminal outcome"
    fix = "open a new registry and watch the record again, if it is still there"

    def __init__(self) -> None:
        super().__init__()


class RegistryClosedError(OpsLifecycleError):
    """A call of a closed registry, or a wait that its closing has ended."""

    template = "the registry is closed; open a new one"


class CommandInterruptedError(RegistryClosedError):
    """A use of a registry that closed itself because an exception interrupted a command.

    The exception, for instance a KeyboardInterrupt, was raised in the middle of the command, whose
    changes may be incomplete. Reads still work. With a store, a new registry continues from the
    last commit.
    """

    template = "the registry is closed: an exception interrupted a command; open a new registry"


class BarrierMemberRolledBackError(OpsLifecycleError):
    """The result of a barrier of which a record was rolled back; `id` is the record's id."""

    field_names = ("id",)
    template = "wait_all lost an operation that was rolled back: {id}"
    fix = "wait for the others again, without this one"

    id: Hashable

    def __init__(self, id: Hashable) -> None:
        super().__init__(id)


class CompletionFeedGapError(OpsLifecycleError):
    """A reader whose next entries were evicted; `gap` has the positions.

    Continue from `gap.dropped_through`, and take what was missed from the records.
    """

    field_names = ("gap",)
    template = (
        "completion feed has a gap: entries after {gap.requested_after_seq} up to "
        "{gap.dropped_through} are no longer retained (watermark {gap.watermark}); continue there"
    )

    gap: CompletionFeedGap

    def __init__(self, gap: CompletionFeedGap) -> None:
        super().__init__(gap)


class TransactionEndedError(OpsLifecycleError):
    """A command of a transaction whose block has ended, which would have no effect."""

    template = "the transaction has ended: call the registry, or begin another transaction"


class CursorOutOfRangeError(OpsLifecycleError):
    """A position past the watermark of the feed: no entry has that sequence number yet.

    The position is from another registry, another epoch or another store.
    """

    field_names = ("cursor", "watermark")
    template = "completion cursor {cursor} is past the watermark {watermark}"
    fix = "read from 0 or from the watermark; the position is of another registry or epoch"

    cursor: int
    watermark: int

    def __init__(self, cursor: int, watermark: int) -> None:
        super().__init__(cursor, watermark)


class OutOfRangeError(OpsLifecycleError):
    """A command that would move a number out of its range; it has changed nothing.

    `field` is its name in the machine; `value` is what it would be, a text for an impossible time.
    """

    field_names = ("field", "value")
    template = "{field} would be {value}, which is out of its range"
    fix = "nothing was changed: pass another value, or widen the type of the field in the machine"

    field: str
    value: float | str | Decimal | timedelta

    def __init__(self, field: str, value: float | str | Decimal | timedelta) -> None:
        super().__init__(field, value)


class EpochChangedError(OpsLifecycleError):
    """A position of another epoch: `expected` is its epoch, `actual` the feed's.

    Its sequence number counts other entries: read from the start, or from the watermark.
    """

    field_names = ("expected", "actual")
    template = "completion feed epoch changed: position is from {expected}, the feed is {actual}"
    fix = "read from the start or from the watermark: positions count within one epoch"

    expected: str
    actual: str

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(expected, actual)


class ClockError(OpsLifecycleError):
    """A clock that a registry cannot use: `reason` says why. Nothing was changed or closed."""

    field_names = ("reason",)
    template = "the clock cannot be used: {reason}"
    fix = "nothing was changed; pass a clock whose functions return integers of nanoseconds"

    reason: str

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class EventLoopBlockedError(OpsLifecycleError, RuntimeError):
    """A call of a blocking `result()` inside a running event loop; use `await` instead."""

    template = "result() would block the running event loop: await it instead"


class PersistenceError(OpsLifecycleError):
    """A store that could not write a commit.

    Nothing was written or changed; the call can be repeated. `store` names the store, `cause` is
    what its file system or database reported.
    """

    field_names: ClassVar[tuple[str, ...]] = ("store", "cause")
    template = "{store}: {cause}"

    store: str
    cause: str

    def __init__(self, store: str, cause: str) -> None:
        super().__init__(store, cause)


class RegistryOwnedError(PersistenceError):
    """An attempt to open a stored registry that another registry owns.

    `path` names the store, `holder` identifies the process of the owner.
    """

    field_names = ("path", "holder")
    template = "{path} is owned by {holder}; open it when its owner has closed it or has ended"

    path: str
    holder: str

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(path, holder)


class StoreDamagedError(PersistenceError):
    """A store whose contents contradict each other; nothing in it was changed.

    `path` names the store, `row` is the row with the contradiction (0 for the store as a whole),
    and `rule` is what the row violates.
    """

    field_names = ("path", "row", "rule")
    template = "{path} is damaged at row {row}: {rule}; nothing was changed, restore a backup"

    path: str
    row: int
    rule: str

    def __init__(self, path: str, row: int, rule: str) -> None:
        OpsLifecycleError.__init__(self, path, row, rule)


class StoreBusyError(PersistenceError):
    """A store that refuses for a while: another program locks it, or its disk is full."""


class StoreLostError(PersistenceError):
    """A store whose file was deleted or replaced in use; the registry writes nothing more."""


class StoreVersionError(OpsLifecycleError):
    """A store of another machine, of an unknown layout, or of a version that no migration covers.

    `found` is what wrote the store, `known` is what this program reads. Nothing was changed.
    """

    field_names = ("found", "known")
    template = "the store was written by {found}, this is {known}; use the program that wrote it"

    found: str
    known: str

    def __init__(self, found: str, known: str) -> None:
        super().__init__(found, known)


class OwnershipLostError(OpsLifecycleError):
    """A registry whose store another process has taken over. The registry has closed itself."""

    template = "the registry no longer owns its store; open a new one once the owner has ended"


class CommitInDoubtError(OwnershipLostError):
    """A commit that may or may not have been written: the store could not find out in time.

    The registry has closed itself. The next owner of the store reads which of the two happened.
    """

    field_names = ("store", "cause")
    template = (
        "{store}: it is unknown whether the commit was written: {cause}; open a new registry, which"
        " reads what was"
    )

    store: str
    cause: str

    def __init__(self, store: str, cause: str) -> None:
        super().__init__(store, cause)


class StoreRolledBackError(OwnershipLostError):
    """A store that no longer has commits which it had acknowledged; the registry has closed itself.

    The server was replaced by one that is behind: a replica that had not received the last commits,
    or a backup. They could not be written again, because the server knows another owner, or none.
    `acknowledged` and `found` are the positions in the registry's log.
    """

    field_names = ("store", "acknowledged", "found")
    template = (
        "{store}: the server has lost commits that it had acknowledged: the last one was at"
        " position {acknowledged}, and the server is at {found}; have it restored, then open a new"
        " registry"
    )

    store: str
    acknowledged: int
    found: int

    def __init__(self, store: str, acknowledged: int, found: int) -> None:
        super().__init__(store, acknowledged, found)

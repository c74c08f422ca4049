"""Outbox messages: their contents, their stored form, and when each is due.

This module has no thread and reads no clock: callers pass the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from heapq import heappop, heappush
from types import MappingProxyType
from typing import Any, Generic, TypeAlias, TypeVar

import attrs
from opslifecycle.errors import InvalidValueError
from opslifecycle.shell.commands import Decide
from opslifecycle.stores.base import OUTBOX_PREFIX, is_outbox_key
from opslifecycle.values.conversion import structure
from opslifecycle.values.plain import MISSING, data_of, error_text, json_text, text_of

EffectT = TypeVar("EffectT", bound=Enum)
ActionT = TypeVar("ActionT", bound=Enum)
SnapshotT = TypeVar("SnapshotT")
MessageT = TypeVar("MessageT")
#: The first and the longest wait after a failed delivery. Each wait is twice the one before.
RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 0.1, 300.0
#: How much of an error's text is stored.
_ERROR_CHARACTERS_MAX = 2_000


@attrs.frozen
class OutboxMessage(Generic[EffectT, ActionT, SnapshotT]):
    """One effect to apply, with the action that it follows and the record right after that.

    Numbers rise by one within a registry and are never reused. A message may be delivered more than
    once: with the same number each time, and with a higher `attempt` after each failure.

    Attributes:
        number: The number of the message. It can serve as an idempotency key.
        effect: The effect.
        action: The action that was accepted.
        arguments: The arguments of the action, by parameter.
        snapshot: The record right after the action.
        attempt: The number of this delivery: 1, and one more after each delivery that failed.
    """

    number: int
    effect: EffectT
    action: ActionT
    arguments: Mapping[str, Any] = attrs.field(hash=False)
    snapshot: SnapshotT
    attempt: int = 1


#: A message of a machine. The shell does not know the machine's effects, actions and snapshots.
AnyMessage: TypeAlias = OutboxMessage[Any, Any, Any]


@attrs.frozen
class DeadLetter(Generic[MessageT]):
    """An outbox message whose deliveries failed as often as its effect allows.

    Attributes:
        message: The message.
        attempts: How many deliveries failed.
        error: The error of the last one, as text.
    """

    message: MessageT
    attempts: int
    error: str


@attrs.frozen
class OutboxCommand:
    """The action of a function of the authority, for its messages.

    Attributes:
        action: The action.
        parameters: The type of each parameter.
        of_all: Whether the function acts on every live record, so that its arguments have no id.
    """

    action: Enum
    parameters: Mapping[str, object]
    of_all: bool = False

    def named(self, arguments: Iterable[object], id: object) -> Mapping[str, object]:
        """Return the arguments by their parameters.

        Args:
            arguments: The arguments of the function. Recovery calls it without any.
            id: The id of the record.
        """
        if self.of_all:
            arguments = (id, *arguments)
        return MappingProxyType(dict(zip(self.parameters, arguments, strict=False)))


@attrs.frozen
class OutboxRules:
    """The declarations of a machine for its outbox; generated.

    Attributes:
        attempts: How many deliveries each effect gets.
        actions: The type of each parameter of each action, by which stored arguments are read.
        commands: Every function of the authority that changes records.
    """

    # The keys are members of the machine's enums. `Mapping[Enum, …]` would accept none of these
    # mappings, because the type of a mapping's keys is invariant.
    attempts: Mapping[Any, int]
    actions: Mapping[Any, Mapping[str, object]]
    commands: Mapping[Decide[object], OutboxCommand]


@attrs.frozen
class _State:
    """The results of a message's deliveries."""

    attempts: int = 0
    error: str = ""
    dead: bool = False


@attrs.define(eq=False)
class OutboxEntry:
    """A message that is not delivered yet, with the results of its deliveries.

    Deliveries change only `state`, by one assignment with the publication lock held, because
    another thread writes the text of the entry to the store.
    """

    message: AnyMessage
    record_id: str
    attempts_max: int
    #: The stored text before the part that deliveries change; empty without a store.
    head: str
    state: _State = _State()
    #: Whether an earlier process stored it. That process may have died of its delivery.
    left: bool = False
    #: Whether it was delivered or discarded, so that the store must erase it.
    gone: bool = False
    #: When it was first due.
    due: float = 0.0

    @property
    def id(self) -> str:
        """The id of the message in a store."""
        return f"{OUTBOX_PREFIX}{self.message.number}"

    @property
    def attempts(self) -> int:
        """How many deliveries failed."""
        return self.state.attempts

    @property
    def dead(self) -> bool:
        """Whether it is a dead letter."""
        return self.state.dead

    def text(self) -> str:
        """Return the stored text of the message."""
        return self._text(self.state)

    def revived_text(self) -> str:
        """Return the stored text of the message once it is revived."""
        return self._text(_State())

    def begun_text(self) -> str:
        """Return the stored text of the message during a delivery, which may end the process."""
        return self._text(self._failed("the process ended while the message was delivered"))

    def _text(self, state: _State) -> str:
        dead, error = "true" if state.dead else "false", json_text(state.error)
        return f'{self.head},"attempts":{state.attempts},"error":{error},"dead":{dead}}}'

    def written(self) -> str | None:
        """Return the text that the store must write; None to erase the message."""
        return None if self.gone else self.text()

    def fail(self, error: BaseException) -> None:
        """Count a delivery that failed. The last allowed one makes the message a dead letter."""
        name, text = type(error).__name__, error_text(error)
        said = f"{name}: {text}" if text else name
        # Lone surrogates cannot be stored.
        said = said.encode(errors="backslashreplace").decode()
        self._replace(self._failed(said[:_ERROR_CHARACTERS_MAX]))

    def _failed(self, error: str) -> _State:
        attempts = self.attempts + 1
        return _State(attempts, error, attempts >= self.attempts_max)

    def revive(self) -> None:
        """Reset the deliveries of a dead letter, so that it is delivered again."""
        self._replace(_State())

    def _replace(self, state: _State) -> None:
        self.state = state
        self.message = attrs.evolve(self.message, attempt=state.attempts + 1)

    def letter(self) -> DeadLetter[AnyMessage]:
        """Return the dead letter of the message."""
        return DeadLetter(self.message, self.state.attempts, self.state.error)


def restored(
    records: Mapping[str, str],
    effects: type[Enum],
    actions: type[Enum],
    rules: OutboxRules,
    snapshot_of: Callable[[str, str], object],
) -> list[OutboxEntry]:
    """Return the outbox messages among stored records, in the order of their numbers.

    Args:
        records: The bodies of a store by id.
        effects: The machine's effects.
        actions: The machine's actions.
        rules: The machine's outbox.
        snapshot_of: Returns the snapshot of a record from its id and body.

    Raises:
        InvalidValueError: No outbox has written such a message.
    """
    entries = [
        _entry(id, text, effects, actions, rules, snapshot_of)
        for id, text in records.items()
        if is_outbox_key(id)
    ]
    return sorted(entries, key=lambda entry: entry.message.number)


def _entry(
    id: str,
    text: str,
    effects: type[Enum],
    actions: type[Enum],
    rules: OutboxRules,
    snapshot_of: Callable[[str, str], object],
) -> OutboxEntry:
    data = data_of(text, _KNOWN)
    for key in _KNOWN:
        if key not in data:
            raise InvalidValueError(key, f"is missing; {_EARLIER}" if key == "action" else MISSING)
    number = id.removeprefix(OUTBOX_PREFIX)
    if not (number.isascii() and number.isdecimal()):
        raise InvalidValueError("id", f"expected the number of an outbox message, got {id!r}")
    effect, action = structure(data["effect"], effects), structure(data["action"], actions)
    if effect not in rules.attempts:
        raise InvalidValueError(
            "effect", f"expected an effect that is delivered, got {effect.value!r}"
        )
    record_id, attempts = structure(data["record_id"], str), structure(data["attempts"], int)
    if attempts < 0:
        raise InvalidValueError("attempts", f"expected no less than 0, got {attempts}")
    message: AnyMessage = OutboxMessage(
        int(number),
        effect,
        action,
        _arguments(data["arguments"], rules.actions[action]),
        snapshot_of(record_id, text_of(data["record"])),
        attempts + 1,
    )
    head, found, _ = text.rpartition(',"attempts":')
    if not found:
        raise InvalidValueError("attempts", "is not where an outbox writes it")
    error, dead = structure(data["error"], str), structure(data["dead"], bool)
    state = _State(attempts, error, dead)
    return OutboxEntry(message, record_id, rules.attempts[effect], head, state, left=True)


_EARLIER = (
    "the message was stored before messages named their actions: open the store once with that"
    " version, until nothing is pending"
)
_KNOWN = frozenset(
    {"effect", "action", "arguments", "record_id", "record", "attempts", "error", "dead"}
)


def _arguments(data: object, parameters: Mapping[str, object]) -> Mapping[str, object]:
    if not isinstance(data, dict):
        raise InvalidValueError("arguments", f"expected an object, got {type(data).__name__}")
    for name in data:
        if name not in parameters:
            raise InvalidValueError(f"arguments.{name}", "is no parameter of the action")
    return MappingProxyType(
        {name: structure(data[name], kind) for name, kind in parameters.items() if name in data}
    )


class Lanes:
    """The times at which messages are due, in one lane for each record.

    The messages of a lane are delivered one after another, so a message that fails delays only the
    later messages of its record. Times are seconds of a clock that never falls. A call takes
    logarithmic time in the number of records with messages.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, deque[OutboxEntry]] = {}
        # The first entry of each lane: the time when it is due, its number, and the entry.
        self._heads: list[tuple[float, int, OutboxEntry]] = []

    def add(self, entry: OutboxEntry, now: float) -> None:
        """Append a message to the lane of its record."""
        entry.due = now
        lane = self._lanes.setdefault(entry.record_id, deque())
        lane.append(entry)
        if len(lane) == 1:
            self._plan(entry, now)

    def wait_seconds(self, now: float) -> float | None:
        """Return the seconds until a message is due, at least 0; None if there is no message."""
        return max(0.0, self._heads[0][0] - now) if self._heads else None

    def take(self, now: float) -> OutboxEntry | None:
        """Return the message that has been due for longest; None if none is due.

        The lane of its record waits until the caller passes the message to `put_back` or `leave`.
        """
        if not self._heads or self._heads[0][0] > now:
            return None
        return heappop(self._heads)[2]

    def put_back(self, entry: OutboxEntry, now: float) -> None:
        """Plan the next delivery of a message that was taken, by the number of its failures."""
        self._plan(entry, now + retry_seconds(entry.attempts))

    def leave(self, entry: OutboxEntry) -> None:
        """Remove a message that was taken; the next one of its record is then due."""
        lane = self._lanes[entry.record_id]
        lane.popleft()
        if lane:
            self._plan(lane[0], lane[0].due)
        else:
            del self._lanes[entry.record_id]

    def _plan(self, entry: OutboxEntry, due: float) -> None:
        heappush(self._heads, (due, entry.message.number, entry))


def retry_seconds(failures: int) -> float:
    """Return the wait before the next delivery of a message, after a number of failures."""
    # The exponent is limited, because a float overflows after many failures.
    return min(RETRY_SECONDS_MIN * 2.0 ** min(max(failures - 1, 0), 64), RETRY_SECONDS_MAX)

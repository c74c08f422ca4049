"""Outbox messages: what each holds, how a store keeps it, and when each is due.

No thread and no clock: callers say what time it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from heapq import heappop, heappush
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import attrs
from opslifecycle.errors import InvalidValueError
from opslifecycle.stores.base import OUTBOX_PREFIX, is_outbox_key
from opslifecycle.values.conversion import data_of, json_text, structure, text_of

EffectT = TypeVar("EffectT", bound=Enum)
ActionT = TypeVar("ActionT", bound=Enum)
SnapshotT = TypeVar("SnapshotT")
MessageT = TypeVar("MessageT")
#: The waits between deliveries that fail: the first, and the longest. Each is twice the one before.
RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 0.1, 300.0
#: How much of an error's text a message keeps.
_ERROR_CHARACTERS_MAX = 2_000


@attrs.frozen
class OutboxMessage(Generic[EffectT, ActionT, SnapshotT]):
    """One effect to carry out, with the action that it follows and the record right after it.

    Numbers rise by one within a registry and are never used again. A message may be delivered more
    than once: always with the same number, and with `attempt` one higher after each failure.

    Attributes:
        number: The number of the message, for instance as an idempotency key.
        effect: What is to be done.
        action: The action that was accepted.
        arguments: What the action was called with, by parameter.
        snapshot: The record as the action left it.
        attempt: Which delivery this is: 1, and one more after each delivery that failed.
    """

    number: int
    effect: EffectT
    action: ActionT
    arguments: Mapping[str, Any] = attrs.field(hash=False)
    snapshot: SnapshotT
    attempt: int = 1


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
    """What messages say of a function of the authority: its action, and its parameters' types."""

    action: Enum
    parameters: Mapping[str, Any]
    #: Whether it acts on every live record: its arguments name none of them.
    of_all: bool = False

    def named(self, arguments: Iterable[Any], id: Any) -> Mapping[str, Any]:
        """Arguments by their parameters, for the record with an id; recovery hands on none."""
        if self.of_all:
            arguments = (id, *arguments)
        return MappingProxyType(dict(zip(self.parameters, arguments, strict=False)))


@attrs.frozen
class OutboxRules:
    """What a machine declares for its outbox; generated.

    `attempts` says how many deliveries each effect gets. `commands` holds every function of the
    authority that changes records, and `actions` the parameters of each action, to read arguments.
    """

    # The keys are members of closed sets of the machine's own; a mapping's keys are invariant.
    attempts: Mapping[Any, int]
    actions: Mapping[Any, Mapping[str, Any]]
    commands: Mapping[Callable[..., Any], OutboxCommand]


@attrs.frozen
class _State:
    """What became of the deliveries of a message."""

    attempts: int = 0
    error: str = ""
    dead: bool = False


@attrs.define(eq=False)
class OutboxEntry:
    """A message that is not delivered yet, and what became of its deliveries so far.

    Changed with the publication lock held. Another thread writes its text to the store; so what
    deliveries change is one attribute, which is replaced whole.
    """

    message: OutboxMessage[Any, Any, Any]
    record_id: str
    attempts_max: int
    #: The stored text up to what deliveries change; empty without a store.
    head: str
    state: _State = _State()
    #: Whether an earlier process left it, which may have ended while it delivered it.
    left: bool = False
    #: Whether it was delivered or discarded, and has to be erased.
    gone: bool = False
    #: When it was first due.
    due: float = 0.0

    @property
    def id(self) -> str:
        """The id under which a store keeps the message."""
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
        """Return what a store keeps of the message."""
        return self._text(self.state)

    def revived_text(self) -> str:
        """Return what a store keeps of the message once it is revived."""
        return self._text(_State())

    def begun_text(self) -> str:
        """What a store keeps of the message while it is delivered: its process may not return."""
        return self._text(self._failed("the process ended while the message was delivered"))

    def _text(self, state: _State) -> str:
        dead, error = "true" if state.dead else "false", json_text(state.error)
        return f'{self.head},"attempts":{state.attempts},"error":{error},"dead":{dead}}}'

    def written(self) -> str | None:
        """Return what a store has to write now; None to erase it."""
        return None if self.gone else self.text()

    def fail(self, error: BaseException) -> None:
        """Count a delivery that failed; the last one that is allowed makes a dead letter."""
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        # Lone surrogates cannot be stored.
        said = said.encode(errors="backslashreplace").decode()
        self._replace(self._failed(said[:_ERROR_CHARACTERS_MAX]))

    def _failed(self, error: str) -> _State:
        attempts = self.attempts + 1
        return _State(attempts, error, attempts >= self.attempts_max)

    def revive(self) -> None:
        """Give a dead letter all its deliveries again."""
        self._replace(_State())

    def _replace(self, state: _State) -> None:
        self.state = state
        self.message = attrs.evolve(self.message, attempt=state.attempts + 1)

    def letter(self) -> DeadLetter[Any]:
        """Return the dead letter of the message."""
        return DeadLetter(self.message, self.state.attempts, self.state.error)


def restored(
    records: Mapping[str, str],
    effects: type[Enum],
    actions: type[Enum],
    rules: OutboxRules,
    snapshot_of: Callable[[str, str], Any],
) -> list[OutboxEntry]:
    """Return the outbox messages among what a store holds, by their numbers.

    `snapshot_of` makes the snapshot of a record from its id and body. Raises InvalidValueError for
    what no outbox has written.
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
    snapshot_of: Callable[[str, str], Any],
) -> OutboxEntry:
    data = data_of(text, _KNOWN)
    for key in _KNOWN:
        if key not in data:
            raise InvalidValueError(
                key, f"is missing; {_EARLIER}" if key == "action" else "is missing"
            )
    number = id.removeprefix(OUTBOX_PREFIX)
    if not (number.isascii() and number.isdecimal()):
        raise InvalidValueError("id", f"expected the number of an outbox message, got {id!r}")
    effect, action = structure(data["effect"], effects), structure(data["action"], actions)
    if effect not in rules.attempts:
        raise InvalidValueError("effect", f"{effect.value} is no effect of the machine's own")
    record_id, attempts = structure(data["record_id"], str), structure(data["attempts"], int)
    if attempts < 0:
        raise InvalidValueError("attempts", f"expected no less than 0, got {attempts}")
    message: OutboxMessage[Any, Any, Any] = OutboxMessage(
        int(number),
        effect,
        action,
        _arguments(data["arguments"], rules.actions[action]),
        snapshot_of(record_id, text_of(data["record"])),
        attempts + 1,
    )
    head, found, _ = text.rpartition(',"attempts":')
    if not found:
        raise InvalidValueError("attempts", "stands where no outbox has written it")
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


def _arguments(data: Any, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise InvalidValueError("arguments", f"expected an object, got {type(data).__name__}")
    for name in data:
        if name not in parameters:
            raise InvalidValueError(f"arguments.{name}", "is no parameter of the action")
    return MappingProxyType(
        {name: structure(data[name], kind) for name, kind in parameters.items() if name in data}
    )


class Lanes:
    """When each message is due. Messages of one record come one after another, in their order.

    A message that fails holds up only the later ones of its record. Times are seconds of any clock
    that never falls. The cost of a step does not depend on how many messages wait.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, deque[OutboxEntry]] = {}
        # The first entry of each lane: when it is due, its number, and itself.
        self._heads: list[tuple[float, int, OutboxEntry]] = []

    def add(self, entry: OutboxEntry, now: float) -> None:
        """Add a message behind those of its record."""
        entry.due = now
        lane = self._lanes.setdefault(entry.record_id, deque())
        lane.append(entry)
        if len(lane) == 1:
            self._plan(entry, now)

    def wait_seconds(self, now: float) -> float | None:
        """Return how long nothing is due, at least 0; None if there is no message."""
        return max(0.0, self._heads[0][0] - now) if self._heads else None

    def take(self, now: float) -> OutboxEntry | None:
        """Return the message that is due, the oldest of those due first; None if none is due.

        Its record's lane waits until `put_back` or `leave` says what became of it.
        """
        if not self._heads or self._heads[0][0] > now:
            return None
        return heappop(self._heads)[2]

    def put_back(self, entry: OutboxEntry, now: float) -> None:
        """Plan the next delivery of a message that was taken, later the more often it failed."""
        self._plan(entry, now + retry_seconds(entry.attempts))

    def leave(self, entry: OutboxEntry) -> None:
        """Let go of a message that was taken: the next one of its record is due."""
        lane = self._lanes[entry.record_id]
        lane.popleft()
        if lane:
            self._plan(lane[0], lane[0].due)
        else:
            del self._lanes[entry.record_id]

    def _plan(self, entry: OutboxEntry, due: float) -> None:
        heappush(self._heads, (due, entry.message.number, entry))


def retry_seconds(failures: int) -> float:
    """Return the wait after so many failures of one message."""
    # Far more doublings than the longest wait allows would overflow.
    return min(RETRY_SECONDS_MIN * 2.0 ** min(max(failures - 1, 0), 64), RETRY_SECONDS_MAX)

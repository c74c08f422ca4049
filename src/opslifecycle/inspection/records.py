"""Operations in a store, as a process reads them that does not own them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import attrs
from opslifecycle import OperationLifecycleSnapshot, OpsLifecycleError
from opslifecycle import unstructure as to_json
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.machines import INTERRUPTED, UNRESPONSIVE
from opslifecycle.stores.reading import Reader, StoredRegistry
from opslifecycle.values.plain import Data

from opslifecycle.operations.storage import CODEC, deserialize
from opslifecycle.operations.views import snapshot_of

#: The pause between two reads of a command that waits, in seconds.
LOOK_SECONDS = 0.2
_ID_CHARACTERS_MIN = 8
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class UnknownIdError(OpsLifecycleError):
    """A shortened id that no operation has, or several."""

    field_names = ("given", "reason")
    template = "{given}: {reason}"

    def __init__(self, given: str, reason: str) -> None:
        super().__init__(given, reason)


@attrs.frozen
class Found:
    """One operation in one registry of a store."""

    registry: str
    holder: str | None
    responds: bool
    snapshot: OperationLifecycleSnapshot

    @property
    def id(self) -> str:
        """The operation's id as text."""
        return str(self.snapshot.id)

    @property
    def name(self) -> str:
        """The name by which the operation was registered."""
        return self.snapshot.display_name

    @property
    def ended(self) -> bool:
        """Whether the operation is finished."""
        return self.snapshot.terminal

    @property
    def status(self) -> str:
        """The status; `interrupted` or `unresponsive` for a live operation without a live owner."""
        if not self.ended and self.holder is None:
            return INTERRUPTED
        if not self.ended and not self.responds:
            return UNRESPONSIVE
        return str(self.snapshot.status.value)

    @property
    def reason(self) -> str:
        """The error or the reason in the outcome; empty if there is none."""
        outcome = self.snapshot.terminal_outcome
        return str(getattr(outcome, "error", None) or getattr(outcome, "reason", None) or "")

    def age_ms(self) -> int:
        """Return the milliseconds since the operation was registered."""
        return max(0, SYSTEM_CLOCK.wall_ms() - self.snapshot.created_at_ms)

    def shown(self) -> Data:
        """Return the snapshot as JSON-ready data, without its number of watches."""
        data = to_json(self.snapshot)
        del data["watcher_count"]
        return {**data, "status": self.status, "registry": self.registry, "holder": self.holder}


def reader(store: Location) -> Reader:
    """Return a reader of the operations in a store."""
    return store.reader(CODEC.schema)


@attrs.frozen
class Stored:
    """One operation in one registry of a store, not decoded yet."""

    registry: StoredRegistry
    id: str
    body: str

    def found(self) -> Found:
        """Return the operation.

        Raises:
            StoreDamagedError: It cannot be decoded.
        """
        registry = self.registry
        snapshot = registry.decode(_snapshot_of, self.id, self.body)
        return Found(registry.name, registry.holder, registry.responds, snapshot)


def stored_operations(
    registries: Iterable[StoredRegistry], *, with_feed: bool = False
) -> list[Stored]:
    """Return every operation as it is stored, in no order.

    Args:
        registries: The registries to look into.
        with_feed: Whether to include collected operations that the feed still has.
    """
    stored = []
    for each in registries:
        bodies = dict(each.stored.rows.values()) if with_feed else {}
        bodies |= each.stored.records
        stored += [Stored(each, id, body) for id, body in bodies.items()]
    return stored


def operations(registries: Iterable[StoredRegistry], *, with_feed: bool = False) -> list[Found]:
    """Return every operation, oldest first; see `stored_operations`."""
    found = [each.found() for each in stored_operations(registries, with_feed=with_feed)]
    return sorted(found, key=lambda each: each.id)


def _snapshot_of(id: str, body: str) -> OperationLifecycleSnapshot:
    return snapshot_of(deserialize(id, body), 0)


def resolve(found: list[Found], given: str) -> Found:
    """Return the operation whose id begins or ends with a text.

    Raises:
        UnknownIdError: No operation has such an id, or several have.
    """
    part = given.lower()
    matches = [each for each in found if each.id.startswith(part) or each.id.endswith(part)]
    if not matches or not part:
        raise UnknownIdError(given, "no operation has an id that begins or ends like this")
    if len(matches) > 1:
        listed = ", ".join(each.id for each in matches[:5])
        raise UnknownIdError(given, f"{len(matches)} operations have such an id: {listed}")
    return matches[0]


def shortened(ids: Iterable[str]) -> dict[str, str]:
    """Return the shortest end of each id that distinguishes it from the others.

    The end is used because ids begin with their time of creation, which neighbours share.
    """
    short: dict[str, str] = {}
    listed = list(ids)
    for characters in range(_ID_CHARACTERS_MIN, 37):
        counts = Counter(id[-characters:] for id in listed)
        for id in listed:
            if counts[id[-characters:]] == 1:
                short.setdefault(id, id[-characters:])
        if len(short) == len(listed):
            break
    return short


def milliseconds(text: str) -> int | None:
    """Return the milliseconds of a duration such as 30s, 10m, 2h or 1d; None for other texts."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    return int(match[1]) * _UNITS_MS[match[2]] if match else None


def age(milliseconds: int) -> str:
    """Return a duration as text, in its largest unit."""
    for unit in ("d", "h", "m"):
        if milliseconds >= _UNITS_MS[unit]:
            return f"{milliseconds // _UNITS_MS[unit]}{unit}"
    return f"{milliseconds // 1000}s"

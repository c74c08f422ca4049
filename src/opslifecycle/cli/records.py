"""Operations in a store, as the command line finds and shows them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
from opslifecycle import OperationLifecycleSnapshot, OpsLifecycleError
from opslifecycle import unstructure as to_json
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.stores.sqlite.reader import StoredRegistry, StoreReader

from opslifecycle.operations.storage import STORAGE, record_of
from opslifecycle.operations.views import snapshot_of

#: What is shown for an operation that is live in a store whose owner has ended.
INTERRUPTED = "interrupted"
#: What is shown for one whose owner has ended neither, nor renews its lease.
UNRESPONSIVE = "unresponsive"

#: How long a command that waits pauses before it looks again.
LOOK_SECONDS = 0.2
_ID_CHARACTERS_MIN = 8
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class UnknownIdError(OpsLifecycleError):
    """A shortened id that no operation has, or several."""

    facts = ("given", "reason")
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
        """The status as far as it is known: nothing runs whose owner has ended."""
        if not self.ended and self.holder is None:
            return INTERRUPTED
        if not self.ended and not self.responds:
            return UNRESPONSIVE
        return str(self.snapshot.status.value)

    @property
    def reason(self) -> str:
        """Why it ended, as far as the outcome says."""
        outcome = self.snapshot.terminal_outcome
        return str(getattr(outcome, "error", None) or getattr(outcome, "reason", None) or "")

    def age_ms(self) -> int:
        """How long ago it was registered."""
        return max(0, SYSTEM_CLOCK.wall_ms() - self.snapshot.created_at_ms)

    def shown(self) -> dict[str, Any]:
        """Everything about it, JSON-ready; who watches it is known in its process alone."""
        data = to_json(self.snapshot)
        del data["watcher_count"]
        return {**data, "status": self.status, "registry": self.registry, "holder": self.holder}


def reader(store: Path) -> StoreReader:
    """A reader of the operations in a store."""
    return StoreReader(store, STORAGE.identity)


def operations(registries: Iterable[StoredRegistry], *, with_feed: bool = False) -> list[Found]:
    """Every operation, the oldest first; `with_feed`, also those that only the feed still has."""
    found = []
    for each in registries:
        bodies = dict(each.stored.rows.values()) if with_feed else {}
        bodies |= each.stored.records
        found += [
            Found(each.name, each.holder, each.responds, each.decode(_snapshot_of, id, body))
            for id, body in bodies.items()
        ]
    return sorted(found, key=lambda each: each.id)


def _snapshot_of(id: str, body: str) -> OperationLifecycleSnapshot:
    return snapshot_of(record_of(id, body), 0)


def resolve(found: list[Found], given: str) -> Found:
    """The operation whose id begins or ends with what was given; raises UnknownIdError."""
    part = given.lower()
    matches = [each for each in found if each.id.startswith(part) or each.id.endswith(part)]
    if not matches or not part:
        raise UnknownIdError(given, "no operation has an id that begins or ends like this")
    if len(matches) > 1:
        listed = ", ".join(each.id for each in matches[:5])
        raise UnknownIdError(given, f"{len(matches)} operations have such an id: {listed}")
    return matches[0]


def shortened(ids: Iterable[str]) -> dict[str, str]:
    """The end of each id, as much of it as tells it from the others.

    The end, because ids begin with the time of their making, which neighbours share.
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
    """A duration such as 30s, 10m, 2h or 1d; None if it is none."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    return int(match[1]) * _UNITS_MS[match[2]] if match else None


def age(milliseconds: int) -> str:
    """A duration in words: its largest unit."""
    for unit in ("d", "h", "m"):
        if milliseconds >= _UNITS_MS[unit]:
            return f"{milliseconds // _UNITS_MS[unit]}{unit}"
    return f"{milliseconds // 1000}s"

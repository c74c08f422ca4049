"""What has changed in a store since a version, for pages that show all of it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import TypeAlias

import attrs
from opslifecycle.inspection.machines import Machine
from opslifecycle.inspection.records import Stored
from opslifecycle.serve.rows import Row, registry_data, row_function
from opslifecycle.stores.reading import StoredRegistry
from opslifecycle.values.identifiers import new_uuid
from opslifecycle.values.plain import Data

#: How many removed records are remembered; who is further behind reads everything again.
_REMOVED_MAX = 10_000

_Key: TypeAlias = tuple[str, str]


@attrs.define
class _Row:
    version: int
    body: str
    stored: Stored


@attrs.frozen
class Changes:
    """What has changed since a version."""

    version: int
    #: Whether it is everything, because that version is of another process or too old.
    whole: bool
    rows: list[Row]
    #: The registries and ids of records that are not in the store any more.
    removed: list[_Key]


class LiveState:
    """The records of all registries, each with the version at which it changed last.

    A client has a version, not a queue: what it has missed is found when it asks, so that a slow
    client costs nothing.

    Args:
        machine: The machine whose registries they are.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._row_of = row_function(machine)
        #: What versions belong to: those of another process mean nothing here.
        self.instance = new_uuid()
        self._version = 0
        self._rows: OrderedDict[_Key, _Row] = OrderedDict()
        self._removed: deque[tuple[int, _Key]] = deque()
        # Changes up to this version may be incomplete.
        self._forgotten = 0
        self._owners: dict[str, tuple[str | None, bool]] = {}
        self._registries: list[Data] = []

    @property
    def registries(self) -> list[Data]:
        """What is known of each registry."""
        return self._registries

    def update(self, found: list[StoredRegistry]) -> None:
        """Take up what a reader has found."""
        version = self._version + 1
        before = len(self._rows)
        changed = False
        seen = 0
        for registry in found:
            owner = (registry.holder, registry.responds)
            # The status that is shown depends on the owner.
            owned_anew = self._owners.get(registry.name) != owner
            self._owners[registry.name] = owner
            for id, body in self._machine.records(registry).items():
                key = (registry.name, id)
                row = self._rows.get(key)
                seen += 1
                if row is None or row.body != body or owned_anew:
                    self._rows[key] = _Row(version, body, Stored(registry, id, body))
                    self._rows.move_to_end(key)
                    changed = True
                    before += row is None
        if seen != before:
            self._forget_missing(found, version)
            changed = True
        if changed:
            self._version = version
        self._registries = [registry_data(each, self._machine) for each in found]

    def _forget_missing(self, found: list[StoredRegistry], version: int) -> None:
        records = {each.name: self._machine.records(each) for each in found}
        gone = [key for key in self._rows if key[1] not in records.get(key[0], ())]
        for key in gone:
            del self._rows[key]
            self._removed.append((version, key))
        for name in set(self._owners) - set(records):
            del self._owners[name]
        while len(self._removed) > _REMOVED_MAX:
            self._forgotten = self._removed.popleft()[0]

    def since(self, instance: str, version: int) -> Changes:
        """Return what has changed since a version; everything if that is not known any more.

        Raises:
            StoreDamagedError: A record cannot be decoded.
        """
        whole = instance != self.instance or not self._forgotten <= version <= self._version
        rows = [self._row_of(row.stored) for row in self._newer(-1 if whole else version)]
        removed = [] if whole else [key for number, key in self._removed if number > version]
        return Changes(self._version, whole, rows, removed)

    def _newer(self, version: int) -> Iterator[_Row]:
        for row in reversed(self._rows.values()):
            if row.version <= version:
                return
            yield row

"""Reading a store without owning anything in it: what readers of every kind of store return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import attrs
from opslifecycle.errors import StoreDamagedError
from opslifecycle.stores.base import StoreContents

T = TypeVar("T")

#: How many texts of records that have gone are remembered, beside twice those that are there.
_SPARE_TEXTS = 4096

#: What decoding a text raises that no store of this machine has written.
UNREADABLE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError
)  # fmt: skip

#: What was decoded before, by id: the text, what decoded it, and what it means.
Known: TypeAlias = dict[str, tuple[str, object, Any]]


@attrs.frozen
class StoredRegistry:
    """A registry in a store, as a process sees it that does not own it."""

    name: str
    #: Who owns it, in words; None if there is no owner, or it has ended.
    holder: str | None
    #: Whether the owner renews its lease; one that does not is suspended, or hangs.
    responds: bool
    stored: StoreContents
    _path: str
    _positions: Mapping[str, int]
    #: What was decoded before, by id: the text and what it means.
    _known: Known

    def decode(self, decode: Callable[[str, str], T], id: str, body: str) -> T:
        """Return what a stored text means; one that was decoded at the last look is remembered.

        Raises:
            StoreDamagedError: If it means nothing; names the row of the record, or that of the
                registry for an entry whose record has gone.
        """
        before = self._known.get(id)
        if before is not None and before[0] == body and before[1] is decode:
            return before[2]  # type: ignore[no-any-return]
        try:
            found = decode(id, body)
        except UNREADABLE as error:
            rule = f"the record {id!r:.80}: {error}"
            raise StoreDamagedError(self._path, self._positions.get(id, 0), rule) from None
        if len(self._known) > 2 * len(self.stored.records) + _SPARE_TEXTS:
            self._known.clear()
        self._known[id] = (body, decode, found)
        return found


class Reader(ABC):
    """Reads the registries of one machine in a store; their owners go on meanwhile.

    Methods raise PersistenceError if there is no store, StoreDamagedError and StoreVersionError for
    one that cannot be read.
    """

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of the machine's registries, in the order in which they were made.

        Raises:
            StoreVersionError: All registries in the store are those of other machines.
        """

    @abstractmethod
    def others(self) -> list[str]:
        """Return the names of the registries that other machines have in the store."""

    @abstractmethod
    def registry(self, name: str) -> StoredRegistry:
        """Return one registry at one instant.

        Raises:
            PersistenceError: There is no such registry.
        """

    @abstractmethod
    def all(self) -> list[StoredRegistry]:
        """Return every registry of the machine."""

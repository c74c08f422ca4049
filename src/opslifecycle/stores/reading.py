"""The interface of readers, which read a store without owning a registry in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import attrs
from opslifecycle.errors import StoreDamagedError
from opslifecycle.locks import hold, owned_lock
from opslifecycle.stores.base import ArchivedRow, StoreContents

T = TypeVar("T")

#: How many decoded texts are cached beyond twice the number of stored records.
_SPARE_TEXTS = 4096

#: The errors of decoding a text that no store of this machine has written. Others interrupt the
#: decoding: what a signal handler raises, or a lack of memory or stack.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)

#: The decoded texts, by id: the text, the function that decoded it, and its result.
Known: TypeAlias = dict[str, tuple[str, object, Any]]


@attrs.frozen(eq=False, repr=False)
class StoredRegistry:
    """The state of a registry in a store, as a process reads it that does not own the registry."""

    name: str
    #: The version of the machine that wrote it; the contents are those of the reader's version.
    version: int
    #: The description of its owner; None if it has none, or the owner's process has ended.
    holder: str | None
    #: Whether the owner renews its lease. An owner that does not is suspended, or hangs.
    responds: bool
    stored: StoreContents
    _path: str
    _positions: Mapping[str, int]
    _known: Known

    def decode(self, decode: Callable[[str, str], T], id: str, body: str) -> T:
        """Return a stored text as `decode` decodes it; earlier results are cached.

        Args:
            decode: Returns the value of an id and a text.
            id: The id of the record.
            body: The text.

        Raises:
            StoreDamagedError: The text cannot be decoded. The error has the row of the record, or
                row 0 for a feed entry whose record was erased.
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

    def decode_state(self, decode: Callable[[str], T], state: str) -> T:
        """Return what `decode` makes of the text of the registry's fields.

        Raises:
            StoreDamagedError: The text cannot be decoded.
        """
        try:
            return decode(state)
        except UNREADABLE as error:
            raise StoreDamagedError(self._path, 0, str(error)) from None


class Reader(ABC):
    """A reader of one machine's registries in a store, which does not disturb their owners.

    Methods raise PersistenceError if there is no store, and StoreDamagedError or StoreVersionError
    if it cannot be read.
    """

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of the machine's registries, in the order of their creation.

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

    @abstractmethod
    def archived(self, name: str, id: str) -> ArchivedRow | None:
        """Return the record with an id that a registry has archived last; see `Store.archived`."""

    @abstractmethod
    def archived_after(self, name: str, sequence: int, limit: int) -> list[ArchivedRow]:
        """Return archived records of a registry; see `Store.archived_after`."""

    @abstractmethod
    def archived_before(self, name: str, sequence: int | None, limit: int) -> list[ArchivedRow]:
        """Return archived records of a registry; see `Store.archived_before`."""

    @abstractmethod
    def check_archive(self, name: str) -> int:
        """Read the whole archive of a registry, and return how many records it has.

        Raises:
            StoreDamagedError: A record was altered, or records are missing.
        """

    def close(self) -> None:  # noqa: B027 (a reader of files holds nothing between two reads)
        """Release what is held between two reads; another read opens it again."""


class RegistryView:
    """Reads one registry without owning it: a call returns its state.

    Any thread may read the archive, one at a time.

    Args:
        reader: The reader, which nothing else uses.
        registry: The name of the registry.
        name: The name of the store, for messages.
    """

    def __init__(self, reader: Reader, registry: str, name: str) -> None:
        self._reader = reader
        self._registry = registry
        self.name = name
        self._lock = owned_lock()

    def __call__(self) -> StoredRegistry:
        """Return the registry at one instant."""
        return self._reader.registry(self._registry)

    def archived(self, id: str) -> ArchivedRow | None:
        """See `Store.archived`."""
        return hold(self._lock, self._reader.archived, self._registry, id)

    def archived_after(self, sequence: int, limit: int) -> list[ArchivedRow]:
        """See `Store.archived_after`."""
        return hold(self._lock, self._reader.archived_after, self._registry, sequence, limit)

    def archived_before(self, sequence: int | None, limit: int) -> list[ArchivedRow]:
        """See `Store.archived_before`."""
        return hold(self._lock, self._reader.archived_before, self._registry, sequence, limit)

    def close(self) -> None:
        """Release the connection of the reader; another read opens it again."""
        hold(self._lock, self._reader.close)

"""The machine and the version that write a store, and how older contents become contents of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from opslifecycle.errors import StoreVersionError

if TYPE_CHECKING:
    from opslifecycle.stores.base import StoreContents


@attrs.frozen
class SchemaVersion:
    """The machine that writes a store, and the migration of older contents.

    `migrate` takes the version and the contents, and returns the contents in the form of this
    version, or raises StoreVersionError. It is None if no older version can be read. `archives`
    says whether commits of the machine have archived records. `check` raises ValueError for
    contents with which no registry of this version can begin; None checks nothing.
    """

    machine: str
    version: int
    digest: str
    migrate: Callable[[int, StoreContents], StoreContents] | None = attrs.field(
        default=None, eq=False
    )
    archives: bool = attrs.field(default=False, eq=False)
    check: Callable[[StoreContents], None] | None = attrs.field(default=None, eq=False)

    def __str__(self) -> str:
        return f"{self.machine} version {self.version}"

    def refuse_unreadable(self, machine: object, version: object, where: str) -> None:
        """Raise StoreVersionError for another machine, or for a version without a migration."""
        if (machine, version) == (self.machine, self.version):
            return
        older = machine == self.machine and type(version) is int and version < self.version
        if not older or self.migrate is None:
            raise StoreVersionError(f"{machine} version {version} ({where})", str(self))

    def adopt(self, version: int, stored: StoreContents) -> StoreContents:
        """Return the contents of a readable version in the form of this version."""
        if version == self.version or self.migrate is None:
            return stored
        return self.migrate(version, stored)

    def take_over(self, version: int, stored: StoreContents, where: str) -> StoreContents:
        """Return contents as `adopt` does, for an owner that writes them.

        Args:
            version: The version of the machine that wrote them.
            stored: The contents.
            where: The place of the contents, for messages.

        Raises:
            StoreVersionError: No migration makes them contents of this version.
        """
        adopted = self.adopt(version, stored)
        self.refuse_unfit(version, adopted, where)
        return adopted

    def refuse_unfit(self, version: int, adopted: StoreContents, where: str) -> None:
        """Raise StoreVersionError for migrated contents with which no registry can begin."""
        if version == self.version or self.check is None:
            return
        try:
            self.check(adopted)
        except ValueError as error:
            found = f"{self.machine} version {version} ({where})"
            raise StoreVersionError(found, f"{self}, which cannot hold it ({error})") from error

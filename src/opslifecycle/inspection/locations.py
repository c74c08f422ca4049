"""Where a store is: in a file, or in a schema on a PostgreSQL server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from opslifecycle import PersistenceError, Store
from opslifecycle.stores.reading import Reader
from opslifecycle.stores.schema_version import SchemaVersion

if TYPE_CHECKING:
    from opslifecycle.stores.postgres.session import Target

DEFAULT_STORE = Path(".opslifecycle/operations.db")
#: Beside it are the logs of commands whose operations are on a server.
_BESIDE_SERVER = DEFAULT_STORE.with_name("server")
_SERVER_PREFIXES = ("postgresql://", "postgres://", "service=", "host=", "dbname=")
_DEFAULT_SCHEMA = "opslifecycle"
#: A call that waits for a lock can be neither shown nor given up.
_LOCK_TIMEOUT_SECONDS = 0.5


class Location(ABC):
    """Where registries are stored; commands and servers reach a store through it alone."""

    @property
    @abstractmethod
    def beside(self) -> Path:
        """The path beside which this host keeps the logs of commands."""

    @abstractmethod
    def prepare(self) -> None:
        """Create what must be there before a store is opened for the first time."""

    @abstractmethod
    def store(self, registry: str, *, impatient: bool = False) -> Store:
        """Return the store of one registry, for the process that is to own it.

        Args:
            registry: Its name.
            impatient: Whether the process repeats what the store refuses, so that no call should
                wait long for a lock of another program.
        """

    @abstractmethod
    def reader(self, schema: SchemaVersion) -> Reader:
        """Return a reader of the registries of a machine."""

    @abstractmethod
    def ask(self, registry: str, id: str, reason: str) -> None:
        """Request the cancellation of one record; repeating it is harmless."""

    @abstractmethod
    def take(self, registry: str) -> list[tuple[str, str]]:
        """Return the requests that came: ids and reasons, each once."""

    @abstractmethod
    def forget(self, registry: str) -> None:
        """Remove a registry that has no owner.

        Raises:
            RegistryOwnedError: A process works with it.
        """

    @abstractmethod
    def mark_restored(self) -> None:
        """Have every feed begin a new epoch when its registry is opened next."""


@attrs.frozen
class FileLocation(Location):
    """A SQLite file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def beside(self) -> Path:
        """See `Location.beside`."""
        return self.path

    def prepare(self) -> None:
        """See `Location.prepare`; our own folder is kept out of version control."""
        _prepare_folder(self.path.parent)

    def store(self, registry: str, *, impatient: bool = False) -> Store:
        """See `Location.store`."""
        from opslifecycle.stores.sqlite.store import SqliteStore

        if impatient:
            return SqliteStore(self.path, registry=registry, lock_timeout=_LOCK_TIMEOUT_SECONDS)
        return SqliteStore(self.path, registry=registry)

    def reader(self, schema: SchemaVersion) -> Reader:
        """See `Location.reader`."""
        from opslifecycle.stores.sqlite.reader import StoreReader

        return StoreReader(self.path, schema)

    def ask(self, registry: str, id: str, reason: str) -> None:
        """See `Location.ask`."""
        from opslifecycle.stores.sqlite.inbox import Inbox

        Inbox(self.path).ask(registry, id, reason)

    def take(self, registry: str) -> list[tuple[str, str]]:
        """See `Location.take`."""
        from opslifecycle.stores.sqlite.inbox import Inbox

        return Inbox(self.path).take(registry)

    def forget(self, registry: str) -> None:
        """See `Location.forget`."""
        from opslifecycle.stores.sqlite.admin import forget

        forget(self.path, registry)

    def mark_restored(self) -> None:
        """See `Location.mark_restored`."""
        from opslifecycle.stores.sqlite.admin import mark_restored

        mark_restored(self.path)


@attrs.frozen
class ServerLocation(Location):
    """A schema on a PostgreSQL server."""

    dsn: str
    schema: str

    def __str__(self) -> str:
        return self.target().name

    def target(self) -> Target:
        """Return the schema as stores know it.

        Raises:
            PersistenceError: The driver is not installed.
        """
        try:
            from opslifecycle.stores.postgres.session import Target
        except ImportError as error:
            raise PersistenceError("a PostgreSQL server", str(error)) from None
        return Target(self.dsn, self.schema)

    @property
    def beside(self) -> Path:
        """See `Location.beside`."""
        return _BESIDE_SERVER

    def prepare(self) -> None:
        """See `Location.prepare`: the logs of commands are on this host."""
        self.target()
        _prepare_folder(_BESIDE_SERVER.parent)

    def store(self, registry: str, *, impatient: bool = False) -> Store:
        """See `Location.store`; on a server, no call waits for a lock of another program."""
        self.target()
        from opslifecycle.stores.postgres.store import PostgresStore

        return PostgresStore(self.dsn, registry=registry, schema=self.schema)

    def reader(self, schema: SchemaVersion) -> Reader:
        """See `Location.reader`."""
        target = self.target()
        from opslifecycle.stores.postgres.reader import PostgresReader

        return PostgresReader(target, schema)

    def ask(self, registry: str, id: str, reason: str) -> None:
        """See `Location.ask`."""
        target = self.target()
        from opslifecycle.stores.postgres.admin import ask

        ask(target, registry, id, reason)

    def take(self, registry: str) -> list[tuple[str, str]]:
        """See `Location.take`."""
        target = self.target()
        from opslifecycle.stores.postgres.admin import take

        return take(target, registry)

    def forget(self, registry: str) -> None:
        """See `Location.forget`."""
        target = self.target()
        from opslifecycle.stores.postgres.admin import forget

        forget(target, registry)

    def mark_restored(self) -> None:
        """See `Location.mark_restored`."""
        target = self.target()
        from opslifecycle.stores.postgres.admin import mark_restored

        mark_restored(target)


def _prepare_folder(folder: Path) -> None:
    if not folder.exists():
        # Command lines and outputs may hold secrets.
        folder.mkdir(mode=0o700, parents=True)
        if folder.name == DEFAULT_STORE.parent.name:
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def location_of(text: str) -> Location:
    """Return the location that a path means, or a connection string of PostgreSQL.

    The fragment of a connection string that is a URL is the name of the schema.
    """
    if not text.startswith(_SERVER_PREFIXES):
        return FileLocation(Path(text))
    dsn, _, schema = text.partition("#") if "://" in text else (text, "", "")
    return ServerLocation(dsn, schema or _DEFAULT_SCHEMA)

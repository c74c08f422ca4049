"""Copying the registries of a SQLite file into a schema on a server."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from opslifecycle.errors import PersistenceError, RegistryOwnedError
from opslifecycle.stores.base import StoreContents, commit_of
from opslifecycle.stores.postgres.session import Target
from opslifecycle.stores.postgres.store import PostgresStore
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.stores.sqlite.archive import ArchiveReader
from opslifecycle.stores.sqlite.reader import StoreReader

#: The registries of a file are listed whatever machines they are of.
_ANY = SchemaVersion("", 0, "")
_ROWS_AT_ONCE = 1000


def import_file(path: Path, target: Target) -> list[tuple[str, int]]:
    """Copy every registry of a file, whatever machine it is of; the file stays as it is.

    Records, feeds, cursors, epochs and archives are the same afterwards. A registry that the schema
    has already is refused, and those before it stay copied.

    Returns:
        The name of each registry, and how many records it has.

    Raises:
        RegistryOwnedError: A process works with a registry of the file.
        PersistenceError: The file or the server cannot be used, or has such a registry.
    """
    copied = []
    for name, schema in StoreReader(path, _ANY).registries():
        found = StoreReader(path, schema).registry(name)
        if found.holder is not None:
            raise RegistryOwnedError(str(path), found.holder)
        store = PostgresStore(target.dsn, registry=name, schema=target.schema)
        with StoreReader(path, _ANY).archive(name) as archive:
            _fill(store, name, schema, found.stored, archive)
        copied.append((name, len(found.stored.records)))
    return copied


def _fill(
    store: PostgresStore,
    name: str,
    schema: SchemaVersion,
    stored: StoreContents,
    archive: ArchiveReader,
) -> None:
    try:
        rows = archive.after(0, _ROWS_AT_ONCE)
        present = store.open(evolve(schema, archives=bool(rows)))
        if present.state is not None or present.records:
            raise PersistenceError(
                store.name, f"there is a registry {name!r} already; import into another schema"
            )
        # Before the state, so that a copy that was interrupted can be repeated.
        while rows:
            store.copy_archived(rows)
            rows = archive.after(rows[-1][0], _ROWS_AT_ONCE)
        if stored.state is not None:
            store.append(commit_of(stored))
    finally:
        store.close()

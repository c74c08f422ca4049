"""What a migration changes in a store: seen without writing, or after a backup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs
from opslifecycle.stores.base import Store, StoreContents, is_outbox_key
from opslifecycle.stores.reading import Reader
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.values.plain import data_of


@attrs.frozen
class KindChanges:
    """The changes of one kind of stored data.

    Attributes:
        kind: What the texts are: records, feed entries, outbox messages, or the registry's state.
        total: How many there are.
        changed: How many of them change.
        fields: How many texts a field changes in. A field of a value has a dotted name, a new one
            begins with `+`, and one that goes with `-`.
    """

    kind: str
    total: int
    changed: int
    fields: Mapping[str, int]


@attrs.frozen
class MigrationReport:
    """What the migration of one registry changes.

    Attributes:
        registry: The name of the registry.
        version: The version of the machine that wrote it.
        kinds: The changes by kind.
    """

    registry: str
    version: int
    kinds: tuple[KindChanges, ...]


def planned(reader_of: Callable[[SchemaVersion], Reader], schema: SchemaVersion) -> Iterator[
    MigrationReport
]:  # fmt: skip
    """Yield what opening each registry would change; nothing is written.

    Args:
        reader_of: Returns a reader of the store for a schema.
        schema: The machine as it is now.

    Raises:
        StoreVersionError: No migration leads from the version of the store, or a registry has what
            the machine cannot hold.
        PersistenceError: The store cannot be read.
    """
    for name in reader_of(schema).names():
        found: list[MigrationReport] = []
        reader = reader_of(_observed(schema, name, found.append))
        registry = reader.registry(name)
        schema.refuse_unfit(registry.version, registry.stored, name)
        yield from found


def migrate(
    store_of: Callable[[str], Store],
    names: Iterable[str],
    schema: SchemaVersion,
    back_up: Callable[[int], object],
) -> Iterator[MigrationReport]:
    """Migrate registries, and yield what changed in each that was of an older version.

    A registry is migrated as a whole or not at all. Those before one that fails stay migrated.

    Args:
        store_of: Returns the store of a registry.
        names: The names of the registries.
        schema: The machine as it is now.
        back_up: Backs the store up. It gets the version that was found, is called while the first
            registry is owned and before it changes, and stops everything by an exception.

    Raises:
        RegistryOwnedError: A process works with a registry.
        StoreVersionError: No migration leads from the version of a registry, or a registry has what
            the machine cannot hold.
        PersistenceError: The store cannot be read or written.
    """
    is_backed_up = False
    for name in names:
        found: list[MigrationReport] = []

        def before(report: MigrationReport, found: list[MigrationReport] = found) -> None:
            nonlocal is_backed_up
            if not is_backed_up:
                back_up(report.version)
                is_backed_up = True
            found.append(report)

        store = store_of(name)
        try:
            store.open(_observed(schema, name, before))
        finally:
            store.close()
        yield from found


def _observed(
    schema: SchemaVersion, name: str, see: Callable[[MigrationReport], object]
) -> SchemaVersion:
    """Return a schema that reports what its migration changes before it is used."""
    convert = schema.migrate
    if convert is None:
        return schema

    def migrated(version: int, stored: StoreContents) -> StoreContents:
        after = convert(version, stored)
        see(MigrationReport(name, version, tuple(_changes(stored, after))))
        return after

    return attrs.evolve(schema, migrate=migrated)


def _changes(before: StoreContents, after: StoreContents) -> Iterator[KindChanges]:
    messages = [id for id in before.records if is_outbox_key(id)]
    records = [id for id in before.records if not is_outbox_key(id)]
    yield _compared("records", ((before.records[id], after.records[id]) for id in records))
    rows = ((body, after.rows[sequence][1]) for sequence, (_, body) in before.rows.items())
    yield _compared("feed entries", rows)
    yield _compared("outbox messages", ((before.records[id], after.records[id]) for id in messages))
    if before.state is not None and after.state is not None:
        yield _compared("state of the registry", [(before.state, after.state)])


def _compared(kind: str, pairs: Iterable[tuple[str, str]]) -> KindChanges:
    total = changed = 0
    fields: Counter[str] = Counter()
    for before, after in pairs:
        total += 1
        if before != after:
            changed += 1
            fields.update(dict.fromkeys(_differences(data_of(before), data_of(after)), 1))
    return KindChanges(kind, total, changed, fields)


def _differences(
    before: Mapping[str, object], after: Mapping[str, object], prefix: str = ""
) -> Iterator[str]:
    """Yield the names of the fields that differ."""
    for name in {**before, **after}:
        if name not in after:
            yield f"-{prefix}{name}"
        elif name not in before:
            yield f"+{prefix}{name}"
        elif before[name] != after[name]:
            old, new = before[name], after[name]
            if isinstance(old, dict) and isinstance(new, dict):
                yield from _differences(old, new, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}"

"""`opslifecycle migrate`: bring the registries of a store to the version of their machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.packages import machine_of, naming_packages, package_option
from opslifecycle.cli.stores import print_line, store_option
from opslifecycle.cli.text import one_line
from opslifecycle.inspection.locations import FileLocation, Location
from opslifecycle.stores.migrating import KindChanges, MigrationReport, planned
from opslifecycle.stores.migrating import migrate as migrate_registries
from opslifecycle.stores.schema_version import SchemaVersion

_UP_TO_DATE = "every registry is up to date"


@click.command()
@store_option
@package_option
@click.option("--dry-run", is_flag=True, help="Print what would change; write nothing.")
@click.option(
    "--backup",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The new file for the backup (default: the store's name with the version before).",
)
def migrate(store: Location, package: str, dry_run: bool, backup: Path | None) -> None:
    """Migrate the registries of a store to the version of their machine.

    Opening a registry does the same. This command makes a backup before, and prints what changes in
    each kind of record. A registry is migrated as a whole or not at all.
    """
    schema = machine_of(package).schema
    with told_errors(), naming_packages():
        if dry_run:
            reports = list(planned(store.reader, schema))
            _print(store, schema, reports)
            print_line("nothing was written" if reports else _UP_TO_DATE)
            return
        if not isinstance(store, FileLocation):
            raise click.UsageError(
                "on a server, a registry is migrated when it is opened: make a backup with pg_dump,"
                " and look before with --dry-run"
            )
        _migrate(store, schema, backup)


def _migrate(store: FileLocation, schema: SchemaVersion, backup: Path | None) -> None:
    from opslifecycle.stores.sqlite.backup import back_up

    def save(version: int) -> None:
        target = backup or store.path.with_name(f"{store.path.name}.version-{version}")
        back_up(store.path, target)
        print_line(f"backup: {target}")

    names = store.reader(schema).names()
    done = 0
    for report in migrate_registries(store.store, names, schema, save):
        _print(store, schema, [report])
        done += 1
    print_line(f"migrated {done} of {len(names)} registries" if done else _UP_TO_DATE)


def _print(store: Location, schema: SchemaVersion, reports: Iterable[MigrationReport]) -> None:
    for report in reports:
        versions = f"{schema.machine} version {report.version} to {schema.version}"
        print_line(f"{store}: {one_line(report.registry)}: {versions}")
        for kind in report.kinds:
            print_line(f"  {_line(kind)}")


def _line(kind: KindChanges) -> str:
    if not kind.changed:
        return f"{kind.kind}: {kind.total}, none changed"
    fields = ", ".join(f"{name} in {count}" for name, count in sorted(kind.fields.items()))
    return f"{kind.kind}: {kind.total}, {kind.changed} changed: {fields}"

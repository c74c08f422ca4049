"""`opslifecycle doctor`: check a store."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.packages import (
    GeneratedMachine,
    machine_of,
    naming_packages,
    package_option,
)
from opslifecycle.cli.stores import print_line, store_option
from opslifecycle.cli.text import one_line
from opslifecycle.inspection.locations import Location
from opslifecycle.stores.base import ArchivedRow, Commit, Store, StoreContents
from opslifecycle.stores.reading import StoredRegistry
from opslifecycle.stores.schema_version import SchemaVersion


@click.command()
@store_option
@package_option
@click.pass_context
def doctor(ctx: click.Context, store: Location, package: str) -> None:
    """Check the checksums of a store and every invariant of the machine."""
    machine = machine_of(package)
    with told_errors():
        registries, broken = examine(store, machine, print_line)
        if not registries:
            print("there was nothing to check", file=sys.stderr)
        ctx.exit(1 if broken or not registries else 0)


def examine(
    store: Location, machine: GeneratedMachine, tell: Callable[[str], None]
) -> tuple[int, int]:
    """Check a store.

    Args:
        store: The store.
        machine: The machine of its registries; those of others are not checked.
        tell: Called with a line about each registry, and one about all of them.

    Returns:
        How many registries there are, and how many of them have broken invariants.

    Raises:
        AnotherMachineError: All registries are of other machines.
        StoreDamagedError: A registry cannot be read or opened, or its archive was altered.
    """
    source, broken = store.reader(machine.schema), 0
    with naming_packages():
        names = source.names()
    for name in names:
        registry = source.registry(name)
        wrong = _broken_invariants(store, machine, registry)
        broken += bool(wrong)
        held = _count(sum(1 for _ in machine.records(registry.stored)), *machine.noun)
        if machine.schema.archives:
            held += f", {source.check_archive(name)} in the archive"
        verdict = f"broken: {', '.join(wrong)}" if wrong else f"sound, {held}"
        tell(f"{one_line(name)}: {verdict}")
    for name in source.others():
        tell(f"{one_line(name)}: not checked, it belongs to another machine; --package names it")
    counted = _count(len(names), "registry", "registries")
    tell(f"{counted}, {len(machine.invariants)} invariants each, {broken} broken")
    return len(names), broken


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


class _DryRun(Store):
    """A store with the contents that a reader has found, which writes nothing."""

    archives = True

    def __init__(self, location: Location, stored: StoreContents) -> None:
        self._location = location
        self._stored = stored

    @property
    def name(self) -> str:
        return str(self._location)

    def open(self, schema: SchemaVersion) -> StoreContents:
        return self._stored

    def append(self, commit: Commit) -> None:
        """Discard the commit."""

    def archived_before(self, sequence: int | None, limit: int) -> list[ArchivedRow]:
        """Return nothing: where a feed would begin, no invariant says."""
        return []

    def close(self) -> None:
        """Do nothing, because nothing was opened."""


def _broken_invariants(
    store: Location, machine: GeneratedMachine, registry: StoredRegistry
) -> list[str]:
    """Return the names of the invariants that are false.

    Raises:
        StoreDamagedError: The stored contents cannot be opened as a registry.
        StoreVersionError: An older version has written what this one cannot hold.
    """
    machine.schema.refuse_unfit(registry.version, registry.stored, str(store))
    for id, body in machine.records(registry.stored):
        registry.decode(machine.codec.deserialize, id, body)
    # By its second name, because a machine may have an action that is called `close`.
    machine.registry(store=_DryRun(store, registry.stored))._close()
    return machine.broken_invariants(registry.stored)

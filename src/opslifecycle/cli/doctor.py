"""`opslifecycle doctor`: check a store."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click
from opslifecycle import Registry
from opslifecycle.cli.stores import print_line, store_option, told_errors
from opslifecycle.cli.text import one_line
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.records import reader
from opslifecycle.stores.base import Commit, SchemaVersion, Store, StoreContents
from opslifecycle.stores.reading import StoredRegistry

from opslifecycle.operations import INVARIANTS, OperationAuthority
from opslifecycle.operations.storage import CODEC
from opslifecycle.operations.views import entry_of


@click.command()
@store_option
@click.pass_context
def doctor(ctx: click.Context, store: Location) -> None:
    """Check the checksums of a store and every invariant of the machine."""
    with told_errors():
        registries, broken = examine(store, print_line)
        if not registries:
            print("there was nothing to check", file=sys.stderr)
        ctx.exit(1 if broken or not registries else 0)


def examine(store: Location, tell: Callable[[str], None]) -> tuple[int, int]:
    """Check a store.

    Args:
        store: The store.
        tell: Called with a line about each registry, and one about all of them.

    Returns:
        How many registries there are, and how many of them have broken invariants.

    Raises:
        StoreDamagedError: A registry cannot be read or opened.
    """
    source, broken = reader(store), 0
    names = source.names()
    for name in names:
        registry = source.registry(name)
        wrong = _broken_invariants(store, registry)
        broken += bool(wrong)
        held = _count(len(registry.stored.records), "operation", "operations")
        verdict = f"broken: {', '.join(wrong)}" if wrong else f"sound, {held}"
        tell(f"{one_line(name)}: {verdict}")
    for name in source.others():
        tell(f"{one_line(name)}: not checked, it belongs to another machine")
    counted = _count(len(names), "registry", "registries")
    tell(f"{counted}, {len(INVARIANTS)} invariants each, {broken} broken")
    return len(names), broken


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


class _DryRun(Store):
    """A store with the contents that a reader has found, which writes nothing."""

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

    def close(self) -> None:
        """Do nothing, because nothing was opened."""


def _broken_invariants(store: Location, registry: StoredRegistry) -> list[str]:
    """Return the names of the invariants that are false.

    Raises:
        StoreDamagedError: The stored contents cannot be opened as a registry.
    """
    for id, body in registry.stored.records.items():
        registry.decode(CODEC.deserialize, id, body)
    Registry(store=_DryRun(store, registry.stored)).close()
    authority = OperationAuthority(max_completed=1, max_concurrent=None)
    rows = [entry_of(each) for each in CODEC.restore(authority, registry.stored, SYSTEM_CLOCK)]
    return [name for name, holds in INVARIANTS.items() if not holds(authority, rows, [])]

"""The package option of the commands, and the machine of a generated package."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol

import attrs
import click
from opslifecycle import OpsLifecycleError, StoreVersionError
from opslifecycle.clock import SYSTEM_CLOCK, Clock
from opslifecycle.stores.base import StoreContents, is_outbox_key
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.values.plain import Data, data_of

_SHIPPED = "opslifecycle.operations"

package_option = click.option(
    "--package",
    default=_SHIPPED,
    show_default=True,
    metavar="MODULE",
    help="The generated package of the machine, as Python imports it from here or from src.",
)


class _Codec(Protocol):
    @property
    def schema(self) -> SchemaVersion: ...

    @property
    def has_outbox(self) -> bool: ...

    @property
    def deserialize(self) -> Callable[[str, str], object]: ...

    def restore(self, authority: object, contents: StoreContents, clock: Clock) -> list[object]: ...


class _Setting(Protocol):
    @property
    def argument(self) -> str: ...

    def value(self, given: Data, state: Data) -> object: ...


class _Feed(Protocol):
    @property
    def entry_of(self) -> Callable[..., object]: ...


class _Definition(Protocol):
    @property
    def schema(self) -> SchemaVersion: ...

    @property
    def authority(self) -> Callable[..., object]: ...

    @property
    def settings(self) -> Sequence[_Setting]: ...

    @property
    def feed(self) -> _Feed | None: ...


class _Registry(Protocol):
    def _close(self) -> None: ...


@attrs.frozen
class GeneratedMachine:
    """A machine with stores, as its generated package has it.

    Attributes:
        codec: The conversion of its records.
        definition: The parts of its registries.
        invariants: By name, functions of the authority, the feed entries and the barriers.
        registry: The class of its registries.
        noun: What one of its records is called in reports, and several.
    """

    codec: _Codec
    definition: _Definition
    invariants: Mapping[str, Callable[..., bool]]
    registry: Callable[..., _Registry]
    noun: tuple[str, str]

    @property
    def schema(self) -> SchemaVersion:
        """The machine and its version."""
        return self.definition.schema

    def records(self, stored: StoreContents) -> Iterator[tuple[str, str]]:
        """Yield the id and the body of each record, without the outbox messages."""
        for id, body in stored.records.items():
            if not (self.codec.has_outbox and is_outbox_key(id)):
                yield id, body

    def broken_invariants(self, stored: StoreContents) -> list[str]:
        """Return the names of the invariants that are false of store contents."""
        state = data_of(stored.state) if stored.state is not None else {}
        settings = self.definition.settings
        authority = self.definition.authority(
            **{each.argument: each.value({}, state) for each in settings}
        )
        records = self.codec.restore(authority, stored, SYSTEM_CLOCK)
        feed = self.definition.feed
        entries = [] if feed is None else [feed.entry_of(each) for each in records]
        return [
            name for name, holds in self.invariants.items() if not holds(authority, entries, [])
        ]


class AnotherMachineError(OpsLifecycleError):
    """A store of another machine than that of the package that a command was given."""

    field_names = ("found", "known")
    template = "the store was written by {found}, this is {known}"
    fix = "pass --package with the generated package of the machine that wrote it"

    found: str
    known: str

    def __init__(self, found: str, known: str) -> None:
        super().__init__(found, known)


@contextmanager
def naming_packages() -> Iterator[None]:
    """Have the error about a store of another machine name the option `--package`."""
    try:
        yield
    except StoreVersionError as error:
        found, known = (each.partition(" version ") for each in (error.found, error.known))
        if not found[1] or found[0] == known[0]:
            raise
        raise AnotherMachineError(error.found, error.known) from None


def machine_of(package: str) -> GeneratedMachine:
    """Return the machine of a generated package.

    Raises:
        click.UsageError: It cannot be imported, is no generated package, or has no stores.
    """
    if package != _SHIPPED:
        # Otherwise a file of the current folder could take the place of a module.
        sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]
    try:
        codec = getattr(import_module(f"{package}.storage"), "CODEC", None)
        definition = getattr(import_module(f"{package}.base"), "DEFINITION", None)
        exported = import_module(package)
        registries = import_module(f"{package}.registry")
    except ImportError as error:
        raise click.UsageError(
            f"--package: {package} cannot be imported: {error}; name the generated package of a"
            " machine with `recovery`, and set PYTHONPATH if it is neither here nor in src"
        ) from None
    registry = _registry_of(registries, definition)
    if codec is None or definition is None or registry is None:
        raise click.UsageError(f"--package: {package} is no generated package; name one")
    # The package of a machine without invariants has none.
    invariants = getattr(exported, "INVARIANTS", {})
    noun = ("operation", "operations") if package == _SHIPPED else ("record", "records")
    return GeneratedMachine(codec, definition, invariants, registry, noun)


def _registry_of(module: ModuleType, definition: object) -> Callable[..., _Registry] | None:
    for each in vars(module).values():
        if getattr(each, "__module__", None) == module.__name__:
            found = getattr(each, "_definition", None)
            if found is not None and found is definition:
                registry: Callable[..., _Registry] = each
                return registry
    return None

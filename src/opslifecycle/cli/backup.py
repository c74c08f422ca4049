"""`opslifecycle backup`: a verified copy of a store that is in use."""

from __future__ import annotations

from pathlib import Path

import click
from opslifecycle import OpsLifecycleError
from opslifecycle.cli.doctor import examine
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.packages import AnotherMachineError, machine_of, package_option
from opslifecycle.cli.stores import print_line, store_option
from opslifecycle.inspection.locations import FileLocation, Location


class NotSoundError(OpsLifecycleError):
    """A backup that would have the faults of its store."""

    field_names = ("store", "fault")
    template = "{store} is not sound, and no backup was written: {fault}"

    def __init__(self, store: str, fault: str) -> None:
        super().__init__(store, fault)


@click.command()
@store_option
@package_option
@click.argument("target", type=click.Path(path_type=Path))
def backup(store: Location, package: str, target: Path) -> None:
    """Write a copy of a store into a new file, while others use the store.

    The copy has one consistent state. It is checked as `opslifecycle doctor` checks a store, and
    gets its name when it is complete and sound. Logs of commands are in a folder beside the store,
    and are not copied.
    """
    machine = machine_of(package)
    with told_errors():
        if not isinstance(store, FileLocation):
            raise click.UsageError(
                "a store on a server is copied with the server's tools: use pg_dump"
            )
        from opslifecycle.stores.sqlite.backup import back_up

        def check(copy: Path) -> None:
            try:
                _, broken = examine(FileLocation(copy), machine, lines.append)
            except AnotherMachineError as error:
                found = error.found.replace(str(copy), str(store))
                raise AnotherMachineError(found, error.known) from None
            except OpsLifecycleError as error:
                raise NotSoundError(str(store), str(error).replace(str(copy), "its copy")) from None
            if broken:
                raise NotSoundError(str(store), "; ".join(lines))

        lines: list[str] = []
        back_up(store.path, target, check)
        for line in lines:
            print_line(line)
        print_line(f"backup: {target}, {target.stat().st_size} bytes")

"""`opslifecycle db`: administration of stores on a PostgreSQL server."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.stores import print_line, store_option
from opslifecycle.cli.text import one_line
from opslifecycle.inspection.locations import Location, ServerLocation


@click.group()
def db() -> None:
    """Administer a store on a PostgreSQL server."""


@db.command()
@store_option
def migrate(store: Location) -> None:
    """Create the tables of a store, or bring them up to date.

    Commands and registries of this version need the tables that it creates. Processes that do this
    at the same time wait for each other. It needs a role that may create tables in the schema.
    """
    server = _server(store)
    with told_errors():
        target = server.target()
        from opslifecycle.stores.postgres.inspection import migrate as migrate_tables

        before, after = migrate_tables(target)
        done = f"layout {before} to {after}" if before != after else f"layout {after} already"
        print_line(f"{target.name}: {done}")


@db.command()
@store_option
@click.pass_context
def status(ctx: click.Context, store: Location) -> None:
    """Print the layout of a store, its server and the processes that own registries.

    \b
    Exit status:
      0  the tables have the layout of this program
      1  they have another one, or there are none
    """
    server = _server(store)
    with told_errors():
        target = server.target()
        from opslifecycle.stores.postgres.inspection import status as status_of

        found = status_of(target)
        print_line(f"{target.name}: PostgreSQL {found.server}, layout {found.layout}")
        if not found.is_current:
            print("error: run `opslifecycle db migrate`", file=sys.stderr)
            ctx.exit(1)
        print_line(f"registries: {found.registries}")
        for name, seconds, count in found.owners:
            lease = f"lease for {seconds:.1f} s" if seconds > 0 else "lease ended"
            print_line(f"{one_line(name)}: {lease}, registries: {count}")


@db.command()
@store_option
@click.pass_context
def doctor(ctx: click.Context, store: Location) -> None:
    """Check the settings of the server, and the rows of every registry.

    The rows are those of all machines. `opslifecycle doctor` checks the invariants of operations.

    \b
    Exit status:
      0  nothing is wrong
      1  something is
    """
    server = _server(store)
    with told_errors():
        target = server.target()
        from opslifecycle.stores.postgres.inspection import problems

        found = problems(target)
        for each in found:
            print_line(one_line(each))
        print_line(f"{len(found)} problem(s)")
        ctx.exit(1 if found else 0)


@db.command("import")
@store_option
@click.argument("file", type=click.Path(path_type=Path))
def import_(store: Location, file: Path) -> None:
    """Copy the registries of a SQLite file to a server. FILE stays as it is.

    Records, feeds, cursors and epochs are the same afterwards. A registry that a process works
    with, or that the server has already, is refused; those before it stay copied.
    """
    server = _server(store)
    with told_errors():
        target = server.target()
        from opslifecycle.stores.postgres.importing import import_file

        for name, count in import_file(file, target):
            print_line(f"{one_line(name)}: {count} record(s)")


def _server(store: Location) -> ServerLocation:
    if not isinstance(store, ServerLocation):
        raise click.UsageError(f"--store: expected postgresql://…, got {str(store)!r}")
    return store

"""`opslifecycle retry`: run commands of an earlier run again."""

from __future__ import annotations

import os

import click
from opslifecycle import OperationStatus
from opslifecycle.cli.batches.command_file import NotStoredError, StoredCommands, read_commands
from opslifecycle.cli.batches.model import Batch
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.ids import IdType
from opslifecycle.cli.limits import (
    grace_option,
    log_bytes_option,
    max_concurrent_option,
    patience_option,
)
from opslifecycle.cli.running.execution import RunOptions
from opslifecycle.cli.runs import run_named
from opslifecycle.cli.starting import start
from opslifecycle.cli.stores import print_line, store_option
from opslifecycle.cli.text import one_line
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.machines import INTERRUPTED
from opslifecycle.inspection.records import Found, operations, reader, resolve


@click.command()
@store_option
@click.argument("ids", type=IdType(), nargs=-1)
@click.option("--run", "name", help="The run; its name may be shortened. [default: the latest]")
@max_concurrent_option
@grace_option
@patience_option
@log_bytes_option
@click.option("-d", "--detach", is_flag=True, help="Go on in a process without a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print each end as a line of JSON.")
@click.pass_context
def retry(
    ctx: click.Context,
    store: Location,
    ids: tuple[str, ...],
    name: str | None,
    max_concurrent: int | None,
    grace_seconds: float,
    store_patience: float,
    log_bytes_max: int,
    detach: bool,
    as_json: bool,
) -> None:
    """Run commands of an earlier run again, as a new run.

    Without IDS, these are the commands of a run that has ended of which the last attempt did not
    complete. IDS are operations of one run that have ended, however they did; they may be
    shortened.

    A command has the arguments, the folder, the variables, the input, the limits and the attempts
    that it had. It waits only for commands that are run again with it. Variables that neither the
    batch file nor its env_file set are those of this process.

    The exit status is that of `opslifecycle run`.
    """
    if ids and name is not None:
        raise click.UsageError("ids and --run: give one of them")
    with told_errors():
        run, batch = _chosen(store, ids, name)
        if not batch.commands:
            print_line(f"{one_line(run)}: every command has completed")
            return
    at_once = max_concurrent or batch.max_concurrent or os.cpu_count() or 1
    options = RunOptions(store, at_once, grace_seconds, store_patience, log_bytes_max)
    ctx.exit(start(batch, options, detach=detach, as_json=as_json))


def _chosen(store: Location, ids: tuple[str, ...], name: str | None) -> tuple[str, Batch]:
    """Return the name of the earlier run, and the commands that are run again."""
    source = reader(store)
    if ids:
        found = operations(source.all())
        chosen = [resolve(found, id) for id in ids]
        runs = {each.registry for each in chosen}
        if len(runs) > 1:
            raise click.UsageError(f"the operations are of {len(runs)} runs: retry one at a time")
        (run,) = runs
        stored = read_commands(store.beside, run)
        return run, stored.only({_name_of(stored, run, each) for each in chosen})
    run = run_named(source.names(), name)
    registry = source.registry(run)
    if registry.holder is not None:
        raise click.UsageError(f"{run} goes on: wait for its end, or give ids that have ended")
    stored = read_commands(store.beside, run)
    statuses = {each.id: each.status for each in operations([registry])}
    completed = OperationStatus.COMPLETED.value
    return run, stored.only(
        {each for each, tries in stored.attempts.items() if statuses.get(tries[-1]) != completed}
    )


def _name_of(stored: StoredCommands, run: str, operation: Found) -> str:
    if not operation.ended and operation.status != INTERRUPTED:
        message = (
            f"{one_line(operation.name)} is {operation.status}: wait for its end, or cancel it"
        )
        raise click.UsageError(message)
    command = stored.name_of(operation.id)
    if command is None:
        raise NotStoredError(run, f"the command of {operation.id} is not among them")
    return command

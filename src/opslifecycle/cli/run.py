"""`opslifecycle run`: run a batch of commands, or one, as operations."""

from __future__ import annotations

import os
from pathlib import Path

import click
from opslifecycle.cli.batches.model import Batch, InvalidBatchError, command_of
from opslifecycle.cli.batches.reading import read_batch
from opslifecycle.cli.limits import (
    grace_option,
    log_bytes_option,
    max_concurrent_option,
    patience_option,
)
from opslifecycle.cli.running.execution import RunOptions
from opslifecycle.cli.starting import start
from opslifecycle.cli.stores import store_option
from opslifecycle.inspection.locations import Location


class _RunCommand(click.Command):
    """A command that takes the words after `--` as one command to run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            place = args.index("--")
            ctx.meta["words"] = tuple(args[place + 1 :])
            args = args[:place]
        return super().parse_args(ctx, args)


@click.command(cls=_RunCommand, options_metavar="[OPTIONS] [BATCH.yaml] [-- COMMAND ARG…]")
@click.argument("batch", required=False, type=click.Path(path_type=Path), metavar="")
@max_concurrent_option
@grace_option
@patience_option
@log_bytes_option
@click.option(
    "--stdin",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The standard input of the one command: a file, or - for that of this process.",
)
@click.option("-d", "--detach", is_flag=True, help="Go on in a process without a terminal.")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print each end as a line of JSON.")
@click.pass_context
def run(
    ctx: click.Context,
    batch: Path | None,
    max_concurrent: int | None,
    grace_seconds: float,
    store_patience: float,
    log_bytes_max: int,
    stdin: Path | None,
    detach: bool,
    store: Location,
    as_json: bool,
) -> None:
    """Run the commands of a batch file, or one command, and show their progress.

    \b
    Exit status:
      0    every command completed
      1    one did not
      2    an error in the arguments or the batch file, or an unusable store
      3    the store could not be written for --store-patience seconds: the commands
           were ended, and what is not recorded is printed
      130  Ctrl-C (128 + the number of the signal, in general)

    Every process that a command has started ends with it. If the reader of the output goes away,
    the commands continue.
    """
    words: tuple[str, ...] | None = ctx.meta.get("words")
    if (batch is None) == (words is None) or words == ():
        raise click.UsageError("nothing to run: pass a batch file, or -- and a command")
    if batch is not None and stdin is not None:
        raise click.UsageError("--stdin is for one command: write stdin_file into the batch file")
    if detach and stdin == Path("-"):
        raise click.UsageError("--stdin - and --detach: a detached run has no input; name a file")
    try:
        asked = Batch((command_of(words or (), stdin),)) if batch is None else read_batch(batch)
    except InvalidBatchError as error:
        click.echo(f"error: {error}", err=True)
        ctx.exit(2)
    at_once = max_concurrent or asked.max_concurrent or os.cpu_count() or 1
    options = RunOptions(store, at_once, grace_seconds, store_patience, log_bytes_max)
    ctx.exit(start(asked, options, detach=detach, as_json=as_json))

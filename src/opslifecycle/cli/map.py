"""`opslifecycle map`: run a command for each of many values."""

from __future__ import annotations

import os
import sys

import click
from opslifecycle.cli.batches.model import Batch, Retry
from opslifecycle.cli.batches.templates import commands_of
from opslifecycle.cli.failing import reason_of
from opslifecycle.cli.limits import (
    grace_option,
    log_bytes_option,
    max_concurrent_option,
    patience_option,
)
from opslifecycle.cli.output import Output
from opslifecycle.cli.outputs import Outputs
from opslifecycle.cli.running.execution import RunOptions
from opslifecycle.cli.session import Session, new_name
from opslifecycle.cli.stores import store_option
from opslifecycle.inspection.locations import Location


@click.command(options_metavar="[OPTIONS]")
@click.argument("template")
@click.argument("values", nargs=-1)
@max_concurrent_option
@click.option("-k", "--keep-order", is_flag=True, help="Print outputs in the order of the values.")
@click.option("--fail-fast", is_flag=True, help="Cancel the others after the first failure.")
@click.option("--timeout-seconds", type=click.FloatRange(0, min_open=True), help="For each try.")
@click.option(
    "--attempts", type=click.IntRange(1, 1000), default=1, help="How often a failure is tried."
)
@grace_option
@patience_option
@log_bytes_option
@store_option
@click.pass_context
def map(  # noqa: A001 - the group finds it by its name
    ctx: click.Context,
    template: str,
    values: tuple[str, ...],
    max_concurrent: int | None,
    keep_order: bool,
    fail_fast: bool,
    timeout_seconds: float | None,
    attempts: int,
    grace_seconds: float,
    store_patience: float,
    log_bytes_max: int,
    store: Location,
) -> None:
    """Run a command of the shell for each value, and print its output when it has ended.

    Without values, each line of standard input is one. What stands in the template is replaced by
    the value, quoted for the shell; without any of these, the value is the last word:

    \b
      {}    the value               {.}   without its extension
      {/}   without its folder      {/.}  without both
      {//}  its folder              {#}   its number, from 1

    The exit status is that of `opslifecycle run`.
    """
    try:
        given = values or tuple(os.fsdecode(line.rstrip(b"\n")) for line in sys.stdin.buffer)
    except OSError as error:
        raise click.UsageError(f"standard input: {reason_of(error)}") from error
    if not given:
        raise click.UsageError("nothing to run: there is no value, and standard input is empty")
    commands = commands_of(template, given, timeout_seconds=timeout_seconds, retry=Retry(attempts))
    at_once = max_concurrent or os.cpu_count() or 1
    options = RunOptions(store, at_once, grace_seconds, store_patience, log_bytes_max)
    output, errors = Output(sys.stdout), Output(sys.stderr)
    display = Outputs(store, output, errors, keep_order=keep_order)
    batch = Batch(tuple(commands), fail_fast=fail_fast)
    ctx.exit(Session(new_name(), batch, options, display, output, errors).status())

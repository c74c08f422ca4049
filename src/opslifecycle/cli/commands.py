"""The commands of `opslifecycle`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from opslifecycle import (
    DEFAULT_MAX_COMPLETED,
    AsyncRegistry,
    CompletionFeed,
    OperationStatus,
    RunId,
    SqliteStore,
    Store,
)
from opslifecycle import unstructure as to_json
from opslifecycle.cli.batch import Batch, InvalidBatchError, command_of, read_batch
from opslifecycle.cli.display import Display, Lines, LiveTable, Silence
from opslifecycle.cli.runner import Runner
from opslifecycle.cli.stores import DEFAULT_STORE, prepared, told_errors
from rich.console import Console

_REFRESH_SECONDS = 0.1
_CONCURRENT_MAX = 1000


class _RunCommand(click.Command):
    """Takes everything after `--` as one command, word by word."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            place = args.index("--")
            ctx.meta["words"] = tuple(args[place + 1 :])
            args = args[:place]
        return super().parse_args(ctx, args)


_store_option = click.option(
    "--store",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_STORE,
    envvar="OPSLIFECYCLE_STORE",
    show_default=True,
    show_envvar=True,
    help="Where operations are kept.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("opslifecycle"))
def cli() -> None:
    """Long-running operations: run them, and see how they stand."""


@cli.command(cls=_RunCommand, options_metavar="[OPTIONS] [BATCH.yaml] [-- COMMAND ARG…]")
@click.argument("batch", required=False, type=click.Path(path_type=Path), metavar="")
@click.option(
    "--max-concurrent",
    type=click.IntRange(1, _CONCURRENT_MAX),
    help="How many commands run at once; the others wait. [default: the number of cores]",
)
@click.option(
    "--grace-seconds",
    type=click.FloatRange(0, 3600),
    default=5.0,
    show_default=True,
    help="How long a command that is to end may take before it is ended by force.",
)
@_store_option
@click.option("--json", "as_json", is_flag=True, help="Write each end as a line of JSON.")
@click.pass_context
def run(
    ctx: click.Context,
    batch: Path | None,
    max_concurrent: int | None,
    grace_seconds: float,
    store: Path,
    as_json: bool,
) -> None:
    """Run the commands of a batch file, or one command, and show how they stand.

    Exits with 0 only if all completed, with 1 if one did not, with 2 for a mistake in what was
    asked, and with 130 after Ctrl-C. Whatever a command has started ends with it.
    """
    words: tuple[str, ...] | None = ctx.meta.get("words")
    if (batch is None) == (words is None) or words == ():
        raise click.UsageError("say what to run: a batch file, or -- and a command")
    try:
        asked = read_batch(batch) if batch is not None else Batch((command_of(words or ()),))
    except InvalidBatchError as error:
        click.echo(f"error: {error}", err=True)
        ctx.exit(2)
    at_once = max_concurrent or asked.max_concurrent or os.cpu_count() or 1
    with _quiet_broken_pipe(), told_errors():
        kept = SqliteStore(prepared(store), registry=f"run {RunId.new()}")
        ctx.exit(asyncio.run(_run(asked, kept, at_once, grace_seconds, as_json)))


def _display(as_json: bool) -> Display:
    if as_json:
        return Silence()
    console = Console(highlight=False)
    return LiveTable(console) if console.is_terminal else Lines(console)


async def _run(
    batch: Batch, store: Store, max_concurrent: int, grace_seconds: float, as_json: bool
) -> int:
    count = len(batch.commands)
    display = _display(as_json)
    retained = max(DEFAULT_MAX_COMPLETED, count)
    async with AsyncRegistry(max_completed=retained, store=store) as registry:
        runner = Runner(registry, batch.commands, grace_seconds)
        showing = asyncio.create_task(_show(runner, display))
        printing = asyncio.create_task(_print_feed(registry.completion_feed(), count, as_json))
        try:
            await runner.run(min(max_concurrent, count))
            await printing
        finally:
            showing.cancel()
            snapshots = runner.snapshots()
            display.finish(snapshots)
    if runner.interrupted is not None:
        return 128 + runner.interrupted
    completed = all(each.status is OperationStatus.COMPLETED for each in snapshots)
    return 0 if completed else 1


async def _show(runner: Runner, display: Display) -> None:
    while True:
        display.refresh(runner.snapshots())
        await asyncio.sleep(_REFRESH_SECONDS)


async def _print_feed(feed: CompletionFeed[Any, Any], count: int, as_json: bool) -> None:
    entries = feed.subscribe()
    for _ in range(count):
        entry = await anext(entries)
        if as_json:
            print(json.dumps(to_json(entry), ensure_ascii=False), flush=True)


@contextlib.contextmanager
def _quiet_broken_pipe() -> Iterator[None]:
    """End without a traceback when the reader of our output has gone."""
    try:
        yield
    except BrokenPipeError:
        # What is still buffered would fail again when the interpreter closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)

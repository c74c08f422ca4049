"""The commands of `opslifecycle`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
import click
from opslifecycle import (
    DEFAULT_MAX_COMPLETED,
    AsyncRegistry,
    CompletionFeed,
    OperationId,
    OperationStatus,
    PersistenceError,
    RunId,
    SqliteStore,
)
from opslifecycle import unstructure as to_json
from opslifecycle.cli.batch import Batch, InvalidBatchError, command_of, read_batch
from opslifecycle.cli.display import Display, Lines, LiveTable, Silence
from opslifecycle.cli.looking import cancel, collect, doctor, ls, show, tail, wait
from opslifecycle.cli.runner import Runner
from opslifecycle.cli.stores import prepared, store_option, told_errors
from opslifecycle.stores.sqlite.inbox import Inbox
from rich.console import Console

_REFRESH_SECONDS = 0.1
_DRAIN_SECONDS = 0.3
_CONCURRENT_MAX = 1000


@attrs.frozen
class Place:
    """Where a run is kept."""

    path: Path
    registry: str


class _RunCommand(click.Command):
    """Takes everything after `--` as one command, word by word."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            place = args.index("--")
            ctx.meta["words"] = tuple(args[place + 1 :])
            args = args[:place]
        return super().parse_args(ctx, args)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("opslifecycle"))
def cli() -> None:
    """Long-running operations: run them, and see how they stand."""


for command in (ls, show, tail, wait, cancel, collect, doctor):
    cli.add_command(command)


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
@store_option
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
    with told_errors():
        name = f"run {RunId.new()}"
        place = Place(prepared(store), name)
        ctx.exit(asyncio.run(_run(asked, place, at_once, grace_seconds, as_json)))


def _display(as_json: bool) -> Display:
    if as_json:
        return Silence()
    console = Console(highlight=False)
    return LiveTable(console) if console.is_terminal else Lines(console)


async def _run(
    batch: Batch, place: Place, max_concurrent: int, grace_seconds: float, as_json: bool
) -> int:
    count = len(batch.commands)
    display = _display(as_json)
    retained = max(DEFAULT_MAX_COMPLETED, count)
    store = SqliteStore(place.path, registry=place.registry)
    async with AsyncRegistry(max_completed=retained, store=store) as registry:
        runner = Runner(registry, batch.commands, grace_seconds)
        showing = asyncio.create_task(_show(runner, display))
        drained = asyncio.create_task(_drain(runner, place))
        printing = asyncio.create_task(_print_feed(registry.completion_feed(), count, as_json))
        try:
            await runner.run(min(max_concurrent, count))
            await printing
        finally:
            showing.cancel()
            drained.cancel()
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


async def _drain(runner: Runner, place: Place) -> None:
    """Carry out what other processes have asked for."""
    inbox = Inbox(place.path)
    while True:
        with contextlib.suppress(PersistenceError):
            for id, reason in await asyncio.to_thread(inbox.take, place.registry):
                runner.cancel(OperationId(id), reason)
        await asyncio.sleep(_DRAIN_SECONDS)


async def _print_feed(feed: CompletionFeed[Any, Any], count: int, as_json: bool) -> None:
    entries = feed.subscribe()
    for _ in range(count):
        entry = await anext(entries)
        if as_json:
            print(json.dumps(to_json(entry), ensure_ascii=False), flush=True)

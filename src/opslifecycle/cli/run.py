"""`opslifecycle run`: run a batch of commands, or one, as operations."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import click
from opslifecycle import (
    DEFAULT_MAX_COMPLETED,
    AsyncRegistry,
    CompletionEntry,
    CompletionFeed,
    OperationId,
    PersistenceError,
    RunId,
    RuntimeEpochId,
)
from opslifecycle import unstructure as to_json
from opslifecycle.cli.batches.model import Batch, InvalidBatchError, command_of
from opslifecycle.cli.batches.reading import read_batch
from opslifecycle.cli.display import Display, Lines, LiveTable, Silence
from opslifecycle.cli.locations import Location
from opslifecycle.cli.output import Output
from opslifecycle.cli.running.execution import RunOptions
from opslifecycle.cli.running.logs import DEFAULT_LOG_BYTES_MAX
from opslifecycle.cli.running.recorder import NotRecordedError
from opslifecycle.cli.running.runner import Runner
from opslifecycle.cli.running.signals import Signals
from opslifecycle.cli.stores import store_option, told_errors
from opslifecycle.cli.text import json_line
from rich.console import Console

_REFRESH_SECONDS = 0.1
_INBOX_SECONDS = 0.3
_UNREAD_SECONDS = 2.0
_CONCURRENT_MAX = 1000
EXIT_FAILED, EXIT_NOT_RECORDED = 1, 3


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
    help="Seconds from SIGTERM to SIGKILL for a command that is stopped.",
)
@click.option(
    "--store-patience",
    type=click.FloatRange(0),
    default=300.0,
    show_default=True,
    help="Seconds to continue while the store cannot be written.",
)
@click.option(
    "--log-bytes-max",
    type=click.IntRange(1024),
    default=DEFAULT_LOG_BYTES_MAX,
    show_default=True,
    help="Bytes that the log of each output holds; the oldest are dropped.",
)
@click.option(
    "--stdin",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The standard input of the one command: a file, or - for that of this process.",
)
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
    try:
        asked = Batch((command_of(words or (), stdin),)) if batch is None else read_batch(batch)
    except InvalidBatchError as error:
        click.echo(f"error: {error}", err=True)
        ctx.exit(2)
    at_once = max_concurrent or asked.max_concurrent or os.cpu_count() or 1
    options = RunOptions(
        store, min(at_once, len(asked.commands)), grace_seconds, store_patience, log_bytes_max
    )
    with told_errors():
        store.prepare()
        session = Session(asked, options, as_json)
        status = asyncio.run(session.run())
        ctx.exit(session.leave(status))


class Session:
    """One run, with its store, its runner and its output."""

    def __init__(self, batch: Batch, options: RunOptions, as_json: bool) -> None:
        self._batch = batch
        self._options = options
        self._as_json = as_json
        self._name = f"run {RunId.new()}"
        self._output = Output(sys.stdout)
        self._display = self._display_for(as_json)
        self._printed_through = 0

    async def run(self) -> int:
        """Run the batch and return the exit status."""
        status = EXIT_NOT_RECORDED
        attempts = sum(each.retry.attempts for each in self._batch.commands)
        retained = max(DEFAULT_MAX_COMPLETED, attempts)
        store = self._options.store.store(self._name, impatient=True)
        registry = AsyncRegistry(max_completed=retained, store=store)
        try:
            runner = Runner(registry, self._batch, self._options)
            with Signals(runner.interrupt, runner.suspend, runner.resume):
                status = await self._run(runner)
                await self._written(runner)
        finally:
            status = await self._closed(registry, status)
        return status

    async def _closed(self, registry: AsyncRegistry, status: int) -> int:
        try:
            await registry.close()
        except PersistenceError as error:
            # Only the last report of progress can be lost, and no output depends on it.
            if status != EXIT_NOT_RECORDED:
                click.echo(f"error: {error}", err=True)
            return EXIT_NOT_RECORDED
        return status

    def leave(self, status: int) -> int:
        """Return the exit status. End the process now if no reader takes the remaining output.

        A reader that has closed the pipe does not change the status. Any other failure to write
        does, because the saved output is incomplete.
        """
        failure = self._output.failure
        if failure is not None and not isinstance(failure, BrokenPipeError):
            click.echo(f"error: standard output: {failure.strerror}", err=True)
            status = status or EXIT_FAILED
        if not self._output.is_done:
            os._exit(status)
        return status

    async def _run(self, runner: Runner) -> int:
        feed = runner.registry.completion_feed()
        beside = [
            asyncio.create_task(self._show(runner, feed)),
            asyncio.create_task(self._take_requests(runner)),
        ]
        recorded = True
        try:
            await runner.run()
        except NotRecordedError:
            recorded = False
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            self._print_entries(feed)
            self._display.finish(runner)
        if not recorded or runner.unrecorded():
            click.echo(f"error: store not writable: {runner.recorder.problem}", err=True)
            return EXIT_NOT_RECORDED
        if runner.interrupted is not None:
            return 128 + runner.interrupted
        return 0 if runner.all_completed else EXIT_FAILED

    def _display_for(self, as_json: bool) -> Display:
        if as_json:
            return Silence()
        # A pipe has no width, so no line is cut.
        console = Console(file=self._output, highlight=False)  # type: ignore[arg-type]
        return LiveTable(console) if console.is_terminal else Lines(console)

    async def _show(
        self, runner: Runner, feed: CompletionFeed[CompletionEntry, RuntimeEpochId]
    ) -> None:
        while True:
            if not self._output.is_behind:
                self._display.refresh(runner)
            self._print_entries(feed)
            await asyncio.sleep(_REFRESH_SECONDS)

    def _print_entries(self, feed: CompletionFeed[CompletionEntry, RuntimeEpochId]) -> None:
        if self._as_json and feed.watermark > self._printed_through:
            for entry in feed.list_since(self._printed_through).entries:
                self._printed_through = entry.seq
                self._output.write(f"{json_line(to_json(entry))}\n")

    async def _take_requests(self, runner: Runner) -> None:
        """Cancel the operations for which other processes have requested it."""
        take = self._options.store.take
        while True:
            with contextlib.suppress(PersistenceError):
                for id, reason in await asyncio.to_thread(take, self._name):
                    runner.cancel(OperationId(id), reason)
            await asyncio.sleep(_INBOX_SECONDS)

    async def _written(self, runner: Runner) -> None:
        """Wait until the output is read; after a signal, for a limited time."""
        await asyncio.to_thread(self._output.close, 0.0)
        unread_seconds = 0.0
        while not self._output.is_done:
            if runner.interrupted is not None:
                unread_seconds += _REFRESH_SECONDS
                if unread_seconds >= _UNREAD_SECONDS:
                    return
            await asyncio.sleep(_REFRESH_SECONDS)

"""The display of a run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from opslifecycle import (
    OperationLifecycleSnapshot,
    OperationStatus,
)
from opslifecycle import unstructure as to_json
from opslifecycle.cli.operation_table import (
    reason_of,
    shown_latest,
    shown_seconds,
    shown_status,
    table,
)
from opslifecycle.cli.output import Output
from opslifecycle.cli.running.job import Phase
from opslifecycle.cli.running.recorder import Recorder
from opslifecycle.cli.running.runner import Runner
from opslifecycle.cli.tables import print_uncut
from opslifecycle.cli.text import json_line, lines_of, one_line
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

Snapshots = Sequence[OperationLifecycleSnapshot]

#: For a longer batch, the final table has only the commands that did not complete.
_ROWS_IN_FULL_MAX = 200
_ROWS_BESIDE = 4


class Display(Protocol):
    """A display of the commands and their statuses."""

    def show_problem(self, recorder: Recorder) -> None:
        """Show why the store is not open yet, before the first call of `refresh`."""

    def leave(self) -> None:
        """Show nothing more, because nothing was started."""

    def refresh(self, runner: Runner) -> None:
        """Show the changes since the last call."""

    def finish(self, runner: Runner) -> None:
        """Show the outcome of every command."""


class Entries:
    """Prints each entry of the completion feed as a line of JSON."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._printed_through = 0

    def show_problem(self, recorder: Recorder) -> None:
        """Print nothing: this is no entry."""

    def leave(self) -> None:
        """Print nothing."""

    def refresh(self, runner: Runner) -> None:
        """Print the entries since the last call."""
        runner.events.clear()
        feed = runner.registry.completion_feed()
        if feed.watermark > self._printed_through:
            for entry in feed.list_since(self._printed_through).entries:
                self._printed_through = entry.seq
                self._output.write(f"{json_line(to_json(entry))}\n")

    def finish(self, runner: Runner) -> None:
        """Print the last entries."""
        self.refresh(runner)


class LiveTable:
    """A table that is redrawn on a terminal, with as many rows as the terminal has lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._problem: str | None = None

    def show_problem(self, recorder: Recorder) -> None:
        """Show the error of the store in place of the table."""
        if recorder.problem != self._problem:
            self._problem = recorder.problem
            self._live.start()
            self._live.update(_problem(recorder), refresh=True)

    def leave(self) -> None:
        """Remove what is shown."""
        self._live.stop()

    def refresh(self, runner: Runner) -> None:
        """Redraw the table."""
        runner.events.clear()
        self._live.start()
        rows = max(1, self._console.height - _ROWS_BESIDE)
        shown = runner.visible(rows)
        parts: list[RenderableType] = [table(shown, self._console.width)]
        if runner.counts.total() > len(shown):
            parts.append(Text(_counted(runner.counts), style="dim"))
        if runner.recorder.problem is not None:
            parts.append(_problem(runner.recorder))
        self._live.update(Group(*parts), refresh=True)

    def finish(self, runner: Runner) -> None:
        """Remove the live table, and show the outcome of every command."""
        self._live.stop()
        _finish(self._console, runner)


class Lines:
    """A line for each command that starts, one for each that ends, and the table at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._problem: str | None = None

    def show_problem(self, recorder: Recorder) -> None:
        """Print a line for each other error of the store."""
        if recorder.problem != self._problem:
            changed = _problem(recorder) if recorder.problem else "store writable again"
            self._print(str(changed))
            self._problem = recorder.problem

    def leave(self) -> None:
        """Print nothing: all lines are there."""

    def refresh(self, runner: Runner) -> None:
        """Print one line for each event since the last call."""
        while runner.events:
            job, phase = runner.events.popleft()
            name = job.spec.display_name
            if phase is Phase.RUNNING:
                self._print(f"{'running':<10} {name}")
                continue
            if job.unrecorded:
                # Its record says that it runs; `finish` says how it ended.
                continue
            for each in runner.snapshots([job]):
                measured = shown_seconds(each) or shown_latest(each)
                self._print(f"{shown_status(each):<10} {name} ({measured})")
        self.show_problem(runner.recorder)

    def finish(self, runner: Runner) -> None:
        """Print the last events, and the outcome of every command."""
        self.refresh(runner)
        self._console.print()
        _finish(self._console, runner)

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


def display_for(output: Output) -> Display:
    """Return a table for a terminal, and lines for a pipe or a file, in which none is cut."""
    console = Console(file=output, highlight=False)  # type: ignore[arg-type]
    return LiveTable(console) if console.is_terminal else Lines(console)


def _finish(console: Console, runner: Runner) -> None:
    snapshots = runner.snapshots()
    completed = OperationStatus.COMPLETED
    shown = snapshots
    if len(snapshots) > _ROWS_IN_FULL_MAX:
        shown = [each for each in snapshots if each.status is not completed]
    if shown:
        print_uncut(console, table(shown, console.width if console.is_terminal else None))
    for each in snapshots:
        reason = reason_of(each.terminal_outcome)
        if reason:
            heading = f"\n{one_line(each.display_name)}: {each.status.value}"
            console.print(Text(heading, style="bold"), soft_wrap=True)
            for line in lines_of(reason):
                console.print(Text(f"  {line}"), soft_wrap=True)
    counts = Counter(shown_status(each) for each in snapshots)
    total = ", ".join(f"{count} {status}" for status, count in counts.items())
    counted = "1 command" if runner.commands == 1 else f"{runner.commands} commands"
    if len(snapshots) > runner.commands:
        counted += f" in {len(snapshots)} attempts"
    console.print(Text(f"\n{counted}: {total}"), soft_wrap=True)
    for name, how in runner.unrecorded():
        console.print(Text(f"not recorded: {one_line(name)}: {one_line(how)}"), soft_wrap=True)


def _counted(counts: Counter[Phase]) -> str:
    return ", ".join(f"{counts[phase]} {phase.value}" for phase in Phase)


def _problem(recorder: Recorder) -> Text:
    goes_on = "" if recorder.given_up.is_set() else "; trying again"
    return Text(f"store not writable: {recorder.problem}{goes_on}", style="red")

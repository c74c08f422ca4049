"""The display of a run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, assert_never

from opslifecycle import (
    Aborted,
    Cancelled,
    Completed,
    Failed,
    OperationLifecycleSnapshot,
    OperationStatus,
    OperationTerminalOutcome,
    Retired,
    Terminated,
)
from opslifecycle import unstructure as to_json
from opslifecycle.cli.output import Output
from opslifecycle.cli.running.job import Phase
from opslifecycle.cli.running.recorder import Recorder
from opslifecycle.cli.running.runner import Runner
from opslifecycle.cli.tables import print_uncut
from opslifecycle.cli.text import json_line, lines_of, one_line
from opslifecycle.clock import SYSTEM_CLOCK
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

Snapshots = Sequence[OperationLifecycleSnapshot]

_BAR_COLUMNS = 12
#: On a narrower terminal the table omits the latest line, or the progress.
_COLUMNS_FOR_LATEST, _COLUMNS_FOR_PROGRESS = 90, 60
#: For a longer batch, the final table has only the commands that did not complete.
_ROWS_IN_FULL_MAX = 200
_ROWS_BESIDE = 4
_STYLES = {"running": "cyan", "completed": "green", "failed": "red", "cancelled": "yellow"}


class Display(Protocol):
    """A display of the commands and their statuses."""

    def refresh(self, runner: Runner) -> None:
        """Show the changes since the last call."""

    def finish(self, runner: Runner) -> None:
        """Show the outcome of every command."""


class Entries:
    """Prints each entry of the completion feed as a line of JSON."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._printed_through = 0

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

    def refresh(self, runner: Runner) -> None:
        """Redraw the table."""
        runner.events.clear()
        if not self._live.is_started:
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
                self._print(f"{_status(each):<10} {name} ({_measured(each)})")
        problem = runner.recorder.problem
        if problem != self._problem:
            self._print(str(_problem(runner.recorder)) if problem else "store writable again")
            self._problem = problem

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


def table(snapshots: Snapshots, columns: int | None) -> Table:
    """Return the commands as a table whose rows are one line each.

    Args:
        snapshots: The operations.
        columns: The width of the terminal; None for a pipe or a file, in which no cell is cut.
    """
    cut = columns is not None
    with_latest = columns is None or columns >= _COLUMNS_FOR_LATEST
    with_progress = columns is None or columns >= _COLUMNS_FOR_PROGRESS
    grid = Table(box=None, padding=(0, 2, 0, 0), expand=cut)
    grid.add_column("status", no_wrap=True, width=10)
    grid.add_column("command", no_wrap=True, ratio=5 if cut else None, overflow="ellipsis")
    if with_progress:
        grid.add_column("progress", width=_BAR_COLUMNS)
    grid.add_column("time", justify="right", no_wrap=True, min_width=6)
    if with_latest:
        grid.add_column("latest", no_wrap=True, ratio=4 if cut else None, overflow="ellipsis")
    for each in snapshots:
        style = _STYLES.get(each.public_result_class.value, "")
        cells: list[RenderableType] = [Text(_status(each), style=style)]
        cells.append(Text(one_line(each.display_name)))
        if with_progress:
            cells.append(_bar(each))
        cells.append(_seconds(each))
        if with_latest:
            cells.append(Text(_latest(each)))
        grid.add_row(*cells)
    return grid


def reason_of(outcome: OperationTerminalOutcome | None) -> str:
    """Return why an operation did not complete; empty if it did, or is live."""
    match outcome:
        case None | Completed() | Retired():
            return ""
        case Failed(error=reason) | Terminated(reason=reason):
            return reason
        case Aborted(reason=why) | Cancelled(reason=why):
            return why or "no reason given"
        case _:
            assert_never(outcome)


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
    counts = Counter(_status(each) for each in snapshots)
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


def _status(snapshot: OperationLifecycleSnapshot) -> str:
    if snapshot.status is OperationStatus.PROVISIONING:
        return "waiting"
    if snapshot.status is OperationStatus.RETIRING:
        return "ending"
    return str(snapshot.status.value)


def _bar(snapshot: OperationLifecycleSnapshot) -> RenderableType:
    if snapshot.started_at_ms is None:
        return ""
    latest = snapshot.latest_progress
    percent = latest.percent if latest is not None else None
    if snapshot.status is OperationStatus.COMPLETED:
        percent = 100.0
    if percent is None and snapshot.terminal:
        return ""
    animated = SYSTEM_CLOCK.monotonic_ms() / 1000
    return ProgressBar(
        completed=percent or 0, pulse=percent is None, animation_time=animated, width=_BAR_COLUMNS
    )


def _latest(snapshot: OperationLifecycleSnapshot) -> str:
    reason = reason_of(snapshot.terminal_outcome)
    if reason:
        return one_line(lines_of(reason)[0])
    return one_line(snapshot.latest_progress.message) if snapshot.latest_progress else ""


def _seconds(snapshot: OperationLifecycleSnapshot) -> str:
    if snapshot.started_at_ms is None:
        return ""
    until = snapshot.completed_at_ms or SYSTEM_CLOCK.wall_ms()
    return f"{max(0, until - snapshot.started_at_ms) / 1000:.1f} s"


def _measured(snapshot: OperationLifecycleSnapshot) -> str:
    return _seconds(snapshot) or _latest(snapshot)

"""What a run looks like: a live table on a terminal, plain lines elsewhere, both from snapshots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, assert_never

from opslifecycle import (
    Aborted,
    Cancelled,
    Completed,
    Failed,
    OperationId,
    OperationLifecycleSnapshot,
    OperationStatus,
    OperationTerminalOutcome,
    Retired,
    Terminated,
)
from opslifecycle.clock import SYSTEM_CLOCK
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

Snapshots = Sequence[OperationLifecycleSnapshot]

_BAR_COLUMNS = 12
_STYLES = {"running": "cyan", "completed": "green", "failed": "red", "cancelled": "yellow"}


class Display(Protocol):
    """Shows how the commands stand."""

    def refresh(self, snapshots: Snapshots) -> None: ...
    def finish(self, snapshots: Snapshots) -> None: ...


class Silence:
    """Shows nothing, for when the feed is printed instead."""

    def refresh(self, snapshots: Snapshots) -> None: ...
    def finish(self, snapshots: Snapshots) -> None: ...


class LiveTable:
    """A table that is drawn again and again on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def refresh(self, snapshots: Snapshots) -> None:
        if not self._live.is_started:
            self._live.start()
        shown = list(snapshots)
        if len(shown) + 4 > self._console.height:
            # What does not fit is cut at the bottom: let that be what has ended, then what waits.
            shown.sort(key=lambda each: (each.terminal, each.started_at_ms is None))
        self._live.update(table(shown), refresh=True)

    def finish(self, snapshots: Snapshots) -> None:
        self._live.stop()
        self._console.print(table(snapshots))
        summarize(self._console, snapshots)


class Lines:
    """A line for each command that starts, one for each that ends, and the table at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[OperationId, bool] = {}

    def refresh(self, snapshots: Snapshots) -> None:
        for each in snapshots:
            begun = each.started_at_ms is not None
            if begun and each.id not in self._shown:
                self._shown[each.id] = False
                self._print(f"{'running':<10} {each.display_name}")
            if each.terminal and not self._shown.get(each.id, False):
                self._shown[each.id] = True
                self._print(f"{each.status.value:<10} {each.display_name} ({_measured(each)})")

    def finish(self, snapshots: Snapshots) -> None:
        self.refresh(snapshots)
        self._console.print()
        self._console.print(table(snapshots))
        summarize(self._console, snapshots)

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


def table(snapshots: Snapshots) -> Table:
    """The commands as a table."""
    grid = Table(box=None, padding=(0, 2, 0, 0), expand=True)
    grid.add_column("status", no_wrap=True, width=10)
    grid.add_column("command", no_wrap=True, ratio=5, overflow="ellipsis")
    grid.add_column("progress", width=_BAR_COLUMNS)
    grid.add_column("lines", justify="right", no_wrap=True)
    grid.add_column("time", justify="right", no_wrap=True)
    grid.add_column("latest", no_wrap=True, ratio=4, overflow="ellipsis")
    for each in snapshots:
        status = _status(each)
        grid.add_row(
            Text(status, style=_STYLES.get(each.public_result_class.value, "")),
            Text(each.display_name),
            _bar(each),
            str(each.progress_count),
            _seconds(each),
            Text(_latest(each)),
        )
    return grid


def summarize(console: Console, snapshots: Snapshots) -> None:
    """How many ended how, and why those that did not complete did not."""
    for each in snapshots:
        reason = _reason(each.terminal_outcome)
        if reason:
            console.print(Text(f"\n{each.display_name}: {each.status.value}", style="bold"))
            for line in reason.splitlines():
                console.print(Text(f"  {line}"), soft_wrap=True)
    counts = Counter(each.status.value for each in snapshots)
    total = ", ".join(f"{count} {status}" for status, count in counts.items())
    console.print(Text(f"\n{len(snapshots)} command{'s' if len(snapshots) > 1 else ''}: {total}"))


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
    reason = _reason(snapshot.terminal_outcome)
    if reason:
        return reason.splitlines()[0]
    return snapshot.latest_progress.message if snapshot.latest_progress is not None else ""


def _reason(outcome: OperationTerminalOutcome | None) -> str:
    """Why an operation did not complete; nothing if it did, or has not ended."""
    match outcome:
        case None | Completed() | Retired():
            return ""
        case Failed(error=reason) | Terminated(reason=reason):
            return reason
        case Aborted(reason=why) | Cancelled(reason=why):
            return why or "no reason given"
        case _:
            assert_never(outcome)


def _seconds(snapshot: OperationLifecycleSnapshot) -> str:
    if snapshot.started_at_ms is None:
        return ""
    until = snapshot.completed_at_ms or SYSTEM_CLOCK.wall_ms()
    return f"{max(0, until - snapshot.started_at_ms) / 1000:.1f} s"


def _measured(snapshot: OperationLifecycleSnapshot) -> str:
    seconds = _seconds(snapshot)
    lines = f"{snapshot.progress_count} line{'' if snapshot.progress_count == 1 else 's'}"
    return f"{seconds}, {lines}" if seconds else _latest(snapshot)

"""Operations as a table: for a run that shows its own, and for others that look on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

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
from opslifecycle.cli.text import lines_of, one_line
from opslifecycle.clock import SYSTEM_CLOCK
from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_BAR_COLUMNS = 12
_STATUS_COLUMNS = 10
#: On a narrower terminal the table omits the latest line, or the progress.
_COLUMNS_FOR_LATEST, _COLUMNS_FOR_PROGRESS = 90, 60
_STYLES = {"running": "cyan", "completed": "green", "failed": "red", "cancelled": "yellow"}


def shown_status(snapshot: OperationLifecycleSnapshot) -> str:
    """Return the status of an operation in the words of a run."""
    if snapshot.status is OperationStatus.PROVISIONING:
        return "waiting"
    if snapshot.status is OperationStatus.RETIRING:
        return "ending"
    return str(snapshot.status.value)


def table(
    snapshots: Sequence[OperationLifecycleSnapshot],
    columns: int | None,
    status_of: Callable[[OperationLifecycleSnapshot], str] = shown_status,
) -> Table:
    """Return the commands as a table whose rows are one line each.

    Args:
        snapshots: The operations.
        columns: The width of the terminal; None for a pipe or a file, in which no cell is cut.
        status_of: Returns what stands in the first column.
    """
    cut = columns is not None
    with_latest = columns is None or columns >= _COLUMNS_FOR_LATEST
    with_progress = columns is None or columns >= _COLUMNS_FOR_PROGRESS
    grid = Table(box=None, padding=(0, 2, 0, 0), expand=cut)
    grid.add_column("status", no_wrap=True, min_width=_STATUS_COLUMNS)
    grid.add_column("command", no_wrap=True, ratio=5 if cut else None, overflow="ellipsis")
    if with_progress:
        grid.add_column("progress", width=_BAR_COLUMNS)
    grid.add_column("time", justify="right", no_wrap=True, min_width=6)
    if with_latest:
        grid.add_column("latest", no_wrap=True, ratio=4 if cut else None, overflow="ellipsis")
    for each in snapshots:
        style = _STYLES.get(each.public_result_class.value, "")
        cells: list[RenderableType] = [Text(status_of(each), style=style)]
        cells.append(Text(one_line(each.display_name)))
        if with_progress:
            cells.append(_bar(each))
        cells.append(shown_seconds(each))
        if with_latest:
            cells.append(Text(shown_latest(each)))
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


def shown_latest(snapshot: OperationLifecycleSnapshot) -> str:
    """Return why an operation did not complete, or its latest progress, as one line."""
    reason = reason_of(snapshot.terminal_outcome)
    if reason:
        return one_line(lines_of(reason)[0])
    return one_line(snapshot.latest_progress.message) if snapshot.latest_progress else ""


def shown_seconds(snapshot: OperationLifecycleSnapshot) -> str:
    """Return how long an operation has run; empty if it has not started."""
    if snapshot.started_at_ms is None:
        return ""
    until = snapshot.completed_at_ms or SYSTEM_CLOCK.wall_ms()
    return f"{max(0, until - snapshot.started_at_ms) / 1000:.1f} s"

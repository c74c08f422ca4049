"""Tables on a terminal, in a pipe and in a file."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

_COLUMNS_MAX = 100_000


def print_uncut(console: Console, grid: Table) -> None:
    """Print a table within the width of a terminal; elsewhere as wide as its cells."""
    if not console.is_terminal:
        console.width = max(
            80, console.measure(grid, options=console.options.update(width=_COLUMNS_MAX)).maximum
        )
    console.print(grid)

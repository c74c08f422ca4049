"""Starting a run that shows its progress, here or without a terminal."""

from __future__ import annotations

import sys

from opslifecycle.cli.batches.model import Batch
from opslifecycle.cli.detaching import detached
from opslifecycle.cli.display import Entries, display_for
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.output import Output
from opslifecycle.cli.running.execution import RunOptions
from opslifecycle.cli.session import Session, new_name


def start(batch: Batch, options: RunOptions, *, detach: bool, as_json: bool) -> int:
    """Run a batch under a new name; return the exit status.

    Args:
        batch: The commands.
        options: The options of the run.
        detach: Whether to return once another process runs it.
        as_json: Whether each end is printed as a line of JSON.
    """
    name, ready = new_name(), None
    if detach:
        with told_errors():
            ready = detached(options.store, name)
        if ready is None:
            return 0
    output = Output(sys.stdout)
    display = Entries(output) if as_json else display_for(output)
    return Session(name, batch, options, display, output).status(ready)

"""What `opslifecycle map` prints: the outputs of its commands, each in one piece."""

from __future__ import annotations

import heapq

from opslifecycle.cli.operation_table import reason_of
from opslifecycle.cli.output import Output
from opslifecycle.cli.running.job import Job
from opslifecycle.cli.running.recorder import Recorder
from opslifecycle.cli.running.runner import Runner
from opslifecycle.cli.text import for_terminal, one_line
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.logs import STREAMS, LogReader


class Outputs:
    """Prints the output of each command after its end, and at the end which ones failed.

    Args:
        store: The store, beside which the outputs are.
        output: Standard output.
        errors: Standard error.
        keep_order: Whether to print them in the order of the commands.
    """

    def __init__(
        self, store: Location, output: Output, errors: Output, *, keep_order: bool
    ) -> None:
        self._store = store
        self._targets = (output, errors)
        self._keep_order = keep_order
        self._ended: list[tuple[int, Job]] = []
        self._next = 0
        self._problem: str | None = None

    def show_problem(self, recorder: Recorder) -> None:
        """Print the error of the store to standard error, once."""
        if recorder.problem != self._problem:
            self._problem = recorder.problem
            self._tell(f"store not writable: {self._problem}; trying again")

    def leave(self) -> None:
        """Print nothing: no command has an output."""

    def refresh(self, runner: Runner) -> None:
        """Print the outputs of the commands that have ended since the last call."""
        runner.events.clear()
        while runner.ended:
            job = runner.ended.popleft()
            if not self._keep_order:
                self._print(job)
                continue
            heapq.heappush(self._ended, (runner.place_of(job), job))
        while self._ended and self._ended[0][0] == self._next:
            self._print(heapq.heappop(self._ended)[1])
            self._next += 1

    def finish(self, runner: Runner) -> None:
        """Print the remaining outputs, and what failed."""
        self.refresh(runner)
        failed = 0
        for each in runner.snapshots(runner.last_attempts()):
            reason = reason_of(each.terminal_outcome)
            if reason:
                failed += 1
                first = one_line(reason.splitlines()[0])
                self._tell(f"{one_line(each.display_name)}: {each.status.value}: {first}")
        for name, how in runner.unrecorded():
            self._tell(f"not recorded: {one_line(name)}: {one_line(how)}")
        if failed:
            self._tell(f"{failed} of {runner.commands} commands did not complete")

    def _print(self, job: Job) -> None:
        for stream, target in zip(STREAMS, self._targets, strict=True):
            log = LogReader(self._store.beside, str(job.id), stream)
            target.write_pieces(map(for_terminal, log.read()) if target.isatty() else log.read())

    def _tell(self, line: str) -> None:
        self._targets[1].write(f"{line}\n")

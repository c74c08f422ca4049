"""The jobs of a run that have not started, and when each may."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Iterator

from opslifecycle.cli.batches.model import When
from opslifecycle.cli.running.job import Job


class Line:
    """Gives the jobs out in the order of the batch, each after the commands that it needs.

    Args:
        commands: The number of commands in the batch. `next` ends when all of them have ended.
    """

    def __init__(self, commands: int) -> None:
        self._unended = commands
        self._ready: deque[Job] = deque()
        #: The jobs that wait for other commands, with the names of these.
        self._held: dict[Job, set[str]] = {}
        self._dependents: dict[str, list[Job]] = {}
        self._completed: dict[str, bool] = {}
        #: Further attempts, with the times at which they may start.
        self._later: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._closed = False
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[Job]:
        """Iterate over the jobs that wait, the next ones first."""
        return itertools.chain(self._ready, (job for _, _, job in self._later), self._held)

    @property
    def all_completed(self) -> bool:
        """Whether every command has ended and has completed."""
        return not self._unended and all(self._completed.values())

    def add(self, jobs: Iterable[Job]) -> list[tuple[Job, str]]:
        """Add the first attempts of commands.

        Returns:
            The jobs that cannot start any more, each with the command that did not complete.
        """
        lost = []
        for job in jobs:
            failed = [each for each in job.command.needs if self._completed.get(each) is False]
            left = {each for each in job.command.needs if each not in self._completed}
            if failed and job.command.when is When.SUCCESS:
                lost.append((job, min(failed)))
            elif left:
                self._held[job] = left
                for need in left:
                    self._dependents.setdefault(need, []).append(job)
            else:
                self._ready.append(job)
        self._wake()
        return lost

    def add_later(self, job: Job, seconds: float) -> None:
        """Add a further attempt, which may start after a pause."""
        due = asyncio.get_running_loop().time() + seconds
        heapq.heappush(self._later, (due, next(self._numbers), job))
        self._wake()

    async def next(self) -> Job | None:
        """Wait for a job that may start; None when no command is left, or the line is closed."""
        loop = asyncio.get_running_loop()
        while not self._closed and self._unended:
            while self._later and self._later[0][0] <= loop.time():
                self._ready.append(heapq.heappop(self._later)[2])
            if self._ready:
                return self._ready.popleft()
            due = self._later[0][0] if self._later else None
            try:
                async with asyncio.timeout_at(due):
                    await self._changed.wait()
            except TimeoutError:
                # The attempt that is due is ready now.
                continue
        return None

    def end(self, command: str, completed: bool) -> list[tuple[Job, str]]:
        """Note the last end of a command; return what `add` does."""
        self._unended -= 1
        self._completed[command] = completed
        lost = []
        for job in self._dependents.pop(command, ()):
            left = self._held.get(job)
            if left is None:
                # It was taken out of the line.
                continue
            left.discard(command)
            if not completed and job.command.when is When.SUCCESS:
                del self._held[job]
                lost.append((job, command))
            elif not left:
                del self._held[job]
                self._ready.append(job)
        self._wake()
        return lost

    def take_stopped(self) -> list[Job]:
        """Take the jobs out of the line whose end was requested."""
        stopped = [job for job in self if job.stopped]
        if stopped:
            self._ready = deque(job for job in self._ready if not job.stopped)
            self._later = [each for each in self._later if not each[2].stopped]
            heapq.heapify(self._later)
            for job in stopped:
                self._held.pop(job, None)
        return stopped

    def close(self) -> None:
        """Give no more jobs out."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

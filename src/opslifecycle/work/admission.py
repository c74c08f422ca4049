"""The limited number of places to run, and the jobs that wait for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import copy_context

from opslifecycle.work.job import Job
from opslifecycle.work.queue import FairQueue


class Admission:
    """A number of places, and the queue for them.

    After an interrupt in one of the other methods, `renew` must be called.

    Args:
        places_max: How many jobs have a place at once; None for no limit.
        begin: Called with each job that receives a place.
    """

    def __init__(self, places_max: int | None, begin: Callable[[Job], None]) -> None:
        self._places_max = places_max
        self._begin = begin
        self._queue: FairQueue[Job] = FairQueue()
        self._placed: set[Job] = set()

    def __len__(self) -> int:
        """The number of jobs that wait or have a place."""
        return len(self._placed) + len(self._queue)

    def renew(self, waiting: Iterable[Job], begun: Iterable[Job]) -> None:
        """Replace the queue and the places, which an interrupt may have left inconsistent.

        Args:
            waiting: The jobs that are to wait for a place, in their order.
            begun: The others that have not ended. Those that have a place keep it.
        """
        queue: FairQueue[Job] = FairQueue()
        for job in waiting:
            job.context = job.context or copy_context()
            queue.add(job)
        self._queue = queue
        self._placed.intersection_update(begun)
        self._fill()

    def add(self, job: Job) -> None:
        """Queue a job for a place. It receives a free one at once."""
        if self._has_room() and not self._queue:
            self._give(job)
        else:
            # The task of another job creates that of this one.
            job.context = copy_context()
            self._queue.add(job)
            self._fill()

    def withdraw(self, job: Job) -> bool:
        """Remove a job from the queue; return False if it was not in it."""
        return self._queue.remove(job)

    def free(self, job: Job) -> None:
        """Release the place of a job that has ended, if it has one, to the next in the queue."""
        self._placed.discard(job)
        if self._queue:
            self._fill()

    def _fill(self) -> None:
        while self._queue and self._has_room():
            job = self._queue.take()
            assert job is not None
            self._give(job)

    def _has_room(self) -> bool:
        return self._places_max is None or len(self._placed) < self._places_max

    def _give(self, job: Job) -> None:
        self._placed.add(job)
        self._begin(job)

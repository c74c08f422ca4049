"""The queue of waiting work: by priority, and among equals in turn for each owner."""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar


class Queued(Protocol):
    """The properties of work that the queue reads."""

    @property
    def priority(self) -> int:
        """The priority; work with a higher one starts first."""

    @property
    def owner(self) -> Hashable:
        """The owner of the work."""


JobT = TypeVar("JobT", bound=Queued)


class FairQueue(Generic[JobT]):
    """Jobs of the highest priority first; among them one of each owner in turn, oldest first."""

    def __init__(self) -> None:
        # OrderedDict, because it finds its first key at constant cost however many were removed.
        self._owners: dict[int, OrderedDict[Hashable, OrderedDict[JobT, None]]] = {}
        # The priorities in use, the highest last.
        self._priorities: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, job: JobT) -> None:
        """Add a job behind the others of its owner and priority."""
        owners = self._owners.get(job.priority)
        if owners is None:
            owners = self._owners[job.priority] = OrderedDict()
            insort(self._priorities, job.priority)
        owners.setdefault(job.owner, OrderedDict())[job] = None
        self._count += 1

    def remove(self, job: JobT) -> bool:
        """Remove a job; return False if it was not in the queue."""
        owners = self._owners.get(job.priority, OrderedDict())
        jobs = owners.get(job.owner)
        if jobs is None or job not in jobs:
            return False
        self._take(job, jobs, owners)
        return True

    def take(self) -> JobT | None:
        """Remove and return the next job; None if the queue is empty."""
        if not self._priorities:
            return None
        owners = self._owners[self._priorities[-1]]
        owner, jobs = next(iter(owners.items()))
        job = next(iter(jobs))
        owners.move_to_end(owner)
        self._take(job, jobs, owners)
        return job

    def _take(
        self,
        job: JobT,
        jobs: OrderedDict[JobT, None],
        owners: OrderedDict[Hashable, OrderedDict[JobT, None]],
    ) -> None:
        self._count -= 1
        del jobs[job]
        if not jobs:
            del owners[job.owner]
        if not owners:
            del self._owners[job.priority]
            self._priorities.remove(job.priority)

"""The queue of work that waits for its turn: by priority, then in turn for each owner."""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar


class Queued(Protocol):
    """Work that waits, as the queue sees it."""

    @property
    def priority(self) -> int:
        """A higher one comes first."""

    @property
    def owner(self) -> Hashable:
        """Whose work it is."""


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
        """Add a job behind those of its owner and priority."""
        owners = self._owners.get(job.priority)
        if owners is None:
            owners = self._owners[job.priority] = OrderedDict()
            insort(self._priorities, job.priority)
        owners.setdefault(job.owner, OrderedDict())[job] = None
        self._count += 1

    def remove(self, job: JobT) -> bool:
        """Remove a job; return whether it was waiting."""
        owners = self._owners.get(job.priority, OrderedDict())
        jobs = owners.get(job.owner)
        if jobs is None or job not in jobs:
            return False
        self._take(job, jobs, owners)
        return True

    def take(self) -> JobT | None:
        """Remove and return the job whose turn it is; None if no job waits."""
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

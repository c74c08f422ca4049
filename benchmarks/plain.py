"""A plain registry: what somebody writes who needs no more than the bare lifecycle.

A dict of slotted records, a lock, a transition table, a future for who waits, a list as the feed.
No retention, no barriers, no rejections with facts, no views, no invariants.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from opslifecycle import OperationId

_NEXT = {
    ("provisioning", "start"): "running",
    ("running", "complete"): "completed",
    ("running", "fail"): "failed",
}


class Record:
    """One operation."""

    __slots__ = ("future", "id", "outcome", "sequence", "spec", "status")

    def __init__(self, id: OperationId, spec: Any) -> None:
        self.id = id
        self.spec = spec
        self.status = "provisioning"
        self.outcome: Any = None
        self.sequence: int | None = None
        self.future: asyncio.Future[Any] | None = None


class Plain:
    """The lifecycle, and nothing else."""

    def __init__(self) -> None:
        self.records: dict[OperationId, Record] = {}
        self.feed: list[Record] = []
        self.lock = threading.Lock()
        self.sequence = 0

    def register(self, id: OperationId, spec: Any) -> None:
        with self.lock:
            if id in self.records:
                raise ValueError(id)
            self.records[id] = Record(id, spec)

    def start(self, id: OperationId) -> None:
        with self.lock:
            record = self.records[id]
            record.status = _NEXT[record.status, "start"]

    def complete(self, id: OperationId, outcome: Any) -> None:
        with self.lock:
            record = self.records[id]
            record.status = _NEXT[record.status, "complete"]
            record.outcome = outcome
            self.sequence += 1
            record.sequence = self.sequence
            self.feed.append(record)
            future = record.future
        if future is not None:
            future.set_result(outcome)

    def watch(self, id: OperationId) -> asyncio.Future[Any]:
        with self.lock:
            record = self.records[id]
            if record.future is None:
                record.future = asyncio.get_running_loop().create_future()
                if record.outcome is not None:
                    record.future.set_result(record.outcome)
            return record.future

"""A store that can be held, and what the tests of stores have in common."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

from opslifecycle import (
    AsyncRegistry,
    CompletionCursorConsumer,
    OperationId,
    OperationLifecycleSnapshot,
    Registry,
    Store,
)
from opslifecycle.shell.commits import Committer
from opslifecycle.shell.group_commit import GroupCommit
from opslifecycle.stores.base import Commit, StoreContents
from opslifecycle.stores.schema_version import SchemaVersion

from opslifecycle.operations.authority import OperationRecord

AGENT = CompletionCursorConsumer.AGENT_APPLIED
REASON = "the process that owned this operation ended before it did"
#: Makes a store on what the last one has kept.
MakeStore = Callable[[], Store]


class Gate(Store):
    """A store whose commits can be held, counted and made to fail."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.open_gate = threading.Event()
        self.open_gate.set()
        self.waiting = threading.Event()
        self.commits: list[Commit] = []
        self.fails: BaseException | None = None

    def open(self, schema: SchemaVersion) -> StoreContents:
        return self._inner.open(schema)

    def append(self, commit: Commit) -> None:
        self.waiting.set()
        assert self.open_gate.wait(30)
        if self.fails is not None:
            raise self.fails
        self._inner.append(commit)
        self.commits.append(commit)

    def close(self) -> None:
        self._inner.close()

    def hold(self) -> None:
        self.waiting.clear()
        self.open_gate.clear()


def statuses(commit: Commit) -> list[str]:
    """The statuses of the records in a commit."""
    return [json.loads(body)["status"] for _, _, body in commit.writes]


def snapshot(registry: Registry, id: OperationId) -> OperationLifecycleSnapshot:
    found = registry.snapshot(id)
    assert found is not None
    return found


def committer_of(registry: Registry | AsyncRegistry) -> Committer[OperationId, OperationRecord]:
    """The committer of a registry with a store."""
    executor = registry._executor
    assert isinstance(executor, GroupCommit)
    return executor._committer

"""The public calls of the project, computed, and those that an examination makes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from types import CodeType
from typing import Any

import attrs
import opslifecycle
import opslifecycle.work
from opslifecycle import PostgresStore
from opslifecycle.cluster import Cluster

from tests.support.interrupts.effects import approval
from tests.support.interrupts.injecting import OURS
from tests.support.interrupts.renting import rental

#: Methods that Python calls in the name of a caller.
_SPECIAL = {"__aenter__", "__aexit__", "__anext__", "__enter__", "__exit__", "__iter__", "__next__"}

_WORK = "work calls it, and what is raised in work ends that work"
_SERVER = "it needs a server: `test_server.py` interrupts what calls it"
_ATTACHING = "registries call it when they are opened"
_COMMITTER = "the committer's thread alone calls it, between commits"
_READER = "readers and `doctor` call it, of a store that they do not own"
_SAME = "it is the method of a Registry, which is interrupted"

#: Public calls that no examination makes: the beginning of their names, and why.
NOT_EXAMINED = {
    "ApprovalRegistry.open": _SAME,
    "ApprovalRegistry.restore": _SAME,
    "AsyncRegistry.open": "a thread opens the registry; `open` of a Registry is interrupted",
    "Cluster.": _SERVER,
    "CurrentOperation.": _WORK,
    "ManualClock.attach": _ATTACHING,
    "FrozenDict.": "a value that never changes",
    "MemoryStore.check_archive": _READER,
    "MemoryStore.heartbeat": _COMMITTER,
    "MemoryStore.put_back": _COMMITTER,
    "MemoryStore.reading": "a store in memory has no readers",
    "PostgresStore.": _SERVER,
    "RentalRegistry.open": _SAME,
    "RentalRegistry.restore": _SAME,
    "SqliteStore.check_archive": _READER,
    "SqliteStore.heartbeat": _COMMITTER,
    "SqliteStore.reading": "the constructor of a Reader calls it, and it reads nothing",
}


def public_classes() -> Iterator[type[Any]]:
    """Yield the public classes that have calls: no values, errors, closed sets or interfaces."""
    own = [*opslifecycle.__all__, *opslifecycle.work.__all__]
    modules = (opslifecycle, opslifecycle.work)
    found = [getattr(m, name) for m in modules for name in own if hasattr(m, name)]
    for each in [
        *found,
        PostgresStore,
        Cluster,
        rental().RentalRegistry,
        approval.ApprovalRegistry,
    ]:
        if not inspect.isclass(each) or inspect.isabstract(each) or attrs.has(each):
            continue
        if not issubclass(each, BaseException | Enum):
            yield each


def public_calls() -> dict[str, CodeType]:
    """Return the code of each public call and property, by the names of its class and its own."""
    found: dict[str, CodeType] = {}
    for kind in public_classes():
        for name in dir(kind):
            if name.startswith("_") and name not in _SPECIAL:
                continue
            for code in _codes(inspect.getattr_static(kind, name)):
                # Each once, under the name of the first class that has it.
                if code not in found.values():
                    found[f"{kind.__name__}.{name}"] = code
    return found


def _codes(member: object) -> Iterator[CodeType]:
    for each in (member, getattr(member, "fget", None), getattr(member, "__func__", None)):
        if inspect.isfunction(each):
            code = inspect.unwrap(each).__code__
            if code.co_filename.startswith(tuple(OURS)):
                yield code


def is_left_out(name: str) -> bool:
    """Whether a public call is one that no examination makes."""
    return any(name.startswith(each) for each in NOT_EXAMINED)

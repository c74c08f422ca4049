"""Everything that is interrupted, by name: `make test` does a share of it, `make nightly` all."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from opslifecycle import MemoryStore, Registry, SqliteStore, Store

from tests.support.builders import completed, running
from tests.support.interrupts import trying, trying_effects
from tests.support.interrupts.calls import CALLS, COMMANDS
from tests.support.interrupts.checking import Helper
from tests.support.interrupts.effects import DELIVERED, EFFECT_COMMANDS, EFFECT_READS
from tests.support.interrupts.injecting import INTERRUPTS, Injection, Interrupt
from tests.support.interrupts.looping import HALL_CALLS
from tests.support.interrupts.planning import Examination
from tests.support.interrupts.pooling import POOL_CALLS, pooling
from tests.support.interrupts.reading import READER_CALLS, reading
from tests.support.interrupts.renting import (
    LOCKER_COMMANDS,
    LOCKER_READS,
    renting,
    renting_behind,
    timing,
)
from tests.support.interrupts.supervising import DESK_CALLS, supervised
from tests.support.interrupts.trying import MakeStores
from tests.support.interrupts.trying_loops import looped

#: An examination's method, still without the helper that all share.
_Attempt = Callable[..., None]
#: What interrupts threads, whose owners take an exception of another kind for a failure.
_CTRL_C = (Interrupt,)
_OPENING_OR_CLOSING = {
    *("open", "open_and_submit", "close", "close_waiting", "after_close", "with"),
    *("async_close", "async_with", "shutdown", "shutdown_cancelling"),
}
#: How many folders of stores are left for what still uses them.
_FOLDERS = 20


@contextlib.contextmanager
def folder_for_stores() -> Iterator[Path]:
    """A folder for the files of stores, in memory where the system has a place for it.

    On a disk, which each world would synchronize, they take five times as long.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def in_memory() -> tuple[Store, Callable[[], Store]]:
    """A store in memory, which the next owner takes over."""
    store = MemoryStore()
    return store, lambda: store


def in_files(folder: Path) -> MakeStores:
    """Stores in files of their own."""
    folders: deque[Path] = deque()
    numbers = itertools.count()

    def make() -> tuple[Store, Callable[[], Store]]:
        folders.append(folder / str(next(numbers)))
        folders[-1].mkdir()
        if len(folders) > _FOLDERS:
            shutil.rmtree(folders.popleft())
        path = folders[-1] / "store.db"
        return SqliteStore(path, durability="process"), lambda: SqliteStore(path)

    return make


def opened(store: Store) -> Registry:
    """A registry of a store."""
    return Registry.open(store=store)


def restored() -> Callable[[Store], Registry]:
    """What makes a registry of a new store, filled with what another one held."""
    with Registry() as registry:
        completed(registry)
        running(registry)
        document = registry.capture()
    return lambda store: Registry.restore(document, store=store)


def examinations(folder: Path, helper: Helper) -> Iterator[Examination]:
    """Yield every examination: where the interrupt comes, and what it interrupts."""
    yield from _of_calls("alone", None, helper)
    for kind in ("sync", "async"):
        yield from _of_loops(f"alone {kind} loop", kind, None, helper)
    for where, make in (("memory", in_memory), ("file", in_files(folder))):
        yield from _of_calls(where, make, helper)
        yield from _of_loops(f"{where} loop", "async", make, helper)
        yield from _behind(where, make, helper)
        yield from _of_stores(where, make)
    read = partial(reading, make=in_files(folder), helper=helper)
    for each in READER_CALLS:
        yield _one("file reader", each, read)


def _one(
    group: str,
    call: Any,
    attempt: _Attempt,
    kinds: tuple[type[BaseException], ...] = INTERRUPTS,
) -> Examination:
    world = _world(group, call.name)
    return Examination(f"{group} {call.name}", partial(_made, attempt, call), world, kinds)


def _world(group: str, call: str) -> str:
    """Return in what kind of world the examinations of a group are, for what they share.

    Code that calls a store does not know which it is: only opening and closing differ, because a
    file has an owner. And the committer's thread does the same for every machine, whose own code it
    calls.
    """
    where, _, what = group.partition(" ")
    if call in _OPENING_OR_CLOSING or what == "reader":
        return group
    kind = "alone" if where == "alone" else "stored"
    return f"{kind} {'behind' if what.startswith('behind') else what}".strip()


def _made(attempt: _Attempt, call: Any, injection: Injection) -> None:
    attempt(call=call, injection=injection)


def _of_calls(where: str, make: MakeStores | None, helper: Helper) -> Iterator[Examination]:
    """Yield those of calls, interrupted in the caller's thread, and of threads that serve them."""
    given: dict[str, Any] = {"helper": helper, "make": make}
    for call in CALLS:
        yield _one(where, call, partial(trying.calling, **given))
    for each in [*EFFECT_COMMANDS, *EFFECT_READS]:
        kinds = _CTRL_C if each.reads_data else INTERRUPTS
        yield _one(f"{where} effects", each, partial(trying_effects.calling, **given), kinds)
    for each in DELIVERED:
        attempt = partial(trying_effects.delivering, **given)
        yield _one(f"{where} delivery", each, attempt, _CTRL_C)
    for desk_call in DESK_CALLS:
        yield _one(f"{where} supervisor", desk_call, partial(supervised, **given))
    for pool_call in POOL_CALLS:
        yield _one(f"{where} executor", pool_call, partial(pooling, **given))
    for locker_call in [*LOCKER_COMMANDS, *LOCKER_READS]:
        yield _one(f"{where} lockers", locker_call, partial(renting, **given))
    timers = partial(timing, make, helper)
    yield Examination(f"{where} timers", timers, _world(f"{where} timers", ""), _CTRL_C)


def _of_loops(
    world: str, registry: str, make: MakeStores | None, helper: Helper
) -> Iterator[Examination]:
    for call in HALL_CALLS:
        attempt = partial(looped, registry=registry, make=make, helper=helper)
        yield _one(world, call, attempt, call.kinds)


def _behind(where: str, make: MakeStores, helper: Helper) -> Iterator[Examination]:
    """Yield those of the committer's thread, and of asynchronous calls, which all wait for it."""
    given: dict[str, Any] = {"helper": helper, "make": make}
    for call in COMMANDS:
        asynchronous = partial(trying.calling, **given)
        attempt = partial(_made, asynchronous, call.asynchronous())
        yield Examination(f"{where} async {call.name}", attempt, "stored async")
        yield _one(f"{where} behind", call, partial(trying.behind, **given), _CTRL_C)
    for each in EFFECT_COMMANDS:
        attempt = partial(trying_effects.behind, **given)
        yield _one(f"{where} behind effects", each, attempt, _CTRL_C)
    for locker_call in LOCKER_COMMANDS:
        yield _one(
            f"{where} behind lockers", locker_call, partial(renting_behind, **given), _CTRL_C
        )
    left = partial(trying_effects.delivering_left, make, helper)
    yield Examination(f"{where} delivery left", left, f"{where} delivery left", _CTRL_C)


def _of_stores(where: str, make: MakeStores) -> Iterator[Examination]:
    """Yield those of stores, and of what opens a registry."""
    openings: dict[str, Callable[[Injection], None]] = {
        "commit": partial(trying.commit, make),
        "migration": partial(trying.migration, make),
        "open": partial(trying.opening, opened, make),
        "open new": partial(trying.opening, opened, make, filled=False),
        "restore": partial(trying.opening, restored(), make, filled=False),
    }
    for name, attempt in openings.items():
        yield Examination(f"{where} {name}", attempt, f"{where} {name}")

"""Everything that is interrupted, by name: `make test` does a share of it, `make nightly` all."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from opslifecycle import MemoryStore, Registry, SqliteStore, Store

from tests.support.builders import completed, running
from tests.support.interrupts import trying, trying_effects
from tests.support.interrupts.calls import CALLS, COMMANDS
from tests.support.interrupts.checking import Helper
from tests.support.interrupts.effects import DELIVERED, EFFECT_COMMANDS, EFFECT_READS
from tests.support.interrupts.looping import HALL_CALLS
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

#: Interrupts before every so many-th bytecode from `first` on; returns how many there are.
Examination = Callable[..., int]


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
    numbers = itertools.count()

    def make() -> tuple[Store, Callable[[], Store]]:
        path = folder / f"{next(numbers)}.db"
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


def examinations(folder: Path, helper: Helper) -> Iterator[tuple[str, Examination]]:
    """Every examination by its name: where the interrupt comes, and what it interrupts."""
    for call in CALLS:
        yield f"alone {call.name}", partial(trying.without_a_store, call, helper)
    for each in [*EFFECT_COMMANDS, *EFFECT_READS]:
        yield f"alone effects {each.name}", partial(trying_effects.alone, each, helper)
    for each in DELIVERED:
        delivering = partial(trying_effects.delivering, each, None, helper)
        yield f"alone delivery {each.name}", delivering
    for desk_call in DESK_CALLS:
        yield f"alone supervisor {desk_call.name}", partial(supervised, desk_call, None, helper)
    for hall_call in HALL_CALLS:
        for kind in ("sync", "async"):
            hall = partial(looped, hall_call, kind, None, helper)
            yield f"alone {kind} loop {hall_call.name}", hall
    for pool_call in POOL_CALLS:
        yield f"alone executor {pool_call.name}", partial(pooling, pool_call, None, helper)
    for each_call in [*LOCKER_COMMANDS, *LOCKER_READS]:
        yield f"alone lockers {each_call.name}", partial(renting, each_call, None, helper)
    yield "alone timers", partial(timing, None, helper)
    for where, make in (("memory", in_memory), ("file", in_files(folder))):
        for call in CALLS:
            yield f"{where} {call.name}", partial(trying.with_a_store, call, make, helper)
        for call in COMMANDS:
            yield (
                f"{where} async {call.name}",
                partial(trying.with_a_store, call.asynchronous(), make, helper),
            )
            yield f"{where} behind {call.name}", partial(trying.behind, call, make, helper)
        for each in [*EFFECT_COMMANDS, *EFFECT_READS]:
            stored = partial(trying_effects.stored, each, make, helper)
            yield f"{where} effects {each.name}", stored
        for each in EFFECT_COMMANDS:
            behind = partial(trying_effects.behind, each, make, helper)
            yield f"{where} behind effects {each.name}", behind
        for each in DELIVERED:
            delivering = partial(trying_effects.delivering, each, make, helper)
            yield f"{where} delivery {each.name}", delivering
        for desk_call in DESK_CALLS:
            yield (
                f"{where} supervisor {desk_call.name}",
                partial(supervised, desk_call, make, helper),
            )
        for hall_call in HALL_CALLS:
            hall = partial(looped, hall_call, "async", make, helper)
            yield f"{where} loop {hall_call.name}", hall
        for pool_call in POOL_CALLS:
            yield f"{where} executor {pool_call.name}", partial(pooling, pool_call, make, helper)
        for each_call in [*LOCKER_COMMANDS, *LOCKER_READS]:
            yield f"{where} lockers {each_call.name}", partial(renting, each_call, make, helper)
        for each_call in LOCKER_COMMANDS:
            behind = partial(renting_behind, each_call, make, helper)
            yield f"{where} behind lockers {each_call.name}", behind
        yield f"{where} timers", partial(timing, make, helper)
        left = partial(trying_effects.delivering_left, make, helper)
        yield f"{where} delivery left", left
        yield f"{where} commit", partial(trying.commit, make)
        yield f"{where} migration", partial(trying.migration, make)
        yield f"{where} open", partial(trying.opening, opened, make)
        yield f"{where} open new", partial(trying.opening, opened, make, filled=False)
        yield f"{where} restore", partial(trying.opening, restored(), make, filled=False)
    for reader_call in READER_CALLS:
        read = partial(reading, reader_call, in_files(folder), helper)
        yield f"file reader {reader_call.name}", read

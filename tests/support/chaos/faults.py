"""The faults that befall a library program, each a real one, chosen and timed by chance."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from tests.support.chaos.library import Library
from tests.support.chaos.models import Models
from tests.support.chaos.places import (
    copy_of,
    fill,
    is_small,
    may_be_another_user,
    open_to_all,
    put_back,
    read_as_another_user,
)
from tests.support.chaos.places import locked as locked_store
from tests.support.chaos.verdict import require

Fault = Callable[[Library], None]
_HOURS_MAX = 30


def kill(library: Library) -> None:
    """End the owner at once, at any moment, and compare before and after the next opening."""
    library.kill()
    library.verify(owner_lives=False)
    library.start()


def stop(library: Library) -> None:
    """Suspend the owner, compare what readers show meanwhile, and continue or kill it."""
    if library.stop():
        library.verify(owner_lives=True)
        library.hear(_seconds(library, library.limits.stop_max))
        library.verify(owner_lives=True)
        library.refuses_another()
        if library.chance.random() < 0.3:
            kill(library)
        library.signal(signal.SIGCONT)


def second(library: Library) -> None:
    """Start another owner while the first one works."""
    library.refuses_another()


def lock(library: Library) -> None:
    """Hold the write lock of one store or of both; the owner goes on once it is free."""
    count = library.chance.randint(1, len(library.names))
    with contextlib.ExitStack() as locks:
        for name in library.chance.sample(library.names, count):
            if (library.folder / name).exists():
                locks.enter_context(locked_store(library.folder / name, library.limits.deadline))
        library.hear(_seconds(library, library.limits.lock_max))
        _sometimes_ended(library)


def full(library: Library) -> None:
    """Fill the disk, and free it after a while."""
    filling = fill(library.folder)
    try:
        library.hear(_seconds(library, library.limits.full_max))
        _sometimes_ended(library)
    finally:
        filling.unlink()


def restore(library: Library) -> None:
    """Copy the stores while the owner works, go on, then put the copies in their place."""
    if not library.stop():
        return
    models, copies = library.models.copied(), copied(library)
    library.signal(signal.SIGCONT)
    library.hear(_seconds(library, library.limits.calm_max))
    if library.chance.random() < 0.5:
        library.kill()
    else:
        library.close()
    if copies is not None:
        put_all_back(library, copies, models)
    library.start()


def copied(library: Library) -> Path | None:
    """Copy every store of a suspended owner; None if there is one that it has locked, or lacks."""
    place = library.folder.with_name(f"{library.folder.name}-copies")
    place.mkdir(exist_ok=True)
    stores = [library.folder / each for each in library.names]
    if all(each.exists() and copy_of(each, place / each.name) for each in stores):
        return place
    return None


def put_all_back(library: Library, copies: Path, models: Models) -> None:
    """Put the copies in the places of the stores, and expect what was true when they were made."""
    for each in library.names:
        put_back(copies / each, library.folder / each)
    library.put_back(models)


def delete(library: Library) -> None:
    """Delete a store under its owner, which must notice, then put copies in the places."""
    if not library.stop():
        return
    models, copies = library.models.copied(), copied(library)
    if copies is not None:
        part = library.chance.choice(list(library.models.parts))
        for path in library.folder.glob(f"{part}.db*"):
            path.unlink()
        library.models.delete(part)
    library.signal(signal.SIGCONT)
    if copies is not None:
        library.notices()
        library.kill()
        put_all_back(library, copies, models)
        library.start()


def close(library: Library) -> None:
    """End in good order, and begin again."""
    library.close()
    library.verify(owner_lives=False)
    library.start()


def clock(library: Library) -> None:
    """Set the wall clock of the owner forward or back by hours."""
    assert library.clock is not None
    library.clock.set(library.chance.randint(-_HOURS_MAX, _HOURS_MAX) * 3600)
    library.hear(_seconds(library, library.limits.calm_max))
    _sometimes_ended(library)


def other_user(library: Library) -> None:
    """Have another user read the stores, who may or may not be allowed to."""
    if library.chance.random() < 0.5:
        open_to_all(library.folder)
    done = read_as_another_user(library.folder / "operations.db")
    require("Traceback" not in done.stderr, "traceback", done.stderr)
    told = done.returncode == 0 or done.stderr.startswith("error: ")
    require(told, "wrong", f"another user was told {done.stderr}")
    _sometimes_ended(library)


FAULTS: dict[str, tuple[int, Fault]] = {
    "kill": (6, kill),
    "stop": (4, stop),
    "lock": (4, lock),
    "full": (4, full),
    "restore": (3, restore),
    "delete": (2, delete),
    "close": (2, close),
    "second": (2, second),
    "clock": (3, clock),
    "other_user": (2, other_user),
}


def possible(library: Library) -> dict[str, int]:
    """Return the faults that this machine allows, with their weights; notes the others."""
    weights = {name: weight for name, (weight, _) in FAULTS.items()}
    if not is_small(library.folder):
        del weights["full"]
    if library.clock is None:
        del weights["clock"]
    if not may_be_another_user():
        del weights["other_user"]
    if not hasattr(os, "WUNTRACED") or shutil.which("sh") is None:
        del weights["stop"]
    return weights


def _sometimes_ended(library: Library) -> None:
    """End the owner while a fault lasts, now and then, and start the next one into it."""
    chance = library.chance.random()
    if chance < 0.2:
        library.close()
    elif chance < 0.5:
        library.kill()
    else:
        return
    library.look()
    library.start()
    library.hear(_seconds(library, library.limits.calm_max))


def _seconds(library: Library, seconds_max: float) -> float:
    # Mostly short, now and then as long as may be.
    return seconds_max * library.chance.random() ** 3

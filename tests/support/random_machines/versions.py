"""Two versions of a random machine: what the older one has stored, the newer one has.

What is right follows from what the two packages show, and from what the edit and its migration say.
"""

from __future__ import annotations

import copy
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen
from opslifecycle import MemoryStore, OpsLifecycleError, SqliteStore, StoreVersionError
from opslifecycle import Reader as StoreReader
from opslifecycle.cli.doctor import examine
from opslifecycle.cli.packages import machine_of
from opslifecycle.clock import ManualClock
from opslifecycle.inspection.locations import location_of
from opslifecycle.stores.base import Store

from tests.support.random_machines.building import Tree
from tests.support.random_machines.comparing import Comparison, same
from tests.support.random_machines.compiling import Generated, Refused, compiled
from tests.support.random_machines.editing import edited, next_of, shortened
from tests.support.random_machines.edits import Edit
from tests.support.random_machines.exploring import Asked, Exploration
from tests.support.random_machines.features import build
from tests.support.random_machines.mutations import MACHINES, original
from tests.support.random_machines.picking import Pick
from tests.support.random_machines.seeing import IDS, Reader, Seen
from tests.support.random_machines.shown import TimerlessClock
from tests.support.random_machines.stores import contents_of
from tests.support.random_machines.verdicts import FaultError, Tally
from tests.support.random_machines.walking import clocks_of

_ASKED = {"create": 4, "action": 10, "choice": 6, "for all": 1, "rollback": 1, "erase": 1,
          "collect": 1, "advance": 2}  # fmt: skip
_STEPS = 60


@frozen
class Stored:
    """What a version has written: in a file, or in this process."""

    file: Path | None
    memory: MemoryStore | None

    def copied(self, folder: Path) -> Stored:
        """The same contents apart."""
        if self.file is None:
            assert self.memory is not None
            return Stored(None, contents_of(self.memory))
        folder.mkdir(parents=True)
        return Stored(Path(shutil.copy(self.file, folder / "store.db")), None)

    def store(self) -> Store:
        """A store to open: that of a file has been opened by none."""
        if self.file is None:
            assert self.memory is not None
            return self.memory
        return SqliteStore(self.file, durability="process")


class Versions:
    """One version of a machine, a store that it has written, and edits of it."""

    def __init__(self, tree: Tree, number: int, tally: Tally) -> None:
        self._pick, self.tally = Pick(-7 - number), tally
        #: What the machine becomes, if it is one that lacks something.
        self._whole = tree if self._pick.chance(40) else None
        self._tree = tree
        self._clock: ManualClock = TimerlessClock(0)

    def run(self, edits: int) -> bool:
        """Compare so many next versions with this one; return whether it has a store."""
        if "recovery" not in self._tree:
            return False
        if self._whole is not None:
            self._tree = shortened(self._whole, self._pick)
            if self._examined(edits):
                return True
            # It is none that the compiler accepts.
            self._tree, self._whole = self._whole, None
        return self._examined(edits)

    def _examined(self, edits: int) -> bool:
        with compiled(self._tree) as found:
            if isinstance(found, Refused) or found.program.recovery is None:
                return False
            with tempfile.TemporaryDirectory() as path, clocks_of(self._clock):
                folder = Path(path)
                reader = Reader(found)
                stores = list(self._written(reader, found, folder))
                for number in range(edits):
                    if self._whole is not None and number < 2:
                        tree, edit = next_of(self._whole, self._pick)
                    else:
                        tree, edit = edited(self._tree, self._pick)
                    self._compare(found, reader, stores, tree, edit, folder / str(number))
        return True

    # What is stored -----------------------------------------------------------------------------

    def _written(
        self, reader: Reader, found: Generated, folder: Path
    ) -> Iterator[tuple[Stored, Seen]]:
        """Stores as a process leaves them that has closed its registry, or was killed."""
        calls = self._calls(reader, found)
        for number in range(3):
            if number == 0:
                stored = Stored(folder / "store.db", None)
            else:
                stored = Stored(None, MemoryStore())
            registry = reader.opened(stored.store(), self._clock)
            self._drive(reader, registry, calls, _STEPS)
            if stored.memory is not None and number == 2:
                # Killed: the registry goes on with contents that the next one does not see.
                left = Stored(None, contents_of(stored.memory))
                registry._close()
                stored = left
            else:
                registry._close()
            registry = reader.opened(stored.store(), self._clock)
            seen = reader.seen(registry)
            registry._close()
            self.tally.states += 1
            self._note(seen)
            yield stored, seen

    def _note(self, seen: Seen) -> None:
        """Note what is stored."""
        records = [each for each in seen.records.values() if each is not None]
        found = {
            "record": records, "archived record": seen.archive, "feed entry": seen.entries,
            "cursor": any(seen.cursors.values()), "history": any(seen.histories.values()),
            "registry field": seen.fields, "message": seen.messages,
        }  # fmt: skip
        self.tally.features.update(f"stored: {name}" for name, each in found.items() if each)

    def _calls(self, reader: Reader, found: Generated) -> dict[str, list[Asked]]:
        exploration = Exploration(found.program, reader.values, IDS, 2)
        calls: dict[str, list[Asked]] = {}
        for each in exploration.calls:
            calls.setdefault(each.kind, []).append(each)
        return {kind: found for kind, found in calls.items() if kind in _ASKED}

    def _drive(
        self, reader: Reader, registry: Any, calls: dict[str, list[Asked]], steps: int
    ) -> None:
        """Ask for this and that: most often for what records need to get on."""
        kinds = [kind for kind in calls for _ in range(_ASKED[kind])]
        for _ in range(steps if kinds else 0):
            asked = self._pick.one(calls[self._pick.one(kinds)])
            if self._pick.chance(20):
                self._clock.advance(milliseconds=self._pick.integer(0, 9))
            try:
                reader.values.call(registry, asked.call.method, asked.arguments)
            except OpsLifecycleError:
                continue
            self.tally.calls += 1

    # The next version ---------------------------------------------------------------------------

    def _compare(
        self, before: Generated, old: Reader, stores: list[tuple[Stored, Seen]], tree: Tree,
        edit: Edit, folder: Path,
    ) -> None:  # fmt: skip
        try:
            with self._next(before, tree, edit) as found:
                if found is None:
                    return
                new = Reader(found)
                calls = self._calls(new, found)
                worked: list[tuple[Stored, Seen]] = []
                for number, (stored, seen) in enumerate(stores):
                    copied = stored.copied(folder / str(number))
                    if self._open(old, new, copied, seen, edit):
                        worked.append((copied, self._go_on(new, copied, calls)))
                if self._pick.chance(50):
                    self._third(found, new, worked, stores, tree, folder)
        except FaultError as error:
            raise FaultError(error.kind, f"{error} after {edit}") from error

    @contextmanager
    def _next(self, before: Generated, tree: Tree, edit: Edit) -> Iterator[Generated | None]:
        """Compile the next version; None if it is refused."""
        self.tally.tried.update(f"edit: {name}" for name in edit.does)
        with compiled(tree, before) as found:
            if isinstance(found, Refused):
                self.tally.versions_refused += 1
                self.tally.rules.update({each.rule for each in found.findings})
                yield None
                return
            self.tally.versions += 1
            self.tally.features.update(f"edit: {name}" for name in edit.does)
            yield found

    def _third(
        self, before: Generated, old: Reader, worked: list[tuple[Stored, Seen]],
        stores: list[tuple[Stored, Seen]], tree: Tree, folder: Path,
    ) -> None:  # fmt: skip
        """Open stores with a third version: those that the second has worked with, and others."""
        tree, edit = edited(tree, self._pick)
        with self._next(before, tree, edit) as found:
            if found is None:
                return
            self.tally.chains += 1
            new = Reader(found)
            for number, (stored, seen) in enumerate(worked):
                self._open(old, new, stored.copied(folder / f"third {number}"), seen, edit)
            if edit.refuses:
                return
            for number, (stored, seen) in enumerate(stores):
                self._ways(old, new, stored, seen, folder / f"ways {number}")

    def _ways(self, second: Reader, third: Reader, stored: Stored, seen: Seen, at: Path) -> None:
        """Compare what the third version shows of a store that the second opened, or did not."""
        direct, through = stored.copied(at / "direct"), stored.copied(at / "through")
        try:
            between = self._shown(second, through)
            last = self._shown(third, through)
        except StoreVersionError:
            self._refused(third, direct)
            return
        now = self._shown(third, direct)
        retains = second.program.retention is None or _has_as_many(between, seen)
        if not _keeps_all(second) or not retains:
            return
        if second.program.cursors is None:
            # Its stores have no positions, and those of older versions do.
            last, now = attrs.evolve(last, cursors={}), attrs.evolve(now, cursors={})
        same("a version between", last, now)
        self.tally.reopened += 1

    def _open(self, old: Reader, new: Reader, stored: Stored, seen: Seen, edit: Edit) -> bool:
        """Open a store with the next version; return whether it is not refused."""
        if edit.refuses or not edit.lost.isdisjoint(self._named(new, seen)):
            self._refused(new, stored)
            return False
        before = seen.renamed(edit.renames)
        self._look(old, new, stored, before, edit)
        now = self._seen(new, stored)
        Comparison(old, new, before, now, edit).run()
        again = self._seen(new, stored, as_stored=True)
        same("a second opening", again, now)
        self._examine(new, stored)
        if edit.raised:
            self._refused(old, stored)
        self.tally.reopened += 1
        return True

    def _named(self, new: Reader, seen: Seen) -> set[str]:
        """The effects and actions that stored data names when the next version reads it."""
        has_history = new.program.machine.history is not None
        return (seen if has_history else attrs.evolve(seen, histories={})).stored_names()

    def _seen(self, reader: Reader, stored: Stored, *, as_stored: bool = False) -> Seen:
        try:
            return self._shown(reader, stored, as_stored=as_stored)
        except StoreVersionError as error:
            raise FaultError("the next version refuses a store", repr(error)) from error

    def _shown(self, reader: Reader, stored: Stored, *, as_stored: bool = False) -> Seen:
        try:
            registry = reader.opened(stored.store(), self._clock, as_stored=as_stored)
        except StoreVersionError:
            raise
        except Exception as error:
            raise FaultError("the next version cannot open a store", repr(error)) from error
        try:
            return reader.seen(registry)
        except Exception as error:
            raise FaultError("the next version cannot read a store", repr(error)) from error
        finally:
            registry._close()

    def _look(self, old: Reader, new: Reader, stored: Stored, before: Seen, edit: Edit) -> None:
        """Look at a file that only the older version has opened."""
        if stored.file is None:
            return
        self._examine(new, stored)
        try:
            with StoreReader(new.registry, stored.store(), poll_seconds=1000) as looking:
                seen = new.seen(looking.records)
        except Exception as error:
            raise FaultError("a reader of the next version", repr(error)) from error
        # The timers of a registry are those of its owner.
        Comparison(old, new, attrs.evolve(before, timers={}), seen, edit).run()

    def _examine(self, reader: Reader, stored: Stored) -> None:
        """Have `opslifecycle doctor` look at a file."""
        if stored.file is None:
            return
        path = list(sys.path)
        try:
            machine = machine_of(reader.package.__name__)
            count, _ = examine(location_of(str(stored.file)), machine, lambda line: None)
        except Exception as error:
            raise FaultError("doctor", repr(error)) from error
        finally:
            sys.path[:] = path
        if count != 1:
            raise FaultError("doctor", f"it has found {count} registries")

    def _refused(self, reader: Reader, stored: Stored) -> None:
        try:
            registry = reader.opened(stored.store(), self._clock)
        except StoreVersionError:
            return
        except Exception as error:
            raise FaultError("another version is refused otherwise", repr(error)) from error
        registry._close()
        raise FaultError("another version opens a store", "it is not refused")

    def _go_on(self, new: Reader, stored: Stored, calls: dict[str, list[Asked]]) -> Seen:
        """Have the newer version work with what is stored: all that it has then is stored."""
        registry = new.opened(stored.store(), self._clock)
        try:
            self._drive(new, registry, calls, _STEPS // 3)
            before = new.seen(registry)
        except Exception as error:
            raise FaultError("the next version fails at work", repr(error)) from error
        finally:
            registry._close()
        now = self._seen(new, stored)
        if _keeps_all(new):
            same("after work", now, before)
        return now


def _has_as_many(now: Seen, before: Seen) -> bool:
    """Whether a version that may evict has evicted nothing."""
    had, has = ({id for id, each in s.records.items() if each is not None} for s in (before, now))
    return had == has and len(before.entries) == len(now.entries)


def _keeps_all(reader: Reader) -> bool:
    recovery = reader.program.machine.recovery
    return recovery is not None and str(recovery.persist_if) == "true" and not recovery.do


def versioned(number: int) -> tuple[Tree, frozenset[str]]:
    """Return a machine with a store: a random one, or now and then one of the repository."""
    name = Pick(-3 - number).one([*MACHINES, *[""] * 4 * len(MACHINES)])
    tree, features = (original(name), frozenset({f"machine: {name}"})) if name else build(number)
    # A draft protects nothing that is stored.
    return {key: copy.deepcopy(each) for key, each in tree.items() if key != "status"}, features

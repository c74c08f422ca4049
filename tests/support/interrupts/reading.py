"""Readers of a store that another registry owns, and stores, whose calls are interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen
from opslifecycle import Reader, Registry, RegistryClosedError, Store

from tests.support.builders import completed, running
from tests.support.interrupts.checking import DEADLINE_SECONDS, Helper, interrupted, is_free
from tests.support.interrupts.injecting import Injection
from tests.support.interrupts.loops import run_in_loop
from tests.support.interrupts.trying import MakeStores

_THREAD = "opslifecycle-reader"


@define(eq=False)
class Room:
    """A registry that owns a store, and a reader of the store."""

    registry: Registry
    store: Store
    reader: Any = field(init=False)
    #: Threads of earlier readers of this process, which end when nothing refers to them.
    others: set[threading.Thread] = field(init=False)

    def __attrs_post_init__(self) -> None:
        # Its thread looks once a minute, so that only the interrupted thread reads.
        self.others = set(threading.enumerate())
        self.reader = Reader(Registry, self.store, poll_seconds=60)


@frozen
class ReaderCall:
    """A call of a reader, by a name."""

    name: str
    make: Callable[[Room], Any]
    opens: bool = False


def _block(w: Room) -> None:
    with w.reader as reader:
        reader.records.list_operations()


def _async_block(w: Room) -> None:
    async def main() -> None:
        async with w.reader:
            pass

    run_in_loop(main())


READER_CALLS = [
    ReaderCall("open", lambda w: w.reader.__enter__(), opens=True),
    ReaderCall("block", _block, opens=True),
    ReaderCall("async_block", _async_block, opens=True),
    ReaderCall("refresh", lambda w: w.reader.refresh()),
    ReaderCall("records", lambda w: w.reader.records.list_operations(terminal=True)),
    ReaderCall("owner", lambda w: (w.reader.owner, w.reader.owner_responds)),
    ReaderCall("close", lambda w: w.reader.close()),
]


def _check_room(w: Room, call: ReaderCall, helper: Helper) -> None:
    reader, shown = w.reader, w.registry.list_operations()
    try:
        helper.ask(reader.refresh)
    except RegistryClosedError:
        # It was not opened, or was closed, or closed itself halfway through what was new.
        assert call.opens or call.name in ("close", "refresh")
    else:
        assert reader.records.list_operations() == shown
        assert is_free(reader._copy.registry), "the lock of the copy is held"
    helper.ask(reader.close)
    for each in [each for each in {*threading.enumerate()} - w.others if each.name == _THREAD]:
        # That of an opening that was interrupted ends by itself.
        each.join(DEADLINE_SECONDS)
        assert not each.is_alive(), "its thread goes on"
    if reader._found is None:
        # What was not opened can be opened.
        helper.ask(lambda: _block(w))
    with Reader(Registry, w.store) as again:
        assert again.records.list_operations() == shown


def reading(call: ReaderCall, make: MakeStores, helper: Helper, injection: Injection) -> None:
    """Interrupt a call of a reader."""
    store, again = make()
    with Registry(store=store) as registry:
        running(registry)
        completed(registry)
        w = Room(registry, again())
        if not call.opens:
            w.reader.__enter__()
        completed(registry)
        interrupted(w, call, injection)
        _check_room(w, call, helper)

"""Interrupting a call before one bytecode after another, each in a world of its own."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial

from opslifecycle import (
    OperationId,
    OperationLifecycleSnapshot,
    Registry,
    RegistryOwnedError,
    Store,
)
from opslifecycle.stores.base import Commit, StoreContents
from opslifecycle.stores.migration import migrated, rename
from opslifecycle.stores.schema_version import SchemaVersion

from tests.support.builders import completed, running
from tests.support.interrupts.calls import Call, world
from tests.support.interrupts.checking import (
    DEADLINE_SECONDS,
    Helper,
    check,
    check_kept,
    interrupted,
    interrupted_behind,
    listed,
)
from tests.support.interrupts.injecting import INTERRUPTS, Injection

#: Makes a new store, and a second one of the same contents from what the first has kept.
MakeStores = Callable[[], tuple[Store, Callable[[], Store]]]


_MACHINE = SchemaVersion("machine", 1, "digest")
_NEXT = SchemaVersion(
    "machine",
    2,
    "another",
    lambda _, stored: migrated(stored, partial(rename, old="n", new="m"), None),
)


def calling(call: Call, make: MakeStores | None, helper: Helper, injection: Injection) -> None:
    """Interrupt the caller of a registry."""
    store, again = (None, None) if make is None else make()
    w = world(store)
    acknowledged = listed(w.registry)
    helper.ask(partial(interrupted, w, call, injection))
    check(w, helper)
    if again is not None:
        check_kept(acknowledged, w.registry, again(), erases=call.erases, whole=True)


def behind(call: Call, make: MakeStores, helper: Helper, injection: Injection) -> None:
    """Interrupt the committer's thread while it works for a call."""
    store, again = make()
    with injection.possible("opslifecycle-ops_lifecycle"):
        w = world(store)
    acknowledged = listed(w.registry)
    returned = interrupted_behind(w, w.registry, call, injection, helper)
    check(w, helper)
    whole = returned or injection.place is None
    check_kept(acknowledged, w.registry, again(), erases=call.erases, whole=whole)


def commit(make: MakeStores, injection: Injection) -> None:
    """Interrupt a store while it keeps a commit: that is kept whole or not at all."""
    store, again = make()
    one, two, states = '{"n":1}', '{"n":2}', [f'{{"dropped_through":{n}}}' for n in (0, 1)]
    before = Commit((("a", None, one), ("b", 1, one)), (), 0, states[0])
    after = Commit((("a", 2, two), ("c", 3, two)), ("b",), 1, states[1])
    kept = (
        StoreContents({"a": one, "b": one}, {1: ("b", one)}, states[0]),
        StoreContents({"a": two, "c": two}, {2: ("a", two), 3: ("c", two)}, states[1]),
    )
    store.open(_MACHINE)
    store.append(before)
    try:
        injection.during(partial(store.append, after))
    except INTERRUPTS:
        pass
    store.close()
    found = again().open(_MACHINE)
    assert found in kept if injection.place is not None else found == kept[1], found


def migration(make: MakeStores, injection: Injection) -> None:
    """Interrupt the opening of a store of an older version: it is of that version or of this."""
    store, again = make()
    store.open(_MACHINE)
    old = [("a", None, '{"n":1}'), ("b", 1, '{"n":2}')]
    store.append(Commit(tuple(old), (), 0, '{"dropped_through":0}'))
    store.close()
    new = {id: body.replace("n", "m") for id, _, body in old}
    expected = StoreContents(new, {1: ("b", new["b"])}, '{"dropped_through":0}')
    opened = again()
    try:
        injection.during(partial(opened.open, _NEXT))
    except INTERRUPTS:
        pass
    # A registry whose opening is interrupted closes its store.
    opened.close()
    third = again()
    assert third.open(_NEXT) == expected
    third.append(Commit((("c", 2, new["a"]),), (), 0, '{"dropped_through":0}'))
    third.close()
    fourth = again()
    found = fourth.open(_NEXT)
    assert set(found.records) == {"a", "b", "c"}
    assert set(found.rows) == {1, 2}
    fourth.close()


def opening(
    open_one: Callable[[Store], Registry],
    make: MakeStores,
    injection: Injection,
    *,
    filled: bool = True,
) -> None:
    """Interrupt the opening of a registry; then its store has to open, with all that it held."""
    store, again = make()
    held: dict[OperationId, OperationLifecycleSnapshot] = {}
    if filled:
        with Registry(store=store) as registry:
            completed(registry)
            running(registry)
            held = listed(registry)
    _interrupt_opening(open_one, again(), injection)
    with _opened_in_time(again) as registry:
        found = listed(registry)
        # What was restored is there whole or not at all.
        assert set(found) >= set(held) if filled else len(found) in (0, 2)
        assert registry.broken_invariants() == []
        completed(registry)


def _interrupt_opening(
    open_one: Callable[[Store], Registry], store: Store, injection: Injection
) -> None:
    try:
        registry = injection.during(lambda: open_one(store))
    except INTERRUPTS:
        return
    assert injection.place is None, f"swallowed: {injection.place}"
    registry.close()


def _opened_in_time(make: Callable[[], Store]) -> Registry:
    """A registry of a store that the finalizer of another one may still be giving up."""
    until = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            return Registry(store=make())
        except RegistryOwnedError:
            if time.monotonic() > until:
                raise
            gc.collect()
            time.sleep(0.001)

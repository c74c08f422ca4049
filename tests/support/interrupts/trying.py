"""Interrupting a call before one bytecode after another, each in a world of its own."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from opslifecycle import (
    OperationId,
    OperationLifecycleSnapshot,
    Registry,
    RegistryOwnedError,
    Store,
)
from opslifecycle.stores.base import Commit, SchemaVersion, StoreContents
from opslifecycle.stores.migration import migrated, rename

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
from tests.support.interrupts.injecting import INTERRUPTS, Injection, Interrupt

#: Makes a new store, and a second one of the same contents from what the first has kept.
MakeStores = Callable[[], tuple[Store, Callable[[], Store]]]


_MACHINE = SchemaVersion("machine", 1, "digest")
_NEXT = SchemaVersion(
    "machine",
    2,
    "another",
    lambda _, stored: migrated(stored, partial(rename, old="n", new="m"), None),
)


class InterruptError(AssertionError):
    """Something that does not hold after an interrupt."""


def without_a_store(call: Call, helper: Helper, step: int = 1, first: int = 1) -> int:
    """Interrupt a call of a registry without a store; return how many bytecodes it has."""
    for at in numbers(first, step):
        w = world(None)
        injection = Injection(at)
        with told(call, injection):
            helper.ask(partial(interrupted, w, call, injection))
            check(w, helper)
        if injection.place is None:
            return at
    raise AssertionError


def with_a_store(
    call: Call, make: MakeStores, helper: Helper, step: int = 1, first: int = 1
) -> int:
    """Interrupt the caller of a registry with a store."""
    for at in numbers(first, step):
        store, again = make()
        w = world(store)
        acknowledged = listed(w.registry)
        injection = Injection(at)
        with told(call, injection):
            helper.ask(partial(interrupted, w, call, injection))
            check(w, helper)
            check_kept(acknowledged, w.registry, again(), erases=call.erases, whole=True)
        if injection.place is None:
            return at
    raise AssertionError


def behind(call: Call, make: MakeStores, helper: Helper, step: int = 1, first: int = 1) -> int:
    """Interrupt the committer's thread while it works for a call."""
    for at in numbers(first, step):
        store, again = make()
        injection = Injection(at, Interrupt)
        with injection.possible("opslifecycle-ops_lifecycle"):
            w = world(store)
        acknowledged = listed(w.registry)
        with told(call, injection):
            returned = interrupted_behind(w, w.registry, call, injection, helper)
            check(w, helper)
            whole = returned or injection.place is None
            check_kept(acknowledged, w.registry, again(), erases=call.erases, whole=whole)
        if injection.place is None:
            return at
    raise AssertionError


def commit(make: MakeStores, step: int = 1, first: int = 1) -> int:
    """Interrupt a store while it keeps a commit: that is kept whole or not at all."""
    call = Call("append", lambda w: None)
    for at in numbers(first, step):
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
        injection = Injection(at)
        try:
            injection.during(partial(store.append, after))
        except INTERRUPTS:
            pass
        store.close()
        with told(call, injection):
            found = again().open(_MACHINE)
            assert found in kept if injection.place is not None else found == kept[1], found
        if injection.place is None:
            return at
    raise AssertionError


def migration(make: MakeStores, step: int = 1, first: int = 1) -> int:
    """Interrupt the opening of a store of an older version: it is of that version or of this."""
    call = Call("migrate", lambda w: None)
    for at in numbers(first, step):
        store, again = make()
        store.open(_MACHINE)
        old = [("a", None, '{"n":1}'), ("b", 1, '{"n":2}')]
        store.append(Commit(tuple(old), (), 0, '{"dropped_through":0}'))
        store.close()
        new = {id: body.replace("n", "m") for id, _, body in old}
        expected = StoreContents(new, {1: ("b", new["b"])}, '{"dropped_through":0}')
        injection = Injection(at)
        opened = again()
        try:
            injection.during(partial(opened.open, _NEXT))
        except INTERRUPTS:
            pass
        # A registry whose opening is interrupted closes its store.
        opened.close()
        with told(call, injection):
            third = again()
            assert third.open(_NEXT) == expected
            third.append(Commit((("c", 2, new["a"]),), (), 0, '{"dropped_through":0}'))
            third.close()
            fourth = again()
            found = fourth.open(_NEXT)
            assert set(found.records) == {"a", "b", "c"}
            assert set(found.rows) == {1, 2}
            fourth.close()
        if injection.place is None:
            return at
    raise AssertionError


def opening(
    open_one: Callable[[Store], Registry],
    make: MakeStores,
    step: int = 1,
    first: int = 1,
    *,
    filled: bool = True,
) -> int:
    """Interrupt the opening of a registry; then its store has to open, with all that it held."""
    call = Call("open", lambda w: None)
    for at in numbers(first, step):
        store, again = make()
        held: dict[OperationId, OperationLifecycleSnapshot] = {}
        if filled:
            with Registry(store=store) as registry:
                completed(registry)
                running(registry)
                held = listed(registry)
        injection = Injection(at)
        _interrupt_opening(open_one, again(), injection)
        with told(call, injection), _opened_in_time(again) as registry:
            found = listed(registry)
            # What was restored is there whole or not at all.
            assert set(found) >= set(held) if filled else len(found) in (0, 2)
            assert registry.broken_invariants() == []
            completed(registry)
        if injection.place is None:
            return at
    raise AssertionError


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


class Named(Protocol):
    """What is interrupted."""

    @property
    def name(self) -> str: ...


def numbers(first: int, step: int) -> Iterator[int]:
    """Count the bytecodes to interrupt at."""
    at = first
    while True:
        yield at
        at += step


@contextmanager
def told(call: Named, injection: Injection) -> Iterator[None]:
    """Say of whatever goes wrong meanwhile where the interrupt came."""
    try:
        yield
    except BaseException as error:
        text = f"{call.name}, interrupted at {injection.at} ({injection.place}): {error!r}"
        raise InterruptError(text) from error

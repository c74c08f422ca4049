"""Interrupting calls of registries with effects, and the thread that delivers them."""

from __future__ import annotations

from functools import partial

from tests.support.interrupts.checking import Helper, interrupted, interrupted_behind
from tests.support.interrupts.effects import (
    EffectCall,
    Office,
    check_office,
    check_stored_effects,
    left_office,
    office,
)
from tests.support.interrupts.injecting import Injection, Interrupt
from tests.support.interrupts.trying import MakeStores, numbers, told


def alone(call: EffectCall, helper: Helper, step: int = 1, first: int = 1) -> int:
    """Interrupt a call of a registry that has effects and no store."""
    for at in numbers(first, step):
        w = office(call, None)
        injection = Injection(at, Interrupt) if call.reads_data else Injection(at)
        with told(call, injection):
            interrupted(w, call, injection)
            check_office(w, helper)
        if injection.place is None:
            return at
    raise AssertionError


def stored(
    call: EffectCall, make: MakeStores, helper: Helper, step: int = 1, first: int = 1
) -> int:
    """Interrupt the caller of a registry that has effects and a store."""
    for at in numbers(first, step):
        store, again = make()
        w = office(call, store)
        injection = Injection(at, Interrupt) if call.reads_data else Injection(at)
        with told(call, injection):
            interrupted(w, call, injection)
            check_office(w, helper)
            check_stored_effects(w, again())
        if injection.place is None:
            return at
    raise AssertionError


def behind(
    call: EffectCall, make: MakeStores, helper: Helper, step: int = 1, first: int = 1
) -> int:
    """Interrupt the committer's thread while it works for a call that has effects."""
    for at in numbers(first, step):
        store, again = make()
        injection = Injection(at, Interrupt)
        with injection.possible("opslifecycle-approval"):
            w = office(call, store)
        with told(call, injection):
            interrupted_behind(w, w.registry, call, injection, helper)
            check_office(w, helper)
            check_stored_effects(w, again())
        if injection.place is None:
            return at
    raise AssertionError


def delivering(
    call: EffectCall, make: MakeStores | None, helper: Helper, step: int = 1, first: int = 1
) -> int:
    """Interrupt the thread that delivers the effects of a call."""
    for at in numbers(first, step):
        store, again = (None, None) if make is None else make()
        injection = Injection(at, Interrupt)
        with injection.possible("opslifecycle-effects"):
            w = office(call, store)
        with told(call, injection):
            _deliver(w, call, injection, helper)
            if again is not None:
                check_stored_effects(w, again())
        if injection.place is None:
            return at
    raise AssertionError


def delivering_left(make: MakeStores, helper: Helper, step: int = 1, first: int = 1) -> int:
    """Interrupt the thread that delivers what an earlier owner of the store has left."""
    call = EffectCall("left", lambda w: w.may_handle.set())
    for at in numbers(first, step):
        store, again = make()
        injection = Injection(at, Interrupt)
        with injection.possible("opslifecycle-effects"):
            w = left_office(store, again())
        with told(call, injection):
            _deliver(w, call, injection, helper)
            check_stored_effects(w, again())
        if injection.place is None:
            return at
    raise AssertionError


def _deliver(w: Office, call: EffectCall, injection: Injection, helper: Helper) -> None:
    thread = w.outbox._thread
    assert thread is not None
    with injection.in_thread(thread):
        helper.ask(partial(call.make, w))
        assert w.settle(), "the effects of the call are not delivered"
    check_office(w, helper)

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
from tests.support.interrupts.injecting import Injection
from tests.support.interrupts.trying import MakeStores


def calling(
    call: EffectCall, make: MakeStores | None, helper: Helper, injection: Injection
) -> None:
    """Interrupt the caller of a registry that has effects."""
    store, again = (None, None) if make is None else make()
    w = office(call, store)
    interrupted(w, call, injection)
    check_office(w, helper)
    if again is not None:
        check_stored_effects(w, again())


def behind(call: EffectCall, make: MakeStores, helper: Helper, injection: Injection) -> None:
    """Interrupt the committer's thread while it works for a call that has effects."""
    store, again = make()
    with injection.possible("opslifecycle-approval"):
        w = office(call, store)
    interrupted_behind(w, w.registry, call, injection, helper)
    check_office(w, helper)
    check_stored_effects(w, again())


def delivering(
    call: EffectCall, make: MakeStores | None, helper: Helper, injection: Injection
) -> None:
    """Interrupt the thread that delivers the effects of a call."""
    store, again = (None, None) if make is None else make()
    with injection.possible("opslifecycle-effects"):
        w = office(call, store)
    _deliver(w, call, injection, helper)
    if again is not None:
        check_stored_effects(w, again())


def delivering_left(make: MakeStores, helper: Helper, injection: Injection) -> None:
    """Interrupt the thread that delivers what an earlier owner of the store has left."""
    call = EffectCall("left", lambda w: w.may_handle.set())
    store, again = make()
    with injection.possible("opslifecycle-effects"):
        w = left_office(store, again())
    _deliver(w, call, injection, helper)
    check_stored_effects(w, again())


def _deliver(w: Office, call: EffectCall, injection: Injection, helper: Helper) -> None:
    thread = w.outbox._thread
    assert thread is not None
    with injection.in_thread(thread):
        helper.ask(partial(call.make, w))
        assert w.settle(), "the effects of the call are not delivered"
    check_office(w, helper)

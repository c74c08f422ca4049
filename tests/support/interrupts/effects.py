"""Registries with effects whose calls are interrupted, the thread that delivers among them."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from opslifecycle import RegistryClosedError, Store
from opslifecycle.shell import messages
from opslifecycle.shell.outbox import Outbox

from tests.support.interrupts.checking import DEADLINE_SECONDS, Helper, is_free

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "approval" / "src"))
approval: Any = importlib.import_module("approval")

_NEVER_MS = 10**15


@define(eq=False)
class Office:
    """A registry of requests in several statuses, and what its handler was called with."""

    store: Store | None
    registry: Any = None
    person: Any = field(factory=approval.PersonId.new)
    other: Any = field(factory=approval.PersonId.new)
    #: The requests whose message was handled, and those whose message is refused.
    handled: list[Any] = field(factory=list)
    refused: set[Any] = field(factory=set)
    may_handle: threading.Event = field(factory=threading.Event)
    circulating: Any = None
    drafted: Any = None
    #: The number of the dead letter, and the requests whose dead letter may be discarded.
    dead: int = 0
    discarded: set[Any] = field(factory=set)
    #: The requests that were to be decided.
    asked: set[Any] = field(factory=set)
    archived: Any = None
    #: Whether the registry is being closed, at whatever moment.
    closing: bool = False

    def __attrs_post_init__(self) -> None:
        self.registry = approval.ApprovalRegistry(
            decisions_max=1, store=self.store, on_effect=self._handle
        )

    def _handle(self, message: Any) -> None:
        assert self.may_handle.wait(DEADLINE_SECONDS)
        if message.snapshot.id in self.refused:
            raise RuntimeError("refused")
        self.handled.append(message.snapshot.id)

    @property
    def outbox(self) -> Outbox:
        """The outbox of the registry."""
        outbox: Outbox = self.registry._outbox
        return outbox

    def request(self, *, circulate: bool = True) -> Any:
        """Make a request, and return its id."""
        id = approval.RequestId.new()
        kind = approval.RequestKind.EXPENSE
        self.registry.draft(approval.Ask(id, kind, self.person, "lunch", 1, _NEVER_MS))
        if circulate:
            self.registry.circulate(id)
        return id

    def deny_public(self) -> Any:
        """Make and deny a request whose end is in the feed; only the latest stays in memory."""
        id = approval.RequestId.new()
        kind = approval.RequestKind.ACCESS
        self.registry.draft(approval.Ask(id, kind, self.person, "access", 0, _NEVER_MS))
        self.registry.circulate(id)
        self.asked.add(id)
        self.registry.deny(id, self.other, "no")
        return id

    def vote(self) -> Any:
        """Return a vote."""
        return approval.Vote(self.other, 1, "fine")

    def decide(self, id: Any) -> None:
        """Grant a request, which has an effect."""
        self.asked.add(id)
        self.registry.grant(id, self.vote())

    def decided(self) -> set[Any]:
        """Return the requests whose message is to be handled."""
        found = {each.id for each in self.registry.requests() if each.decision is not None}
        dead = {each.message.snapshot.id for each in self.registry.dead_letters()}
        return found - dead - self.discarded

    def settle(self) -> bool:
        """Wait until the thread waits for messages and none is pending; False after a while."""
        until = time.monotonic() + DEADLINE_SECONDS
        while self.registry.pending_effects() or not self._is_waiting():
            if time.monotonic() > until:
                return False
            time.sleep(0.0002)
        return True

    def _is_waiting(self) -> bool:
        thread = self.outbox._thread
        assert thread is not None
        assert thread.ident is not None
        frame = sys._current_frames().get(thread.ident)
        return frame is None or frame.f_code.co_name == "_receive"


@frozen
class EffectCall:
    """A public call of such a registry, by a name."""

    name: str
    make: Callable[[Office], Any]
    needs_dead_letter: bool = False
    #: Whether an archived request, and an entry of the feed, are there.
    needs_archive: bool = False
    #: Whether it decodes stored data, which takes any Exception for a mistake in the data.
    reads_data: bool = False


EFFECT_COMMANDS = [
    EffectCall("draft", lambda w: w.request(circulate=False)),
    EffectCall("circulate", lambda w: w.registry.circulate(w.drafted)),
    EffectCall("grant", lambda w: w.decide(w.circulating)),
    EffectCall("endorse", lambda w: w.registry.endorse(w.circulating, w.vote())),
    EffectCall("expire", lambda w: _expire(w)),
    EffectCall("withdraw", lambda w: _withdraw(w)),
    EffectCall("deny_archiving", lambda w: w.deny_public(), needs_archive=True),
    EffectCall("transact", lambda w: _transact(w)),
    EffectCall("collect", lambda w: w.registry.collect_decided()),
    EffectCall("retry", lambda w: _revive(w), needs_dead_letter=True),
    EffectCall("discard", lambda w: _discard(w), needs_dead_letter=True),
    EffectCall("close", lambda w: _close(w)),
]


EFFECT_READS = [
    EffectCall("pending", lambda w: w.registry.pending_effects()),
    EffectCall("dead_letters", lambda w: w.registry.dead_letters()),
    EffectCall(
        "archived",
        lambda w: w.registry.past_request(w.archived),
        needs_archive=True,
        reads_data=True,
    ),
    EffectCall(
        "archive", lambda w: w.registry.past_requests(limit=2), needs_archive=True, reads_data=True
    ),
    EffectCall(
        "archive_descending",
        lambda w: w.registry.past_requests(limit=2, descending=True, amount_above=0),
        needs_archive=True,
        reads_data=True,
    ),
    EffectCall("consume", lambda w: _consume(w), needs_archive=True),
    EffectCall("reads", lambda w: _read(w)),
    EffectCall("waits", lambda w: _wait(w)),
    EffectCall("page", lambda w: _walk(w), needs_archive=True),
]

#: Those that are followed by a delivery.
DELIVERED = [each for each in EFFECT_COMMANDS if each.name in ("grant", "withdraw", "retry")]


def _transact(w: Office) -> None:
    w.asked |= {w.circulating, w.drafted}
    with w.registry.transaction() as transaction:
        transaction.withdraw(w.drafted)
        transaction.withdraw(w.circulating)


def _expire(w: Office) -> None:
    w.asked.add(w.circulating)
    w.registry.expire(w.circulating, 1)


def _read(w: Office) -> None:
    registry = w.registry
    for read in (registry.snapshot, registry.standing_of, registry.urgency_of, registry.allowed):
        read(w.circulating)
    registry.is_missing_votes(w.circulating)
    registry.broken_invariants()
    registry.decisions()
    registry.capture()


def _wait(w: Office) -> None:
    w.registry.watch(w.circulating)
    w.registry.wait_for_batch(approval.BatchId.new(), [w.circulating])


def _consume(w: Office) -> None:
    for _ in w.registry.consume(approval.DecisionReader.AUDIT, wait=False):
        pass


def _walk(w: Office) -> None:
    page = w.registry.requests(order_by=approval.RequestOrder.AMOUNT, limit=1)
    while page.has_more:
        page = w.registry.requests(
            order_by=approval.RequestOrder.AMOUNT, limit=1, after=page.cursor
        )


def _withdraw(w: Office) -> None:
    w.asked.add(w.drafted)
    w.registry.withdraw(w.drafted)


def _revive(w: Office) -> None:
    w.refused.clear()
    w.registry.retry_dead_letter(w.dead)


def _close(w: Office) -> None:
    w.closing = True
    w.registry.close()


def _discard(w: Office) -> None:
    w.discarded |= w.refused
    w.registry.discard_dead_letter(w.dead)


def office(call: EffectCall, store: Store | None) -> Office:
    """Make the world of one call. Its thread has delivered a message, and waits for others."""
    w = Office(store)
    w.may_handle.set()
    w.circulating, w.drafted = w.request(), w.request(circulate=False)
    w.decide(w.request())
    if call.needs_dead_letter:
        _make_dead_letter(w)
    if call.needs_archive:
        w.archived = w.deny_public()
        w.deny_public()
    assert w.settle()
    return w


def left_office(store: Store, again: Store) -> Office:
    """Make a world whose messages an earlier owner of the store has left.

    Its thread is calling the handler for the first, which waits for `may_handle`.
    """
    before = Office(store)
    for _ in range(3):
        before.decide(before.request())
    before.outbox.stop(wait=False)
    before.may_handle.set()
    before.registry.close()
    return Office(again, asked=before.asked, handled=before.handled)


def _make_dead_letter(w: Office) -> None:
    id = w.request()
    w.refused.add(id)
    longest, messages.RETRY_SECONDS_MAX = messages.RETRY_SECONDS_MAX, 0.0
    try:
        w.decide(id)
        assert w.settle()
    finally:
        messages.RETRY_SECONDS_MAX = longest
    w.dead = w.registry.dead_letters()[0].message.number


def check_office(w: Office, helper: Helper) -> None:
    """Look at everything that such a registry owes after an interrupt."""
    registry = w.registry
    assert is_free(registry), "the lock is held"
    if not w.closing and _goes_on(w):
        assert w.settle(), f"not delivered: {registry.pending_effects()}"
        assert registry.broken_invariants() == []
        assert w.decided() <= set(w.handled), "an effect was not delivered"
        _check_reads(w, helper)
    helper.ask(registry.close)
    thread = w.outbox._thread
    assert thread is not None
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive(), "the thread of the outbox has not ended"


def _check_reads(w: Office, helper: Helper) -> None:
    """Look at pages, at the archive, and at what a consumer still receives."""
    every = {each.id for each in w.registry.requests()}
    for order in approval.RequestOrder:
        assert {each.id for each in w.registry.requests(order_by=order)} == every
    if w.store is not None and w.archived is not None:
        assert helper.ask(lambda: w.registry.past_request(w.archived)).id == w.archived
        found = [each.snapshot.id for each in w.registry.past_requests()]
        assert len(found) == len(set(found)) >= 1
    reader = approval.DecisionReader.AUDIT
    consumed = helper.ask(lambda: list(w.registry.consume(reader, wait=False)))
    left = w.registry.decisions().list_since(0).watermark
    assert w.registry.read_up_to(reader) == left or not consumed
    assert list(w.registry.consume(reader, wait=False)) == []


def _goes_on(w: Office) -> bool:
    try:
        w.decide(w.request())
    except RegistryClosedError:
        return False
    return True


def check_stored_effects(w: Office, store: Store) -> None:
    """Look at what the next owner of a store finds: every effect was delivered, or is pending."""
    with approval.ApprovalRegistry(store=store) as again:
        assert again.broken_invariants() == []
        pending = {each.snapshot.id for each in again.pending_effects()}
        dead = {each.message.snapshot.id for each in again.dead_letters()}
        decided = {each.id for each in again.requests() if each.decision is not None}
        assert decided <= {*w.handled, *pending, *dead, *w.discarded}, "an effect is lost"
        assert {*w.handled, *pending, *dead} <= w.asked, "an effect of what was not asked"

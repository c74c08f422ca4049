"""What requests go through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from opslifecycle import SqliteStore, structure, unstructure

from approval import (
    AmountExceededError,
    ApprovalRegistry,
    Ask,
    Decision,
    ExpiredError,
    Granted,
    NotExpiredError,
    PersonId,
    QuorumMissingError,
    QuorumReachedError,
    RequestId,
    RequestKind,
    RequestOrder,
    RequestStatus,
    Standing,
    Urgency,
    Vote,
)


def ask(kind: RequestKind = RequestKind.PURCHASE, amount: int = 10) -> Ask:
    return Ask(RequestId.new(), kind, PersonId.new(), "a chair", amount, 1000)


def circulating(office: ApprovalRegistry, made: Ask) -> RequestId:
    office.draft(made)
    office.circulate(made.id)
    return made.id


def test_a_quorum_is_needed_and_enough() -> None:
    with ApprovalRegistry() as office:
        id = circulating(office, ask(RequestKind.ACCESS, 0))
        vote = Vote(PersonId.new(), 5)
        for _ in range(2):
            assert office.is_missing_votes(id)
            with pytest.raises(QuorumMissingError):
                office.grant(id, vote)
            office.endorse(id, vote)
        with pytest.raises(QuorumReachedError) as caught:
            office.endorse(id, vote)
        assert (caught.value.guard, caught.value.quorum) == ("more_needed", 3)
        office.grant(id, vote)
        assert office.standing_of(id) is Standing.SETTLED
        assert office.broken_invariants() == []


def test_old_decisions_are_in_the_archive(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "office.db")
    with ApprovalRegistry(store=store, decisions_max=2) as office:
        ids = [circulating(office, ask(amount=10 * n)) for n in range(1, 6)]
        for id in ids:
            office.deny(id, PersonId.new(), "too dear")
        assert [office.snapshot(id) for id in ids[:3]] == [None] * 3
        assert [each.snapshot.id for each in office.past_requests()] == ids[:3]
        old = office.past_request(ids[0])
        assert old is not None
        assert (old.status, old.ask.amount) == (RequestStatus.DENIED, 10)


def test_requests_are_read_page_by_page() -> None:
    with ApprovalRegistry() as office:
        for amount in (30, 10, 20, 10):
            office.draft(ask(amount=amount))
        page = office.requests(order_by=RequestOrder.AMOUNT, limit=3)
        rest = office.requests(order_by=RequestOrder.AMOUNT, after=page.cursor)
        amounts = [each.ask.amount for each in (*page, *rest)]
        assert amounts == [10, 10, 20, 30]
        assert len(office.requests(amount_above=10)) == 2


def test_time_is_given_and_judged() -> None:
    with ApprovalRegistry() as office:
        id = circulating(office, ask())
        with pytest.raises(NotExpiredError):
            office.expire(id, 999)
        with pytest.raises(ExpiredError):
            office.grant(id, Vote(PersonId.new(), 1000))
        office.expire(id, 1000)


def test_what_is_asked_for_is_limited_by_its_kind() -> None:
    with ApprovalRegistry() as office:
        with pytest.raises(AmountExceededError) as caught:
            office.draft(ask(RequestKind.EXPENSE, 501))
        assert (caught.value.amount, caught.value.allowed) == (501, 500)
        id = RequestId.new()
        assert office.standing_of(id) is Standing.UNKNOWN
        assert office.urgency_of(id) is Urgency.WHENEVER


def test_some_guards_depend_on_what_is_given() -> None:
    with ApprovalRegistry() as office:
        id = circulating(office, ask())
        found = {each.action: each for each in office.allowed(id)}
        assert found["grant"].depends_on == ("somebody_else", "in_time")
        assert isinstance(found["grant"].refusal, QuorumMissingError)
        assert found["deny"].allowed


def test_decisions_are_json_and_back() -> None:
    granted = Granted(Vote(PersonId.new(), 5, "fine"))
    data = unstructure(granted)
    assert data["decision"] == "granted"
    assert structure(data, Decision) == granted


ENDORSE_AND_DIE = """
import os, signal, sys
from opslifecycle import SqliteStore
from approval import ApprovalRegistry, Ask, PersonId, RequestId, RequestKind, Vote
office = ApprovalRegistry(store=SqliteStore(sys.argv[1]))
id = RequestId(sys.argv[2])
office.draft(Ask(id, RequestKind.ACCESS, PersonId.new(), "the archive", 0, 1000))
office.circulate(id)
office.endorse(id, Vote(PersonId.new(), 5))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_every_vote_survives_a_kill(tmp_path: Path) -> None:
    id, path = RequestId.new(), tmp_path / "office.db"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = [sys.executable, "-c", ENDORSE_AND_DIE, str(path), str(id)]
    assert (
        subprocess.run(run, env=environment, check=False).returncode == -signal.SIGKILL
    )
    with ApprovalRegistry(store=SqliteStore(path)) as office:
        snapshot = office.snapshot(id)
        assert snapshot is not None
        assert (snapshot.status, snapshot.approvals) == (RequestStatus.CIRCULATING, 1)
        assert office.broken_invariants() == []

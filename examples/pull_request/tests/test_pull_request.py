"""Reviews, merges and reminders, on a clock that the tests move."""

from __future__ import annotations

import pytest
from opslifecycle import ManualClock, MemoryStore

from pull_request import (
    CheckResult,
    ChecksNotPassedError,
    NotNowError,
    OwnReviewError,
    PullRequestAction,
    PullRequestId,
    PullRequestRegistry,
    PullRequestSnapshot,
    PullRequestStatus,
)


def in_review(server: PullRequestRegistry, needed: int = 1) -> PullRequestId:
    """Begin a pull request and ask for its review."""
    id = PullRequestId.new()
    server.begin(id, "ada", "Fix a typo", needed)
    server.ready(id)
    server.request_review(id, "grace")
    return id


def seen(server: PullRequestRegistry, id: PullRequestId) -> PullRequestSnapshot:
    """Return a pull request that exists."""
    found = server.snapshot(id)
    assert found is not None
    return found


def test_the_last_approval_that_it_needs_makes_it_approved() -> None:
    with PullRequestRegistry() as server:
        id = in_review(server, needed=2)
        server.approve(id, "grace")
        assert seen(server, id).status is PullRequestStatus.IN_REVIEW
        server.approve(id, "edsger")
        assert seen(server, id).status is PullRequestStatus.APPROVED


def test_authors_do_not_review_their_own() -> None:
    with PullRequestRegistry() as server:
        id = in_review(server)
        with pytest.raises(OwnReviewError, match="ada is the author"):
            server.approve(id, "ada")


def test_a_commit_takes_approvals_and_checks_back() -> None:
    with PullRequestRegistry() as server:
        id = in_review(server)
        server.report_checks(id, CheckResult.PASSED)
        server.approve(id, "grace")
        server.push(id)
        found = seen(server, id)
        assert (found.status, found.approvals) == (PullRequestStatus.IN_REVIEW, 0)
        server.approve(id, "grace")
        with pytest.raises(ChecksNotPassedError, match="are pending"):
            server.merge(id)
        server.report_checks(id, CheckResult.PASSED)
        watch = server.watch(id)
        server.merge(id)
        assert watch.result(0) is PullRequestStatus.MERGED
        with pytest.raises(NotNowError):
            server.push(id)


@pytest.mark.parametrize(
    ("steps", "status"),
    [(0, PullRequestStatus.DRAFT), (1, PullRequestStatus.OPEN)],
)
def test_a_commit_before_the_review_changes_no_status(
    steps: int, status: PullRequestStatus
) -> None:
    with PullRequestRegistry() as server:
        id = PullRequestId.new()
        server.begin(id, "ada", "Fix a typo")
        if steps:
            server.ready(id)
        server.push(id)
        assert seen(server, id).status is status


def test_reviewers_are_reminded_every_other_day() -> None:
    clock = ManualClock()
    with PullRequestRegistry(clock=clock) as server:
        id = in_review(server)
        clock.advance(days=2)
        clock.advance(days=2, milliseconds=-1)
        assert seen(server, id).reminders == 1
        clock.advance(milliseconds=1)
        assert seen(server, id).reminders == 2
        effects = [each.effect.value for each in server.pending_effects()]
        assert effects == ["ask_for_review"] * 3


def test_what_is_closed_can_be_opened_again_until_it_is_archived() -> None:
    clock, store = ManualClock(), MemoryStore()
    with PullRequestRegistry(store=store, clock=clock) as server:
        id = in_review(server)
        watch = server.watch(id)
        server.decline(id)
        assert watch.result(0) is PullRequestStatus.CLOSED
        clock.advance(days=89)
        server.reopen(id)
        clock.advance(days=30)
        assert seen(server, id).status is PullRequestStatus.CLOSED
    clock.advance(days=100)
    with PullRequestRegistry(store=store, clock=clock) as server:
        assert seen(server, id).status is PullRequestStatus.ARCHIVED
        entries = server.activity().list_since(0).entries
        assert [each.action for each in entries[-4:]] == [
            PullRequestAction.DECLINE,
            PullRequestAction.REOPEN,
            PullRequestAction.DECLINE,
            PullRequestAction.ARCHIVE,
        ]
        assert server.broken_invariants() == []

"""The thread of a cluster: questions that no server answers, and that no caller waits for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager

import pytest
from opslifecycle import PersistenceError, RegistryClosedError
from opslifecycle.cluster import worker as workers
from opslifecycle.cluster.worker import Worker
from opslifecycle.stores.postgres.link import Deadline, Link, NotConnectedError
from opslifecycle.stores.postgres.session import Target

from opslifecycle.operations.storage import CODEC
from tests.support.postgres.databases import Database
from tests.support.waiting import until

DEADLINE_SECONDS = 30


class Unreachable(Target):
    """A server that takes no connection."""

    def connect(self, purpose: str, deadline: Deadline) -> Link:
        raise NotConnectedError("no route to the server")


@contextmanager
def worker_of(target: Target) -> Iterator[Worker]:
    worker = Worker(target, CODEC.schema, 0.2, lambda request: None, lambda names: None)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def answer(link: Link, deadline: Deadline) -> str:
    return "answer"


def test_a_question_that_no_server_takes_fails_after_its_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "PATIENCE_SECONDS", 0.2)
    with (
        worker_of(Unreachable("host=nowhere", "app")) as worker,
        pytest.raises(PersistenceError, match="no route to the server; check that"),
    ):
        worker.ask(answer).result(DEADLINE_SECONDS)


def test_questions_fail_when_the_thread_ends() -> None:
    with worker_of(Unreachable("host=nowhere", "app")) as worker:
        asked = worker.ask(answer)
    late = worker.ask(answer)
    for each in (asked, late):
        with pytest.raises(RegistryClosedError):
            each.result(DEADLINE_SECONDS)


def test_a_question_that_is_cancelled_while_it_is_asked_holds_up_no_other(
    postgres: Database,
) -> None:
    asked: list[Link] = []
    cancelled = threading.Event()

    def slow(link: Link, deadline: Deadline) -> str:
        asked.append(link)
        assert cancelled.wait(DEADLINE_SECONDS)
        return "too late"

    with worker_of(Target(postgres.dsn, postgres.schema)) as worker:
        worker.ask(worker.following.prepare).result(DEADLINE_SECONDS)
        first = worker.ask(slow)
        until(lambda: asked)
        first.cancel()
        cancelled.set()
        assert worker.ask(lambda link, _: link).result(DEADLINE_SECONDS) is asked[0]
        with pytest.raises(CancelledError):
            first.result()
    assert len(asked) == 1

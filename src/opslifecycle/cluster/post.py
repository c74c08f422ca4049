"""The commands that this host has sent and not received an answer to."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import attrs
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.cluster.errors import NotAnsweredError
from opslifecycle.cluster.requests import Answer, Requests
from opslifecycle.cluster.wire import Wire
from opslifecycle.errors import CommitInDoubtError, OpsLifecycleError
from opslifecycle.shell.commands import in_its_arguments
from opslifecycle.shell.pending import Waiting, set_results
from opslifecycle.stores.postgres.link import Deadline, Link

#: How long an owner that applies a request has to answer before it is asked again.
_AGAIN_NS = 1_000_000_000


@attrs.define(eq=False)
class Sent:
    """A command on its way."""

    registry: str
    number: int
    text: str
    waiting: Waiting
    wire: Wire
    #: When it is withdrawn, on the monotonic clock.
    until_ns: int
    id: str = attrs.Factory(lambda: str(uuid4()))
    #: Whether the server may have it, and whether it certainly has.
    is_tried: bool = False
    is_sent: bool = False


class Post:
    """The commands; only the thread of the cluster uses them.

    Args:
        requests: The statements.
        name: What messages call the server.
    """

    def __init__(self, requests: Requests, name: str) -> None:
        self._requests = requests
        self._name = name
        self._sent: dict[str, Sent] = {}

    def add(self, sent: Sent) -> None:
        """Send a command with the next turn."""
        self._sent[sent.id] = sent

    def send(self, link: Link, until: Deadline) -> None:
        """Send the commands that the server may not have."""
        new = [each for each in self._sent.values() if not each.is_sent]
        if new:
            for each in new:
                each.is_tried = True
            self._requests.send(link, [(each.id, each.number, each.text) for each in new], until)
            for each in new:
                each.is_sent = True

    def answers(self, link: Link, until: Deadline) -> list[Answer]:
        """Return the answers that have arrived."""
        return self._requests.answers(link, until) if self._sent else []

    def deliver(self, link: Link, answers: Sequence[Answer], until: Deadline) -> None:
        """Set the results of answered commands, and delete the requests."""
        for each in answers:
            sent = self._sent.pop(each.id, None)
            if sent is not None:
                _set_result(sent, sent.wire.answer(each.text))
        if answers:
            self._requests.forget(link, [each.id for each in answers], until)

    def withdraw_overdue(self, link: Link, until: Deadline) -> None:
        """Withdraw the commands whose time is over, and that no owner is applying."""
        for each in self._overdue():
            if self._requests.withdraw(link, each.id, each.number, until):
                self._fail(each, NotAnsweredError(each.registry))
            else:
                each.until_ns = SYSTEM_CLOCK.monotonic_ns() + _AGAIN_NS

    def give_up_overdue(self, cause: str) -> None:
        """Fail the commands whose time is over, because the server cannot be reached."""
        for each in self._overdue():
            in_doubt = CommitInDoubtError(self._name, cause)
            self._fail(each, in_doubt if each.is_tried else NotAnsweredError(each.registry))

    def fail_all(self, reason: type[OpsLifecycleError]) -> None:
        """Fail every command."""
        for each in list(self._sent.values()):
            self._fail(each, reason())

    def _overdue(self) -> list[Sent]:
        now = SYSTEM_CLOCK.monotonic_ns()
        return [each for each in self._sent.values() if now >= each.until_ns]

    def _fail(self, sent: Sent, error: OpsLifecycleError) -> None:
        self._sent.pop(sent.id, None)
        _set_result(sent, error)


def _set_result(sent: Sent, answer: object) -> None:
    set_results([(sent.waiting, None, in_its_arguments, (), False)], [answer])

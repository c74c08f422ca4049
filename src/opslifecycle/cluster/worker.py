"""The thread of a cluster, which has its one connection to the server.

It sends commands to other hosts, reads their answers, follows registries, and claims the requests
of other hosts. Notifications say when there is something to do; a look at everything in each pause
replaces those that were lost. All state belongs to the thread: other threads post calls to it.
"""

from __future__ import annotations

import secrets
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

import attrs
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.cluster.following import Followed, Following
from opslifecycle.cluster.post import Post
from opslifecycle.cluster.questions import Question
from opslifecycle.cluster.requests import Request, Requests
from opslifecycle.errors import RegistryClosedError
from opslifecycle.logs import EventLog
from opslifecycle.stores.base import Commit
from opslifecycle.stores.postgres.link import Deadline, Link, LinkLostError, RefusedError, within
from opslifecycle.stores.postgres.session import PATIENCE_SECONDS, Target
from opslifecycle.stores.postgres.store import PostgresStore
from opslifecycle.stores.schema_version import SchemaVersion

T = TypeVar("T")
_log = EventLog("cluster")
_RETRY_SECONDS = 0.1
_CLEAN_SECONDS = 600.0


@attrs.define(eq=False)
class _Due:
    """What the next turn has to look at."""

    everything: bool = True
    answers: bool = False
    registries: set[int] = attrs.Factory(set)


class Worker:
    """The thread.

    Args:
        target: The schema.
        version: The machine.
        poll_seconds: The pause between two looks at everything.
        apply: Called in the thread with each request to a registry that this host owns.
        freed: Called in the thread with the names of followed registries to open here.
    """

    def __init__(
        self,
        target: Target,
        version: SchemaVersion,
        poll_seconds: float,
        apply: Callable[[Request], None],
        freed: Callable[[list[str]], None],
    ) -> None:
        self.host = secrets.randbits(62)
        self.following = Following(target, version)
        self._target = target
        self._poll_ns = round(poll_seconds * 1e9)
        self._apply = apply
        self._freed = freed
        self.requests = Requests(target.schema, self.host)
        self.post = Post(self.requests, target.name)
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        #: What needs the connection, until it was done.
        self._jobs: deque[Callable[[Link], None]] = deque()
        self._followed: dict[int, Followed] = {}
        #: The registries that this host owns, and under which id.
        self._owned: dict[int, int] = {}
        #: The requests that are being applied here.
        self._busy: set[str] = set()
        self._moved: set[int] = set()
        self._answered: set[int] = set()
        self._due = _Due()
        self._next_ns = self._clean_ns = 0
        self._link: Link | None = None
        self._is_stopping = self._has_ended = False
        self._pair = socket.socketpair()
        for end in self._pair:
            end.setblocking(False)
        self._thread = threading.Thread(target=self._work, name="opslifecycle-cluster", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    # Calls from other threads -------------------------------------------------------------------

    def do(self, call: Callable[[], None]) -> None:
        """Have the thread call a function, which may change the thread's state."""
        self._calls.put(call)
        try:
            self._pair[0].send(b"x")
        except OSError:
            # It is awake already, or has ended.
            pass

    def ask(self, question: Callable[[Link, Deadline], T]) -> Future[T]:
        """Have the thread ask the server something; repeating the question must be harmless."""
        asked = Question(question, within(PATIENCE_SECONDS), self._target.name)
        self.do(lambda: self._jobs.append(asked))
        if self._has_ended:
            # Maybe the thread took it first.
            asked.fail(RegistryClosedError())
        return asked.answer

    def follow(self, followed: Followed) -> None:
        """Follow a registry from now on."""
        self.do(lambda: self._begin_following(followed))

    def unfollow(self, followed: Followed) -> None:
        """Follow a registry no longer, unless it is followed for a later handle."""
        self.do(lambda: self._end_following(followed))

    def own(self, number: int, owner: int) -> None:
        """Apply the requests to a registry from now on, which this process owns under an id."""

        def begin() -> None:
            self._owned[number] = owner
            self._listen(self.requests.channels.host(owner))
            self._due.everything = True

        self.do(begin)

    def disown(self, number: int, owner: int) -> None:
        """Apply the requests to a registry no longer, unless it is owned under another id since."""

        def end() -> None:
            if self._owned.get(number) == owner:
                del self._owned[number]

        self.do(end)

    def moved(self, number: int) -> None:
        """Tell the followers of a registry of this host that it has changed."""
        self.do(lambda: self._moved.add(number))

    def applied(self, request: Request, *, is_answered: bool) -> None:
        """Note the end of a request; one without an answer is claimed again later."""

        def note() -> None:
            self._busy.discard(request.id)
            if is_answered:
                self._answered.add(request.sender)

        self.do(note)

    def stop(self) -> None:
        """Stop the thread; commands without an answer fail."""
        self.do(self._stop)
        # An interrupt may have come before it was started.
        if self._thread.ident is not None:
            self._thread.join()

    # The thread ---------------------------------------------------------------------------------

    def _stop(self) -> None:
        self._is_stopping = True

    def _begin_following(self, followed: Followed) -> None:
        self._followed[followed.number] = followed
        self._listen(self.requests.channels.registry(followed.number))
        # It may have changed since it was read.
        self._due.registries.add(followed.number)

    def _end_following(self, followed: Followed) -> None:
        number = followed.number
        if self._followed.get(number) is followed:
            del self._followed[number]
            channel = self.requests.channels.registry(number)
            self._jobs.append(lambda link: _run(link, f'UNLISTEN "{channel}"'))

    def _listen(self, channel: str) -> None:
        self._jobs.append(lambda link: _run(link, f'LISTEN "{channel}"'))

    def _work(self) -> None:
        try:
            while not self._is_stopping:
                self._pause()
                self._take_calls()
                try:
                    self._turn(self._linked())
                except (LinkLostError, RefusedError) as error:
                    self._lose(error)
                except Exception as error:
                    text = "%s: an unexpected error of the cluster"
                    _log.error("worker_failed", text, self._target.name, cause=error)
                    self._lose(LinkLostError("an unexpected error"))
        finally:
            # First, so that what is posted later knows that the thread does not take it.
            self._has_ended = True
            self._take_calls()
            self.post.fail_all(RegistryClosedError)
            for question in self._questions():
                question.fail(RegistryClosedError())
            if self._link is not None:
                self._link.close()
            for end in self._pair:
                end.close()

    def _take_calls(self) -> None:
        try:
            while True:
                self._calls.get_nowait()()
        except Empty:
            pass

    def _pause(self) -> None:
        """Wait for a call, a notification or the next look at everything."""
        left = (self._next_ns - SYSTEM_CLOCK.monotonic_ns()) / 1e9
        link = self._link
        due = self._due
        if due.everything or due.answers or due.registries or self._jobs:
            left = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self._pair[1], selectors.EVENT_READ)
            if link is not None and link.is_open:
                selector.register(link, selectors.EVENT_READ)
            selector.select(max(0.0, left))
        try:
            self._pair[1].recv(4096)
        except BlockingIOError:
            pass

    def _linked(self) -> Link:
        if self._link is None or not self._link.is_open:
            self._link = link = self._target.connect("cluster", within(PATIENCE_SECONDS))
            channels = self.requests.channels
            hosts = {self.host, *self._owned.values()}
            for name in (*map(channels.host, hosts), *map(channels.registry, self._followed)):
                _run(link, f'LISTEN "{name}"')
            self._due.everything = True
        return self._link

    def _questions(self) -> list[Question[object]]:
        return [each for each in self._jobs if isinstance(each, Question)]

    def _lose(self, error: LinkLostError | RefusedError) -> None:
        """Begin anew after the loss of the connection."""
        if self._link is not None:
            self._link.close()
        self._due.everything = True
        self.post.give_up_overdue(str(error))
        for question in self._questions():
            # A server that cannot be reached answers nothing, and the callers wait no longer.
            question.give_up(error)
        threading.Event().wait(_RETRY_SECONDS)

    def _turn(self, link: Link) -> None:
        """Do what is due, once."""
        until = within(PATIENCE_SECONDS)
        while self._jobs:
            self._jobs[0](link)
            self._jobs.popleft()
        self.post.send(link, until)
        self._note(link)
        if SYSTEM_CLOCK.monotonic_ns() >= self._next_ns:
            self._due.everything = True
        due, self._due = self._due, _Due(everything=False)
        try:
            self._look(link, due, until)
        except BaseException:
            self._due.everything = True
            raise
        moved, self._moved = self._moved, set()
        answered, self._answered = self._answered, set()
        self.requests.tell(link, moved, answered, until)
        self._note(link)

    def _note(self, link: Link) -> None:
        """Note what the notifications that have arrived are about."""
        registry = self.requests.channels.registry_prefix
        for channel, _ in link.take_notices():
            if channel.startswith(registry):
                self._due.registries.add(int(channel.removeprefix(registry)))
            else:
                self._due.answers = True

    def _look(self, link: Link, due: _Due, until: Deadline) -> None:
        if due.answers or due.everything:
            answers = self.post.answers(link, until)
            # The caller reads what its own command has done.
            due.registries |= {each.registry for each in answers}
            self._claim(link, until)
        else:
            answers = []
        free: list[int] = []
        if due.everything:
            moved, free = self.following.overview(link, self._followed, until)
            due.registries.update(moved)
        for number in due.registries:
            followed = self._followed.get(number)
            if followed is not None:
                self.following.refresh(link, followed, until)
        self.post.deliver(link, answers, until)
        if due.everything:
            self._look_at_everything(link, free, until)

    def _claim(self, link: Link, until: Deadline) -> None:
        for owner in {*self._owned.values()}:
            for request in self.requests.claim(link, owner, self._busy, until):
                # Another cluster of this process may have opened the registry.
                if request.registry in self._owned:
                    self._busy.add(request.id)
                    self._apply(request)

    def _look_at_everything(self, link: Link, free: list[int], until: Deadline) -> None:
        now = SYSTEM_CLOCK.monotonic_ns()
        self._next_ns = now + self._poll_ns
        self.post.withdraw_overdue(link, until)
        for followed in [each for each in self._followed.values() if not each.is_open]:
            self._end_following(followed)
        names = [self._followed[number].name for number in free if number in self._followed]
        if names:
            self._freed(names)
        if now >= self._clean_ns:
            self._clean_ns = now + round(_CLEAN_SECONDS * 1e9)
            self.requests.clean(link, until)


def _run(link: Link, statement: str) -> None:
    link.run(statement, deadline=within(PATIENCE_SECONDS))


class ClusterStore(PostgresStore):
    """The store of a registry that this host owns, whose commits other hosts follow."""

    worker: Worker
    #: Called when the registry was closed.
    closed: Callable[[], None]

    def append(self, commit: Commit) -> None:
        """See `Store.append`."""
        super().append(commit)
        self.worker.moved(self.number)

    def close(self) -> None:
        """See `Store.close`."""
        if self.is_open:
            self.worker.disown(self.number, self.owner)
            self.closed()
        super().close()

"""The alarm: it asks for the actions of timers when they are due, in one thread.

The authority decides, as for any caller. A command that is rejected, or that the store cannot
write, is asked for again, later and later, as long as its timer is set. ADR 0028 says why.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeAlias

from opslifecycle.clock import CommandTime, ManualClock
from opslifecycle.errors import OpsLifecycleError, OwnershipLostError, RegistryClosedError
from opslifecycle.logs import EventLog
from opslifecycle.shell.authority import Authority, IdT, RecordT
from opslifecycle.shell.commands import Command, Decision
from opslifecycle.shell.messages import RETRY_SECONDS_MIN, retry_seconds
from opslifecycle.shell.timers import Plan, PlannedTimer, TimersDefinition
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.sync.waking import Gate

#: So many commands of timers go to the store together.
_BATCH = 1_000
#: How long the thread sleeps at most: the wall clock may have been set forward meanwhile.
_SLEEP_SECONDS = 30.0
#: How long closing waits for the commands that are under way.
CLOSE_SECONDS = 10.0
_log = EventLog("timers")

#: Runs commands in their order; returns the value or the error of each.
RunAll: TypeAlias = Callable[[Sequence[Command[bool]]], Sequence[bool | OpsLifecycleError]]


class Alarm(Generic[IdT, RecordT]):
    """The timers of one registry, and the thread that waits for them.

    A `ManualClock` takes the place of the thread: what moves it runs what is due.
    """

    def __init__(
        self,
        lock: PublicationLock,
        authority: Authority[IdT, RecordT],
        time: CommandTime,
        definition: TimersDefinition,
    ) -> None:
        self._lock = lock
        self._authority = authority
        self._time = time
        self._timers = definition.timers
        self._plan: Plan[IdT] = Plan(definition.timers_of)
        #: Runs commands in their order; set when the executor has started.
        self._run_all: RunAll | None = None
        self._queue: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        # What the thread sleeps until; None while it looks at the plan.
        self._sleeps_until_ms: int | None = None
        self._done = Gate()
        # No `threading.Event`: a finalizer may set it, at any moment of any thread.
        self._stopped = False

    def __len__(self) -> int:
        """Return 1: the effects on timers are always applied, whether or not one is set."""
        return 1

    # Planning: called with the publication lock held ---------------------------------------------

    def note(self, record: RecordT) -> None:
        """Plan the timers of a record as it is now."""
        self._plan.note(record)
        self._wake()

    def cancel(self, record: RecordT) -> None:
        """Cancel the timers of a record that is removed."""
        self._plan.cancel(record)

    def _wake(self) -> None:
        """Have the thread look at the plan if something is due before it would."""
        if self._run_all is None or isinstance(self._time.clock, ManualClock):
            return
        next_ms = self._plan.next_ms()
        if next_ms is None:
            return
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="opslifecycle-timers", daemon=True)
            try:
                thread.start()
            except RecursionError:
                raise
            except RuntimeError as error:
                # The command is accepted, and the next one that plans a timer tries again.
                _log.error("no_thread", "no thread for the timers of a registry: %s", error)
                return
            self._thread = thread
        elif self._sleeps_until_ms is not None and next_ms < self._sleeps_until_ms:
            self._queue.put(None)

    # Starting and stopping ------------------------------------------------------------------------

    def start(self, records: Iterable[RecordT], run_all: RunAll) -> None:
        """Plan the timers of recovered records, and begin to ask for their actions."""
        self._lock.hold(self._start, records, run_all)
        if isinstance(self._time.clock, ManualClock):
            self._time.clock.attach(self)

    def _start(self, records: Iterable[RecordT], run_all: RunAll) -> None:
        for record in records:
            self._plan.note(record)
        self._run_all = run_all
        self._wake()

    def run_by(self, run_all: RunAll) -> None:
        """Ask for the actions by another function from now on."""
        self._run_all = run_all

    def stop(self, *, wait: bool) -> None:
        """Ask for nothing more; waits for what is under way, unless that waits for this."""
        self._stopped = True
        self._queue.put(None)
        thread = self._thread
        if wait and thread is not None and thread is not threading.current_thread():
            self._done.wait(CLOSE_SECONDS)

    def detach_after_fork(self) -> None:
        """Forget the thread, which is in the parent, in a forked child."""
        self._stopped, self._thread = True, None

    # Asking ---------------------------------------------------------------------------------------

    def milliseconds_left(self) -> int | None:
        """Return how long nothing is due, at least 0; None if no timer is set."""
        next_ms = self._lock.hold(self._plan.next_ms)
        if next_ms is None or self._stopped:
            return None
        return max(0, next_ms - self._time.now_ms())

    def run_due(self) -> None:
        """Ask for the actions of all timers that are due, in order."""
        try:
            while not self._stopped:
                due = self._lock.hold(self._plan.take, self._time.now_ms(), _BATCH)
                if not due or self._run_all is None:
                    return
                answers = self._run_all([self._command(each) for each in due])
                self._lock.hold(self._note_answers, due, answers)
        except BaseException:
            # The next call asks for these, too: of this thread, or of the clock when it is moved.
            self._lock.hold(self._plan.put_back_taken)
            raise

    def _command(self, planned: PlannedTimer[IdT]) -> Command[bool]:
        """Return the command of a timer. Its value says whether the timer was still to wait."""
        timer = self._timers[planned.place]
        arguments = (planned.id, *timer.given)

        def run(authority: Authority[IdT, RecordT]) -> Decision[bool, RecordT]:
            record = authority.records.get(planned.id)
            due_ms = None if record is None else self._plan.due_of(record, planned)
            if record is None or due_ms != planned.due_ms:
                return False, (), False
            if due_ms > authority.clock_offset_ms + authority.now_ms:
                return True, (), False
            effects = timer.decide(authority, *arguments)
            if isinstance(effects, OpsLifecycleError):
                return effects, (), False
            return False, [(authority.records[planned.id], effects)], True

        return Command(run, timer.decide, arguments)

    def _note_answers(
        self, due: Sequence[PlannedTimer[IdT]], answers: Sequence[bool | OpsLifecycleError]
    ) -> None:
        for planned, answer in zip(due, answers, strict=True):
            if isinstance(answer, RegistryClosedError | OwnershipLostError):
                self._stopped = True
            elif isinstance(answer, OpsLifecycleError):
                planned.failures += 1
                later_ms = round(retry_seconds(planned.failures) * 1000)
                _log.info("timer_repeated", "a timer of %s is tried again: %s", planned.id, answer)
                self._plan.put_back(planned, self._time.now_ms() + later_ms)
            elif answer:
                self._plan.put_back(planned, planned.due_ms)

    # The thread -----------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._serve()
        finally:
            self._done.open()

    def _serve(self) -> None:
        """Ask for what is due until that is to stop, whatever interrupts it."""
        while True:
            try:
                self._ask()
                return
            except BaseException as error:
                text = "asking for the actions of timers was interrupted, and begins again"
                _log.error("timers_interrupted", text, cause=error)
                with suppress(Empty):
                    # Not at once: what has failed may fail again.
                    self._queue.get(timeout=RETRY_SECONDS_MIN)

    def _ask(self) -> None:
        # Not in the `try` of `_serve`: its jump back would not be part of that (Python 3.12).
        while not self._stopped:
            self.run_due()
            self._sleep()

    def _sleep(self) -> None:
        seconds = self._lock.hold(self._until_next)
        try:
            self._queue.get(timeout=seconds)
        except Empty:
            pass
        self._sleeps_until_ms = None

    def _until_next(self) -> float | None:
        """Return how many seconds to sleep; None for as long as no timer is set."""
        next_ms = self._plan.next_ms()
        now_ms = self._time.now_ms()
        if next_ms is None:
            # Whatever is planned next is earlier.
            self._sleeps_until_ms = 2**63
            return None
        seconds = min(max(next_ms - now_ms, 0) / 1000, _SLEEP_SECONDS)
        self._sleeps_until_ms = next_ms
        return seconds

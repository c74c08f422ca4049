"""The functions whose calls are stored, and the operations of an earlier process that call them."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from opslifecycle import InvalidValueError, SessionId
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.values.identifiers import AnyIdentifier
from opslifecycle.work.arguments import work_of
from opslifecycle.work.attempts import runs_in_loop
from opslifecycle.work.job import Function, Job, Process
from opslifecycle.work.jobs import Jobs
from opslifecycle.work.lifecycle import AnyLifecycle, Label
from opslifecycle.work.stored_calls import (
    Adopt,
    Decision,
    EndAsFailed,
    Interrupted,
    Json,
    OnInterrupted,
    StartAgain,
    StoredCall,
    retry_to_store,
)


class Recovering:
    """The functions by which the operations of earlier processes are run again.

    Args:
        lifecycle: The calls of the registry.
        jobs: The jobs, to which recovered ones are added.
    """

    def __init__(self, lifecycle: AnyLifecycle, jobs: Jobs) -> None:
        self._lifecycle = lifecycle
        self._jobs = jobs
        self._functions: dict[str, Function] = {}

    def _add(self, functions: Mapping[str, Function]) -> None:
        for name, function in functions.items():
            if not isinstance(name, str) or not callable(function):
                reason = f"expected names of functions, got {name!r:.80}: {function!r:.80}"
                raise InvalidValueError("functions", reason)
        self._functions.update(functions)

    def store(self, job: Job, metadata: Mapping[str, Json] | None) -> None:
        """Have the call of a new job stored with its record, if its function has a name.

        Raises:
            InvalidValueError: A part of the call cannot be stored.
        """
        # By equality, because each access to a method of an object makes another function.
        name = next((name for name, each in self._functions.items() if each == job.work), None)
        if name is None:
            if metadata is not None:
                reason = "only the call of a function from `recover` is stored with metadata"
                raise InvalidValueError("metadata", reason)
            return
        attempts, backoff_seconds = retry_to_store(job.retry)
        call = StoredCall(
            function=name,
            arguments=job.arguments,  # type: ignore[arg-type]
            name=job.label.name,
            source=job.label.source,
            owner=str(job.owner),
            stored_at_ns=SYSTEM_CLOCK.wall_ns(),
            timeout_seconds=job.timeout_seconds,
            priority=job.priority,
            attempts=attempts,
            backoff_seconds=backoff_seconds,
            metadata=metadata or {},
        )
        job.label = attrs.evolve(job.label, call=call.text())

    def recover(
        self, functions: Mapping[str, Function], on_interrupted: OnInterrupted
    ) -> list[Job]:
        """Take up the operations that an earlier process has left behind, the oldest first.

        Args:
            functions: Functions by the names under which their calls are stored.
            on_interrupted: Decides on each operation whose work had begun.

        Returns:
            Their jobs. Operations whose functions have no name here are left as they are.

        Raises:
            UnsupportedError: The machine stores no calls.
            InvalidValueError: A name is no text, or has no function.
        """
        left = self._lifecycle.left_behind()
        self._add(functions)
        calls = [(id, StoredCall.parse(text), was_queued) for id, text, was_queued in left]
        known = [
            (call, id, was_queued)
            for id, call, was_queued in calls
            if call is not None and call.function in self._functions
        ]
        found = []
        for call, id, was_queued in sorted(known, key=lambda each: each[0].stored_at_ns):
            if self._jobs.find(id) is not None:
                continue
            decision: Decision = StartAgain()
            if not was_queued:
                decision = _checked(on_interrupted(_interrupted(id, call)))
            job = self._job(id, call, decision)
            job.is_recorded_as_running = not was_queued
            if self._take(job, decision):
                found.append(job)
        return found

    def _take(self, job: Job, decision: Decision) -> bool:
        """Add the job of an operation, unless another caller has claimed that."""
        try:
            if not self._lifecycle.claim(job.id):
                return False
            if isinstance(decision, EndAsFailed):
                self._jobs.add_failed(job, decision.error)
            else:
                self._jobs.add(job)
        except BaseException:
            if job not in self._jobs:
                # Another call can take it.
                self._lifecycle.unclaim(job.id)
            raise
        return True

    def _job(self, id: AnyIdentifier, call: StoredCall, decision: Decision) -> Job:
        work: Function | Process = self._functions[call.function]
        arguments: tuple[object, ...] = call.arguments
        if isinstance(decision, Adopt):
            work, arguments = decision.work, decision.arguments
        return Job(
            id=id,
            label=Label(call.name, call.source, SessionId(call.owner), {}),
            work=work,
            arguments=arguments,
            timeout_seconds=call.timeout_seconds,
            retry=call.retry,
            priority=call.priority,
            runs_in_loop=runs_in_loop(work),
        )


def _interrupted(id: AnyIdentifier, call: StoredCall) -> Interrupted:
    return Interrupted(id, call.name, call.function, call.arguments, call.metadata)


def _checked(decision: object) -> Decision:
    if not isinstance(decision, EndAsFailed | StartAgain | Adopt):
        reason = f"expected EndAsFailed, StartAgain or Adopt, got {decision!r:.80}"
        raise InvalidValueError("on_interrupted", reason)
    if isinstance(decision, Adopt):
        work_of(decision.work, decision.arguments)
    return decision

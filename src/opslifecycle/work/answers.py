"""The answers to a request to cancel an operation."""

from __future__ import annotations

from typing import Generic, TypeAlias

import attrs
from opslifecycle import ChannelClosedError, OpsLifecycleError
from opslifecycle.sync.waits import Wait
from opslifecycle.work.lifecycle import Lifecycle
from opslifecycle.work.machines import IdT, OutcomeT, ResultsT


@attrs.frozen
class WorkCancelled(Generic[OutcomeT]):
    """The answer of a request that took effect: record and work have ended as cancelled."""

    outcome: OutcomeT


@attrs.frozen
class AlreadyFinished(Generic[OutcomeT]):
    """The answer of a request that came too late, with the outcome of the operation."""

    outcome: OutcomeT


@attrs.frozen
class UnknownOperation:
    """The answer of a request for an id that no record of the registry has."""


CancelAnswer: TypeAlias = WorkCancelled[OutcomeT] | AlreadyFinished[OutcomeT] | UnknownOperation


async def cancel_record(
    lifecycle: Lifecycle[IdT, OutcomeT, ResultsT], id: IdT, reason: str | None
) -> CancelAnswer[OutcomeT]:
    """End a record whose work runs elsewhere, or nowhere."""
    watch = lifecycle.find(id)
    if watch is None:
        return UnknownOperation()
    was_done = watch.done()
    if not was_done:
        try:
            await lifecycle.cancel(id, reason)
        except OpsLifecycleError:
            if not lifecycle.is_over(id):
                raise
    return await answer(lifecycle, watch, was_done)


async def answer(
    lifecycle: Lifecycle[IdT, OutcomeT, ResultsT], watch: Wait[OutcomeT], was_done: bool
) -> CancelAnswer[OutcomeT]:
    """Return the answer to a request, once the operation has ended.

    Args:
        lifecycle: The calls of the registry.
        watch: The watch of the operation.
        was_done: Whether the operation had ended before the request.
    """
    try:
        outcome = await watch
    except ChannelClosedError:
        return UnknownOperation()
    if lifecycle.is_cancelled(outcome) and not was_done:
        return WorkCancelled(outcome)
    return AlreadyFinished(outcome)

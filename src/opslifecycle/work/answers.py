"""What a request to cancel an operation is answered with."""

from __future__ import annotations

from typing import TypeAlias

import attrs
from opslifecycle import (
    Cancelled,
    ChannelClosedError,
    OperationCompletionWatch,
    OperationId,
    OperationTerminalOutcome,
)
from opslifecycle.work.lifecycle import Lifecycle


@attrs.frozen
class WorkCancelled:
    """The answer to a request to cancel: record and work have ended as cancelled."""

    outcome: Cancelled


@attrs.frozen
class AlreadyFinished:
    """The answer to a request to cancel that came too late: how the operation has ended instead."""

    outcome: OperationTerminalOutcome


@attrs.frozen
class UnknownOperation:
    """The answer to a request to cancel an operation that the registry does not hold (any more)."""


CancelAnswer: TypeAlias = WorkCancelled | AlreadyFinished | UnknownOperation


async def cancel_record(lifecycle: Lifecycle, id: OperationId, reason: str | None) -> CancelAnswer:
    """End a record whose work runs elsewhere, or nowhere."""
    try:
        watch = lifecycle.watch(id)
    except lifecycle.over:
        return UnknownOperation()
    was_done = watch.done()
    if not was_done:
        try:
            await lifecycle.cancel(id, reason)
        except lifecycle.over:
            pass
    return await answer(watch, was_done)


async def answer(watch: OperationCompletionWatch, was_done: bool) -> CancelAnswer:
    """Wait for the end of an operation that was asked to end, unless it had ended before."""
    try:
        outcome = await watch
    except ChannelClosedError:
        return UnknownOperation()
    if isinstance(outcome, Cancelled) and not was_done:
        return WorkCancelled(outcome)
    return AlreadyFinished(outcome)

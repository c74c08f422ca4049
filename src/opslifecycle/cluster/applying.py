"""The requests of other hosts, applied to a registry that this host owns."""

from __future__ import annotations

import attrs
from opslifecycle.cluster.requests import Request
from opslifecycle.cluster.wire import Wire
from opslifecycle.errors import (
    OpsLifecycleError,
    OwnershipLostError,
    PersistenceError,
    RegistryClosedError,
)
from opslifecycle.logs import EventLog
from opslifecycle.shell.commands import Command, Reply, Together
from opslifecycle.shell.executor import Executor

_log = EventLog("cluster")


@attrs.define
class Applying:
    """A request that is being applied.

    Attributes:
        request: The request.
        is_answered: Whether the commit of its command has stored the answer.
        is_noted: Whether the worker knows that the application has ended.
    """

    request: Request
    is_answered: bool = False
    is_noted: bool = False


async def apply(wire: Wire, executor: Executor, request: Request) -> bool:
    """Have a request decided and committed with its answer.

    Args:
        wire: The conversion of commands.
        executor: The executor of the registry.
        request: The request.

    Returns:
        Whether its answer is stored. Otherwise nothing of it has happened, or the registry is
        closed, and its next owner finds out.
    """
    try:
        command = wire.request(request.command, request.id)
    except OpsLifecycleError as error:
        return await _refuse(wire, executor, request, error)
    reply = command.reply
    assert reply is not None
    try:
        if isinstance(command, Together):
            await executor.transact_async(command)
        else:
            await executor.run_async(command)
    except (PersistenceError, RegistryClosedError, OwnershipLostError):
        return reply.is_stored
    except OpsLifecycleError as error:
        # The rejection is the answer, except if the command never came to be decided.
        return reply.is_stored or await _refuse(wire, executor, request, error)
    return reply.is_stored


async def _refuse(
    wire: Wire, executor: Executor, request: Request, error: OpsLifecycleError
) -> bool:
    """Store an error as the answer to a request."""
    reply = Reply(request.id, lambda value, changes: wire.of_error(error))

    def run(authority: object) -> tuple[None, tuple[()], bool]:
        return None, (), False

    try:
        await executor.run_async(Command(run, has_value=False, reply=reply))
    except OpsLifecycleError as failure:
        _log.warning("request_not_answered", "no answer to the request %s: %s", request.id, failure)
    return reply.is_stored

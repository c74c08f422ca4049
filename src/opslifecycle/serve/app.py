"""The ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias

from opslifecycle import OpsLifecycleError, Registry
from opslifecycle.errors import InvalidValueError
from opslifecycle.inspection.locations import Location, location_of
from opslifecycle.inspection.machines import OPERATIONS, Machine, machine_of
from opslifecycle.serve.changing import Changing
from opslifecycle.serve.feeds import Feeds
from opslifecycle.serve.files import page_routes
from opslifecycle.serve.guarding import Guard, checked_token
from opslifecycle.serve.metrics import OperationMetrics, RecordMetrics
from opslifecycle.serve.openapi import document
from opslifecycle.serve.operations import Operations
from opslifecycle.serve.parameters import Parameters
from opslifecycle.serve.problems import (
    ProblemError,
    json_response,
    on_http_error,
    on_problem,
    on_store_error,
    problem,
)
from opslifecycle.serve.records import Records
from opslifecycle.serve.rows import registry_data
from opslifecycle.serve.source import Source
from opslifecycle.values.plain import Data
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Answer: TypeAlias = Callable[[Request], Awaitable[Response]]


def create_app(
    store: str | Path | Location,
    *,
    machine: object = Registry,
    token: str | None = None,
    allow_cancel: bool = False,
    allowed_hosts: Collection[str] = (),
    poll_seconds: float = 0.25,
    heartbeat_seconds: float = 15.0,
) -> Starlette:
    """Return an application that shows the records of a store, to be served or mounted.

    It reads the store and owns no registry in it.

    Args:
        store: The path of a file, or `postgresql://…#schema`.
        machine: The class of the registries that are shown, of either kind; by default those of
            the shipped machine. Registries of other machines are not shown.
        token: What requests must have as `Authorization: Bearer`; at least 16 characters. Without
            it, the application answers only requests that name this computer as their host.
        allow_cancel: Whether `POST /v1/operations/{id}/cancel` passes requests to owners.
        allowed_hosts: Other hosts that requests without a token may name; `*` for all, where
            another application has checked the request already.
        poll_seconds: How often the store is read while streams are open.
        heartbeat_seconds: How often a stream sends a comment when nothing happens.

    Raises:
        InvalidValueError: The token is too short, a number is not positive, or the machine is no
            class of registries, or one that does not take requests to cancel.
        PersistenceError: The path names no file, or the driver of PostgreSQL is not installed.
    """
    _check_positive(poll_seconds=poll_seconds, heartbeat_seconds=heartbeat_seconds)
    location = store if isinstance(store, Location) else location_of(str(store))
    shown = _shown(machine, allow_cancel=allow_cancel)
    source = Source(location, shown, poll_seconds)
    api = document(shown, with_token=token is not None, allow_cancel=allow_cancel)
    return Starlette(
        routes=[
            *page_routes(shown),
            Route("/openapi.json", _document(api)),
            Route("/healthz", _healthy),
            Route("/readyz", _ready(source)),
            Route("/v1/registries", _registries(source)),
            *_records(source, allow_cancel=allow_cancel),
            *_feed(source, heartbeat_seconds),
            Route("/v1/changes", Changing(source, heartbeat_seconds).changes),
        ],
        middleware=[Middleware(Guard, token=checked_token(token), hosts=allowed_hosts)],
        exception_handlers={
            ProblemError: on_problem,
            HTTPException: on_http_error,
            OpsLifecycleError: on_store_error,
        },
    )


def _check_positive(**given: float) -> None:
    for name, seconds in given.items():
        if not 0 < seconds < float("inf"):
            reason = f"expected a positive number of seconds, got {seconds!r:.80}"
            raise InvalidValueError(name, reason)


def _shown(registry: object, *, allow_cancel: bool) -> Machine:
    """Return the machine of a class of registries."""
    found = machine_of(registry)
    if found.definition is OPERATIONS.definition:
        return OPERATIONS
    if allow_cancel:
        reason = f"no {found.inspection.entity} takes requests to cancel, as operations do"
        raise InvalidValueError("allow_cancel", reason)
    return found


def _records(source: Source, *, allow_cancel: bool) -> list[Route]:
    """Return the routes of records, which have more to show if they are operations."""
    path = f"/v1/{source.machine.inspection.entities}"
    if source.machine is not OPERATIONS:
        records = Records(source)
        return [
            Route("/metrics", RecordMetrics(source).metrics),
            Route(path, records.list),
            # An id of one's own may have slashes.
            Route(f"{path}/{{id:path}}", records.show),
        ]
    operations = Operations(source, allow_cancel=allow_cancel)
    return [
        Route("/metrics", OperationMetrics(source).metrics),
        Route(path, operations.list),
        Route(f"{path}/{{id}}", operations.show),
        Route(f"{path}/{{id}}/log", operations.log),
        Route(f"{path}/{{id}}/cancel", operations.cancel, methods=["POST"]),
    ]


def _feed(source: Source, heartbeat_seconds: float) -> list[Route]:
    """Return the route of the feed, if the machine has one."""
    if source.machine.definition.feed is None:
        return []
    return [Route("/v1/feed", Feeds(source, heartbeat_seconds).feed)]


def _registries(source: Source) -> Answer:
    async def answer(request: Request) -> Response:
        Parameters(request, ())
        found = await source.read(
            lambda found: [registry_data(each, source.machine) for each in found]
        )
        return json_response({"registries": found})

    return answer


def _document(api: Data) -> Answer:
    async def answer(request: Request) -> Response:
        servers = [{"url": request.scope.get("root_path", "") or "/"}]
        return json_response({**api, "servers": servers})

    return answer


def _ready(source: Source) -> Answer:
    async def answer(request: Request) -> Response:
        try:
            await source.read(lambda found: None)
        except OpsLifecycleError:
            # Anyone may ask; those with the token see the reason in any other answer.
            detail = "the store cannot be read; /v1/registries has the reason"
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail)
        return json_response({"status": "ready"})

    return answer


async def _healthy(request: Request) -> Response:
    return json_response({"status": "alive"})

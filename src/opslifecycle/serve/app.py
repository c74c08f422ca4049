"""The ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias

from opslifecycle import OpsLifecycleError
from opslifecycle.errors import InvalidValueError
from opslifecycle.inspection.locations import Location, location_of
from opslifecycle.serve.changing import Changing
from opslifecycle.serve.feeds import Feeds
from opslifecycle.serve.files import page_routes
from opslifecycle.serve.guarding import Guard, checked_token
from opslifecycle.serve.metrics import Metrics
from opslifecycle.serve.openapi import document
from opslifecycle.serve.operations import Operations
from opslifecycle.serve.problems import (
    ProblemError,
    json_response,
    on_http_error,
    on_problem,
    on_store_error,
    problem,
)
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
    token: str | None = None,
    allow_cancel: bool = False,
    allowed_hosts: Collection[str] = (),
    poll_seconds: float = 0.25,
    heartbeat_seconds: float = 15.0,
) -> Starlette:
    """Return an application that shows the operations of a store, to be served or mounted.

    It reads the store and owns no registry in it.

    Args:
        store: The path of a file, or `postgresql://…#schema`.
        token: What requests must have as `Authorization: Bearer`; at least 16 characters. Without
            it, the application answers only requests that name this computer as their host.
        allow_cancel: Whether `POST /v1/operations/{id}/cancel` passes requests to owners.
        allowed_hosts: Other hosts that requests without a token may name; `*` for all, where
            another application has checked the request already.
        poll_seconds: How often the store is read while streams are open.
        heartbeat_seconds: How often a stream sends a comment when nothing happens.

    Raises:
        InvalidValueError: The token is too short, or a number is not positive.
        PersistenceError: The path names no file, or the driver of PostgreSQL is not installed.
    """
    for name, seconds in (("poll", poll_seconds), ("heartbeat", heartbeat_seconds)):
        if not 0 < seconds < float("inf"):
            raise InvalidValueError(
                f"{name}_seconds", f"expected a positive number of seconds, got {seconds!r:.80}"
            )
    location = store if isinstance(store, Location) else location_of(str(store))
    source = Source(location, poll_seconds)
    operations = Operations(source, allow_cancel=allow_cancel)
    api = document(with_token=token is not None, allow_cancel=allow_cancel)
    return Starlette(
        routes=[
            *page_routes(),
            Route("/openapi.json", _document(api)),
            Route("/healthz", _healthy),
            Route("/readyz", _ready(source)),
            Route("/metrics", Metrics(source).metrics),
            Route("/v1/registries", operations.registries),
            Route("/v1/operations", operations.list),
            Route("/v1/operations/{id}", operations.show),
            Route("/v1/operations/{id}/log", operations.log),
            Route("/v1/operations/{id}/cancel", operations.cancel, methods=["POST"]),
            Route("/v1/feed", Feeds(source, heartbeat_seconds).feed),
            Route("/v1/changes", Changing(source, heartbeat_seconds).changes),
        ],
        middleware=[Middleware(Guard, token=checked_token(token), hosts=allowed_hosts)],
        exception_handlers={
            ProblemError: on_problem,
            HTTPException: on_http_error,
            OpsLifecycleError: on_store_error,
        },
    )


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

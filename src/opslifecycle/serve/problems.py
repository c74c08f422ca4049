"""Errors as answers: problem details of RFC 9457."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from opslifecycle import OpsLifecycleError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """A request that cannot be answered, with the status and the reason."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def json_bytes(value: object) -> bytes:
    """Return JSON text, in which every character that is not ASCII is escaped."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def json_response(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return an answer in JSON."""
    return Response(json_bytes(value), status, media_type="application/json")


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that says what was wrong."""
    data = {"title": status.phrase, "status": status.value, "detail": detail}
    return Response(json_bytes(data), status, headers, MEDIA_TYPE)


def text_of_error(error: OpsLifecycleError) -> str:
    """Return an error of the library in one text, with what to do."""
    return f"{error}; {error.fix}" if error.fix else str(error)


async def on_problem(request: Request, error: Exception) -> Response:
    """Answer a request that raised ProblemError."""
    assert isinstance(error, ProblemError)
    return problem(error.status, error.detail)


async def on_store_error(request: Request, error: Exception) -> Response:
    """Answer a request for which the store could not be read or written."""
    assert isinstance(error, OpsLifecycleError)
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, text_of_error(error))


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer a request for a path or with a method that does not exist."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    details = {
        HTTPStatus.NOT_FOUND: f"there is no {request.url.path!r:.200}; see openapi.json",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method:.20} is not possible here",
    }
    return problem(status, details.get(status, error.detail), error.headers)

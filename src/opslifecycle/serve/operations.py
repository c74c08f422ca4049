"""Operations as JSON: listing, showing, logs and cancelling."""

from __future__ import annotations

from http import HTTPStatus

from anyio import to_thread
from opslifecycle import OperationKind, OperationOrder, OperationStatus
from opslifecycle.inspection.logs import STREAMS, LogReader
from opslifecycle.inspection.machines import INTERRUPTED, NOT_RECORDED
from opslifecycle.inspection.paging import Choice, OtherPageError, PageOptions
from opslifecycle.inspection.records import (
    Found,
    UnknownIdError,
    operations,
    resolve,
    stored_operations,
)
from opslifecycle.serve.parameters import MOMENT_MAX, Parameters
from opslifecycle.serve.problems import ProblemError, json_response
from opslifecycle.serve.source import Source
from opslifecycle.stores.reading import StoredRegistry
from opslifecycle.values.plain import Data, json_of
from starlette.requests import Request
from starlette.responses import Response

STATUSES = (
    tuple([each.value for each in OperationStatus if each is not OperationStatus.ABSENT])
    + NOT_RECORDED
)
KINDS = tuple(each.value for each in OperationKind)
ORDERS = tuple(each.value for each in OperationOrder)
LIMIT_DEFAULT, LIMIT_MAX = 100, 1000
LOG_BYTES_DEFAULT, LOG_BYTES_MAX = 65_536, 1_048_576
BODY_BYTES_MAX = 16_384
REASON_LENGTH_MAX = 1000
_REASON = "cancelled on request"


class Operations:
    """The operations of a store.

    Args:
        source: The store.
        allow_cancel: Whether cancelling may be requested.
    """

    def __init__(self, source: Source, *, allow_cancel: bool) -> None:
        self._source = source
        self._allow_cancel = allow_cancel

    async def list(self, request: Request) -> Response:
        """Return a page of operations."""
        names = (
            "status", "kind", "name", "since", "until", "order", "descending", "limit", "after",
        )  # fmt: skip
        given = Parameters(request, names, repeated=("status",))
        choice = Choice(
            given.choices("status", STATUSES),
            given.choice("kind", KINDS),
            given.text("name"),
            given.whole("since", 0, MOMENT_MAX),
            given.whole("until", 0, MOMENT_MAX),
        )
        options = PageOptions(
            OperationOrder(given.choice("order", ORDERS) or OperationOrder.ID.value),
            given.flag("descending"),
            given.whole("limit", 1, LIMIT_MAX) or LIMIT_DEFAULT,
            given.cursor("after"),
        )

        def page(found: list[StoredRegistry]) -> Data:
            chosen, cursor = options.page(stored_operations(found), choice.includes)
            listed = [each.shown() for each in chosen]
            return {"operations": listed, "next": None if cursor is None else str(cursor)}

        try:
            return json_response(await self._source.read(page))
        except OtherPageError as error:
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"parameter 'after': {error}") from None

    async def show(self, request: Request) -> Response:
        """Return everything about one operation."""
        Parameters(request, ())
        found = await self._found(request)
        return json_response({**found.shown(), "responds": found.responds})

    async def log(self, request: Request) -> Response:
        """Return the end of an output of an operation's command."""
        given = Parameters(request, ("stream", "bytes"))
        stream = given.choice("stream", STREAMS) or STREAMS[0]
        most = given.whole("bytes", 1, LOG_BYTES_MAX) or LOG_BYTES_DEFAULT
        found = await self._found(request)

        def end() -> bytes:
            kept = b""
            for data in LogReader(self._source.location.beside, found.id, stream).read():
                kept = (kept + data)[-most:]
            return kept

        text = (await to_thread.run_sync(end)).decode("utf-8", "replace")
        return Response(text.encode("utf-8"), media_type="text/plain; charset=utf-8")

    async def cancel(self, request: Request) -> Response:
        """Ask the owner of an operation to cancel it."""
        Parameters(request, ())
        if not self._allow_cancel:
            detail = "this server only reads; start it with --allow-cancel, or allow_cancel=True"
            raise ProblemError(HTTPStatus.FORBIDDEN, detail)
        reason = _reason(await _body(request), request.headers.get("content-type"))
        found = await self._found(request)
        if found.ended or found.status == INTERRUPTED:
            why = f"it is {found.status}"
            if not found.ended:
                why += ": its process is gone, and nothing runs"
            raise ProblemError(HTTPStatus.CONFLICT, f"{found.id}: {why}")
        ask = self._source.location.ask
        await to_thread.run_sync(ask, found.registry, found.id, reason)
        asked = {"id": found.id, "asked": found.holder, "responds": found.responds}
        return json_response(asked, HTTPStatus.ACCEPTED)

    async def _found(self, request: Request) -> Found:
        id = request.path_params["id"]
        try:
            return await self._source.read(lambda found: resolve(operations(found), id))
        except UnknownIdError as error:
            raise ProblemError(HTTPStatus.NOT_FOUND, str(error)[:500]) from None


async def _body(request: Request) -> bytes:
    body = b""
    async for data in request.stream():
        body += data
        if len(body) > BODY_BYTES_MAX:
            detail = f"expected a body of at most {BODY_BYTES_MAX} bytes"
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
    return body


def _reason(body: bytes, content_type: str | None) -> str:
    """Return the reason in the body of a request to cancel.

    The type must be that of JSON, which browsers do not send for another site without asking.
    """
    if (content_type or "").partition(";")[0].strip().lower() != "application/json":
        detail = 'expected the type application/json, for instance {"reason": "too late"}'
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    try:
        data = json_of(body)
    except ValueError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"the body is no JSON: {error}") from None
    if type(data) is not dict or set(data) - {"reason"}:
        raise ProblemError(HTTPStatus.BAD_REQUEST, 'expected an object with the key "reason"')
    reason = data.get("reason", _REASON)
    if type(reason) is not str or len(reason) > REASON_LENGTH_MAX or not _is_storable(reason):
        detail = f'"reason": expected a text of at most {REASON_LENGTH_MAX} characters'
        raise ProblemError(HTTPStatus.BAD_REQUEST, detail)
    return reason


def _is_storable(text: str) -> bool:
    """Return whether every store can hold a text: PostgreSQL has no zero, files no surrogates."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)

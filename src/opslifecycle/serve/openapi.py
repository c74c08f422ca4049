"""The OpenAPI document of the server."""

from __future__ import annotations

from importlib.metadata import version

from opslifecycle.inspection.logs import STREAMS
from opslifecycle.serve import cloudevents, problems
from opslifecycle.serve.feeds import FORMATS
from opslifecycle.serve.feeds import LIMIT_MAX as FEED_LIMIT_MAX
from opslifecycle.serve.operations import (
    KINDS,
    LIMIT_MAX,
    LOG_BYTES_MAX,
    ORDERS,
    REASON_LENGTH_MAX,
    STATUSES,
)
from opslifecycle.serve.parameters import LAST_EVENT_ID, MOMENT_MAX, TEXT_LENGTH_MAX
from opslifecycle.values.plain import Data, Json

_TEXT: Data = {"type": "string"}
_COUNT: Data = {"type": "integer", "minimum": 0}
_BOOLEAN: Data = {"type": "boolean"}
_POSITION: Data = {"type": "string", "pattern": "^[0-9A-Za-z-]{0,64}:[0-9]{1,18}$"}
_RESUME: Data = {"type": "string", "pattern": "^([0-9A-Za-z-]{0,64}:[0-9]{1,18})?$"}
_AFTER: Data = {"type": "string", "pattern": "^([0-9A-Za-z-]{0,64}:[0-9]{1,18}|now)$"}
_REASONS = {
    "400": "A parameter or the body is wrong; `detail` says which and why.",
    "401": "The token is missing or wrong.",
    "403": "A page of another site has sent the request, or the server only reads.",
    "404": "There is no such operation or registry.",
    "409": "The operation has ended, or its process is gone.",
    "413": "The body is too long.",
    "415": "The body is not of the type application/json.",
    "421": "The request names another host.",
    "503": "The store cannot be read.",
}
_ALWAYS = ("403", "421", "503")


def document(*, with_token: bool, allow_cancel: bool) -> Data:
    """Return the document.

    Args:
        with_token: Whether requests need a token.
        allow_cancel: Whether cancelling may be requested.
    """
    always = (*_ALWAYS, "401") if with_token else _ALWAYS
    paths = {**_paths(always), **_streams(always)}
    if allow_cancel:
        paths["/v1/operations/{id}/cancel"] = _cancel(always)
    found: Data = {
        "openapi": "3.1.0",
        "info": {
            "title": "opslifecycle",
            "version": version("opslifecycle"),
            "description": "The operations in a store, their feeds and their logs.",
        },
        "paths": paths,
        "components": {"schemas": _schemas()},
    }
    if with_token:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    return found


def _paths(always: tuple[str, ...]) -> Data:
    listing = [
        _parameter("status", _repeated(STATUSES), "Only these statuses; repeat it for several."),
        _parameter("kind", {"enum": list(KINDS)}, "Only this kind."),
        _parameter("name", _short(), "Only names like this: `*` is any text, `?` a character."),
        _parameter("since", _whole(0, MOMENT_MAX), "Registered since, in ms since 1970."),
        _parameter("until", _whole(0, MOMENT_MAX), "Registered until, in ms since 1970."),
        _parameter("order", {"enum": list(ORDERS)}, "What to sort by; ids are in creation order."),
        _parameter("descending", _BOOLEAN, "Whether the last comes first."),
        _parameter("limit", _whole(1, LIMIT_MAX), "How many at most; 100 by default."),
        _parameter("after", _TEXT, "The `next` of the page before, read with the same order."),
    ]
    log = [
        _id(),
        _parameter("stream", {"enum": list(STREAMS)}, "Which output; stdout by default."),
        _parameter("bytes", _whole(1, LOG_BYTES_MAX), "How much of its end; 64 KiB by default."),
    ]
    return {
        "/healthz": _get("Whether the server answers.", [], _json(_object()), ()),
        "/readyz": _get("Whether the store can be read.", [], _json(_object()), _ALWAYS),
        "/metrics": _get(
            "The state of the store as metrics of Prometheus.", [],
            {"text/plain": {"schema": _TEXT}}, ("400", *always),
        ),
        "/v1/registries": _get(
            "The registries.", [], _json(_ref("Registries")), ("400", *always)
        ),
        "/v1/operations": _get(
            "A page of operations.", listing, _json(_ref("Page")), ("400", *always)
        ),
        "/v1/operations/{id}": _get(
            "Everything about one operation.", [_id()], _json(_ref("Operation")),
            ("400", "404", *always),
        ),
        "/v1/operations/{id}/log": _get(
            "The end of an output of an operation's command.", log,
            {"text/plain": {"schema": _TEXT}}, ("400", "404", *always),
        ),
    }  # fmt: skip


def _streams(always: tuple[str, ...]) -> Data:
    feed = [
        _parameter("registry", _short(), "The registry; by default the latest."),
        _parameter("after", _AFTER, "EPOCH:NUMBER, or `now`; by default the oldest entry."),
        _parameter("limit", _whole(1, FEED_LIMIT_MAX), "How many at most; 100 by default."),
        _parameter("format", {"enum": list(FORMATS)}, "`cloudevents` for CloudEvents 1.0."),
        _resume("Where a stream was interrupted; it precedes `after`. Empty is none."),
    ]
    return {
        "/v1/feed": _get(
            "Entries of a completion feed. With `Accept: text/event-stream` a stream of events:"
            " `entry` and `gap` with EPOCH:NUMBER as id, `unavailable`, and `removed` at its end.",
            feed,
            {
                **_json(_ref("FeedPage")),
                cloudevents.BATCH_MEDIA_TYPE: {"schema": _list(_ref("CloudEvent"))},
                "text/event-stream": {"schema": _TEXT},
            },
            ("400", "404", *always),
        ),
        "/v1/changes": _get(
            "What changes in the store, as a stream of events: `registries`, `operations`,"
            " `removed`, `reset` before everything is sent, `version` with the id to resume at,"
            " `gap` and `unavailable`.",
            [_resume("The id of the last `version`: only what has changed since. Empty is none.")],
            {"text/event-stream": {"schema": _TEXT}}, ("400", *always),
        ),
    }  # fmt: skip


def _cancel(always: tuple[str, ...]) -> Data:
    reason = {"type": "string", "maxLength": REASON_LENGTH_MAX}
    answer = _object(id=_TEXT, asked=_nullable("string"), responds=_BOOLEAN)
    body = {"type": "object", "properties": {"reason": reason}, "additionalProperties": False}
    done = _get(
        "Ask the owner of an operation to cancel it.", [_id()], _json(answer),
        ("400", "404", "409", "413", "415", *always),
    )["get"]  # fmt: skip
    responses = {"202": done["responses"].pop("200"), **done["responses"]}
    required = {"required": True, "content": _json(body)}
    return {"post": {**done, "requestBody": required, "responses": responses}}


def _get(summary: str, parameters: list[Data], content: Data, statuses: tuple[str, ...]) -> Data:
    refused = {
        each: {
            "description": _REASONS[each],
            "content": {problems.MEDIA_TYPE: {"schema": _ref("Problem")}},
        }
        for each in sorted({*statuses})
    }
    # The page asks for the token, and monitors have none.
    is_open: Data = {} if "401" in statuses else {"security": []}
    return {
        "get": {
            "summary": summary,
            "parameters": parameters,
            **is_open,
            "responses": {"200": {"description": summary, "content": content}, **refused},
        }
    }


def _schemas() -> Data:
    moment = {"type": ["integer", "null"]}
    gap = _object(reason=_TEXT, after={"anyOf": [_POSITION, {"type": "null"}]}, position=_POSITION)
    return {
        "Problem": _object(title=_TEXT, status=_COUNT, detail=_TEXT),
        "Registries": _object(registries=_list(_ref("Registry"))),
        "Registry": _object(
            name=_TEXT, holder=_nullable("string"), responds=_BOOLEAN, operations=_COUNT,
            epoch=_TEXT, watermark=_COUNT, dropped_through=_COUNT,
        ),
        "Page": _object(operations=_list(_ref("Operation")), next=_nullable("string")),
        "Operation": {
            **_object(
                id=_TEXT, registry=_TEXT, holder=_nullable("string"), status=_enum(STATUSES),
                kind=_enum(KINDS), display_name=_TEXT, terminal=_BOOLEAN, created_at_ms=_COUNT,
                progress_count=_COUNT, terminal_outcome=_nullable("object"),
            ),
            "description": "The snapshot of the operation, its registry and its owner.",
        },
        "FeedPage": _object(
            registry=_TEXT, watermark=_POSITION, gap={"anyOf": [gap, {"type": "null"}]},
            entries=_list(_ref("Entry")), position=_POSITION, has_more=_BOOLEAN,
        ),
        "Entry": _object(
            seq=_COUNT, operation_id=_TEXT, kind=_enum(KINDS), display_name=_TEXT,
            terminal_outcome={"type": "object"}, completed_at_ms=moment,
        ),
        "CloudEvent": _object(
            specversion={"const": "1.0"}, id=_TEXT, source=_TEXT, type=_TEXT,
            datacontenttype=_TEXT, data={"type": "object"},
        ),
    }  # fmt: skip


def _object(**properties: Json) -> Data:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _json(schema: Data) -> Data:
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> Data:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(schema: Data) -> Data:
    return {"type": "array", "items": schema}


def _nullable(kind: str) -> Data:
    return {"type": [kind, "null"]}


def _enum(values: tuple[str, ...]) -> Data:
    return {"enum": list(values)}


def _repeated(values: tuple[str, ...]) -> Data:
    return {"type": "array", "items": _enum(values)}


def _short() -> Data:
    return {"type": "string", "maxLength": TEXT_LENGTH_MAX}


def _whole(least: int, most: int) -> Data:
    return {"type": "integer", "minimum": least, "maximum": most}


def _parameter(name: str, schema: Data, description: str) -> Data:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _resume(description: str) -> Data:
    return {
        "name": LAST_EVENT_ID, "in": "header", "schema": _RESUME, "description": description,
    }  # fmt: skip


def _id() -> Data:
    description = "The id of an operation, or its beginning or end."
    schema = {"type": "string", "minLength": 1}
    return {
        "name": "id", "in": "path", "required": True, "schema": schema, "description": description,
    }  # fmt: skip

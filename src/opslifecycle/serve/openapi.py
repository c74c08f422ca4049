"""The OpenAPI document of the server."""

from __future__ import annotations

from importlib.metadata import version

from opslifecycle.inspection.logs import STREAMS
from opslifecycle.inspection.machines import OPERATIONS, Machine
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
from opslifecycle.serve.records import filters_of, orders_of, times_of
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
    "404": "There is no such record or registry.",
    "409": "The operation has ended or its process is gone, or several registries have the id.",
    "413": "The body is too long.",
    "415": "The body is not of the type application/json.",
    "421": "The request names another host.",
    "503": "The store cannot be read.",
}
_ALWAYS = ("403", "421", "503")


def document(machine: Machine, *, with_token: bool, allow_cancel: bool) -> Data:
    """Return the document.

    Args:
        machine: The machine whose registries are shown.
        with_token: Whether requests need a token.
        allow_cancel: Whether cancelling may be requested.
    """
    always = (*_ALWAYS, "401") if with_token else _ALWAYS
    is_work = machine is OPERATIONS
    records = _operations(always) if is_work else _records(machine, always)
    paths = {**_paths(always), **records, **_changes(always)}
    if machine.definition.feed is not None:
        paths |= _feed(always)
    if allow_cancel:
        paths["/v1/operations/{id}/cancel"] = _cancel(always)
    found: Data = {
        "openapi": "3.1.0",
        "info": {
            "title": "opslifecycle",
            "version": version("opslifecycle"),
            "description": f"The {machine.inspection.entities} of a store, and their changes.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(machine)},
    }
    if with_token:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    return found


def _paths(always: tuple[str, ...]) -> Data:
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
    }  # fmt: skip


def _operations(always: tuple[str, ...]) -> Data:
    listing = [
        _parameter("status", _repeated(STATUSES), "Only these statuses; repeat it for several."),
        _parameter("kind", {"enum": list(KINDS)}, "Only this kind."),
        _parameter("name", _short(), "Only names like this: `*` is any text, `?` a character."),
        _parameter("since", _whole(0, MOMENT_MAX), "Registered since, in ms since 1970."),
        _parameter("until", _whole(0, MOMENT_MAX), "Registered until, in ms since 1970."),
        _parameter("order", {"enum": list(ORDERS)}, "What to sort by; ids are in creation order."),
        *_page_parameters(LIMIT_MAX),
    ]
    log = [
        _id(),
        _parameter("stream", {"enum": list(STREAMS)}, "Which output; stdout by default."),
        _parameter("bytes", _whole(1, LOG_BYTES_MAX), "How much of its end; 64 KiB by default."),
    ]
    return {
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


def _records(machine: Machine, always: tuple[str, ...]) -> Data:
    entity, entities = machine.inspection.entity, machine.inspection.entities
    times = {"since": "Begun since, in ms since 1970.", "until": "Begun until, in ms since 1970."}
    named = _parameter("registry", _short(), "Only in this registry.")
    listing = [
        named,
        _parameter(
            "status", _repeated(machine.statuses), "Only these statuses; repeat it for several."
        ),
        *(_parameter(name, _whole(0, MOMENT_MAX), times[name]) for name in times_of(machine)),
        *(
            _parameter(name, _short(), f"Only {entities} with this {name}, as JSON has it.")
            for name in filters_of(machine)
        ),
        _parameter("order", {"enum": list(orders_of(machine))}, "What to sort by; ids by default."),
        *_page_parameters(LIMIT_MAX),
    ]
    return {
        f"/v1/{entities}": _get(
            f"A page of {entities}.", listing, _json(_ref("Page")), ("400", *always)
        ),
        f"/v1/{entities}/{{id}}": _get(
            f"Everything about one {entity}.",
            [_id(f"The id of the {entity}."), named],
            _json(_ref("Record")),
            ("400", "404", "409", *always),
        ),
    }


def _page_parameters(limit_max: int) -> list[Data]:
    return [
        _parameter("descending", _BOOLEAN, "Whether the last comes first."),
        _parameter("limit", _whole(1, limit_max), "How many at most; 100 by default."),
        _parameter("after", _TEXT, "The `next` of the page before, read with the same order."),
    ]


def _feed(always: tuple[str, ...]) -> Data:
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
    }


def _changes(always: tuple[str, ...]) -> Data:
    return {
        "/v1/changes": _get(
            "What changes in the store, as a stream of events: `registries`, `operations`"
            " (the records), `removed`, `reset` before everything is sent, `version` with the id to"
            " resume at, `gap` and `unavailable`.",
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


def _schemas(machine: Machine) -> Data:
    entities = machine.inspection.entities
    counts: Data = {entities: _COUNT}
    found = {
        "Problem": _object(title=_TEXT, status=_COUNT, detail=_TEXT),
        "Registries": _object(registries=_list(_ref("Registry"))),
        "Registry": _object(
            name=_TEXT, holder=_nullable("string"), responds=_BOOLEAN, **counts,
            epoch=_TEXT, watermark=_COUNT, dropped_through=_COUNT,
        ),
        **(_operation_schemas() if machine is OPERATIONS else _record_schemas(machine)),
    }  # fmt: skip
    return found if machine.definition.feed is None else {**found, **_feed_schemas(machine)}


def _operation_schemas() -> Data:
    return {
        "Page": _object(operations=_list(_ref("Operation")), next=_nullable("string")),
        "Operation": {
            **_object(
                id=_TEXT, registry=_TEXT, holder=_nullable("string"), status=_enum(STATUSES),
                kind=_enum(KINDS), display_name=_TEXT, terminal=_BOOLEAN, created_at_ms=_COUNT,
                progress_count=_COUNT, terminal_outcome=_nullable("object"),
            ),
            "description": "The snapshot of the operation, its registry and its owner.",
        },
    }  # fmt: skip


def _record_schemas(machine: Machine) -> Data:
    listed: Data = {machine.inspection.entities: _list(_ref("Record"))}
    moment = _nullable("integer")
    return {
        "Page": _object(**listed, next=_nullable("string")),
        "Record": _object(
            id=_TEXT, registry=_TEXT, holder=_nullable("string"), responds=_BOOLEAN,
            status=_enum(machine.statuses), ended=_BOOLEAN, created_at_ms=moment,
            ended_at_ms=moment, snapshot={"type": "object"}, history=_list({"type": "object"}),
        ),
    }  # fmt: skip


def _feed_schemas(machine: Machine) -> Data:
    after = {"anyOf": [_POSITION, {"type": "null"}]}
    gap = _object(reason=_TEXT, after=after, position=_POSITION)
    entry = {"type": "object"} if machine is not OPERATIONS else _object(
        seq=_COUNT, operation_id=_TEXT, kind=_enum(KINDS), display_name=_TEXT,
        terminal_outcome={"type": "object"}, completed_at_ms=_nullable("integer"),
    )  # fmt: skip
    return {
        "FeedPage": _object(
            registry=_TEXT, watermark=_POSITION, gap={"anyOf": [gap, {"type": "null"}]},
            entries=_list(_ref("Entry")), position=_POSITION, has_more=_BOOLEAN,
        ),
        "Entry": entry,
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


def _id(description: str = "The id of an operation, or its beginning or end.") -> Data:
    schema = {"type": "string", "minLength": 1}
    return {
        "name": "id", "in": "path", "required": True, "schema": schema, "description": description,
    }  # fmt: skip

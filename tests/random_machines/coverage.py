"""What random machines must have had among the accepted ones, so that a run says something."""

from __future__ import annotations

#: Where fewer machines are accepted, the generator has lost touch with the language.
ACCEPTED_MIN = 0.30
FEATURES = [
    "always first", "barrier", "classifier", "collect", "command for all",
    "create: id within a value", "cursors", "deferred", "effect: of a step of an end",
    "effect: of an action", "effect: of an ending action", "effect: of create", "feed",
    "field: bool", "field: closed set", "field: count", "field: float", "field: id",
    "field: optional", "field: text", "field: union", "field: value", "group", "guard",
    "guard of create", "idempotent in", "initial value: constant",
    "initial value: constant of an optional field", "initial value: none of an optional field",
    "initial value: parameter", "initial value: parameter of an optional field",
    "initial value: path into a parameter", "initial value: registry field", "invariant",
    "label", "let", "listing", "outcome of a union", "recovery: ends the interrupted",
    "recovery: keeps some", "recovery: live records stay", "recovery: none", "registry field",
    "retention: beyond cursors", "retention: entries", "retention: held by cursors",
    "retention: records", "rollback",
    "discard", "feed: counter", "feed: when", "legal status: left out", "legal status: placed",
    "effect: of erase", "effect: of rollback", "erase", "setting", "several create methods",
    "stamped: created",
    "stamped: terminal", "status property", "step of an end: if", "step of an end: update",
    "step property", "update: bool", "update: closed set", "update: decrement",
    "update: increment", "update: text", "watch",
    *(f"expression: {form}" for form in (
        "+", "-", "and", "comparison", "conditional", "is a variant", "membership", "min",
        "narrowing", "not", "or", "variant",
    )),
]  # fmt: skip
#: What is hostile may be refused, but it has to be tried.
HOSTILE = [
    "hostile: a built-in effect in the list", "hostile: a create method leaves out a parameter",
    "hostile: a guard tests the status itself", "hostile: a name", "hostile: a text",
]  # fmt: skip

"""The rules of the compiler: the meaning of each, and whether it can be waived.

A waivable rule finds probable mistakes, not contradictions. A machine waives a finding under
`waivers`, with the name of its subject and the reason.
"""

from __future__ import annotations

RULES = {
    "yaml-syntax": "The file is not valid YAML.",
    "yaml-encoding": "The file is not UTF-8, or contains characters that YAML does not allow.",
    "yaml-shape": "A file must declare one machine, as one mapping whose keys are words.",
    "yaml-size": "The file is too large.",
    "yaml-depth": "The file is nested too deeply.",
    "yaml-duplicate": "A key occurs twice in one mapping.",
    "yaml-alias": "Anchors, aliases and merge keys are not supported; repeat the content.",
    "yaml-tag": "Tags are not supported.",
    "yaml-guess": "YAML reads a plain word as a boolean, a number or null; quote it.",
    "wrong-shape": "A value has the wrong shape: a mapping, a list or a text is expected.",
    "unknown-key": "The section has no such key.",
    "missing-key": "A mandatory key is missing.",
    "missing-id": "The entity has no identifier type.",
    "missing-field": "A feature needs a field that is not declared.",
    "missing-feed": "A feature needs a feed that is not declared.",
    "built-in-effect": "The compiler places the effect where a feature needs it.",
    "owned-field": "The compiler maintains the field.",
    "unknown-name": "No such name can be used here.",
    "unknown-type": "No type has this name.",
    "unknown-member": "The closed set has no such member.",
    "unknown-status": "No status or group has this name.",
    "unknown-action": "No action has this name.",
    "unknown-guard": "No guard has this name.",
    "unknown-error": "No error has this name.",
    "unknown-effect": "No effect has this name.",
    "unknown-version": "The machine has no such version.",
    "unknown-rule": "No rule has this name, or it cannot be waived.",
    "name-collision": "Two declarations have the same name.",
    "reserved-name": "The word is reserved in this place; see the reserved words.",
    "missing-parameter": "A method of `create` leaves out what every new record needs.",
    "field-order": "A field without a default follows one with a default.",
    "empty-set": "A closed set has no members.",
    "empty-range": "A type with limits has no value.",
    "cycle": "A value contains itself, so none could be constructed.",
    "wrong-type": "An expression has the wrong type.",
    "may-be-none": "An attribute of a value that may be None is read; test it for None first.",
    "out-of-range": "A number may leave its range where nothing can reject the command.",
    "always-true": "A test is always true.",
    "always-false": "A test is always false.",
    "expression-syntax": "The text is not a Python expression.",
    "expression-form": "The construct is not part of the expression language.",
    "expression-size": "The expression is too long.",
    "bad-template": "The message of an error has an invalid placeholder.",
    "pseudo-status": "A pseudo status is used where a record would have it.",
    "terminal-start": "A record cannot be created in a terminal status.",
    "terminal-exit": "An action leads out of a terminal status.",
    "replaced-record": "A guard of `create` must reject an id that a record has already.",
    "live-erase": "`erase` is only for terminal statuses; a live record can be rolled back.",
    "legality": "A guard tests the status, which the compiler does for every action.",
    "deferred-write": "The write of an action cannot be deferred: a crash would break a promise.",
    "not-total": "A command for all live records must be legal for every live record.",
    "dead-idempotence": "`idempotent_in` lists a status in which the action is legal.",
    "breaking-change": "The change would make stored data unreadable, and no migration covers it.",
    "template-error": "A template of the project cannot be rendered.",
    "unused-waiver": "No finding matches the waiver.",
    "unreachable-status": "No action leads to the status.",
    "endless-status": "No terminal status can be reached from the status.",
    "dead-action": "No status allows the action, or no method asks for it.",
    "dead-guard": "A guard never rejects where it is used, or always does.",
    "overlapping-steps": "Two steps of `on_terminal` set one field, and both can apply.",
    "unused-guard": "No command uses the guard.",
    "unused-type": "No declaration uses the type.",
    "unused-effect": "No command has the effect.",
    "unused-error": "No guard raises the error.",
}

WAIVABLE = frozenset(
    {"unreachable-status", "endless-status", "dead-action", "dead-guard", "overlapping-steps"}
    | {"unused-guard", "unused-type", "unused-effect", "unused-error"}
)

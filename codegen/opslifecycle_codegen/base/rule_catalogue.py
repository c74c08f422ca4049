"""The rules that mistakes are told by: what each means, and which may be waived.

A waivable finding is a judgement and not a contradiction: it stands until the machine says, under
`waivers`, that it is meant, of what, and why.
"""

from __future__ import annotations

RULES = {
    "yaml-syntax": "The file is no YAML.",
    "yaml-encoding": "The file is no UTF-8, or holds characters that YAML cannot.",
    "yaml-shape": "A file declares one machine, as one mapping whose keys are words.",
    "yaml-size": "The file is larger than any machine.",
    "yaml-depth": "The file is nested deeper than any machine.",
    "yaml-duplicate": "A key stands twice in one mapping.",
    "yaml-alias": "Anchors, aliases and merge keys hide what is said; it is written out instead.",
    "yaml-tag": "A tag gives a value another meaning; there is none to give.",
    "yaml-guess": "YAML would read a plain word as a boolean, a number or nothing.",
    "wrong-shape": "A value is no mapping, list or text where one is expected, or is a wrong one.",
    "unknown-key": "A mapping has no such key.",
    "missing-key": "A mapping lacks a key that it must have.",
    "missing-id": "The entity has no identifier type.",
    "missing-field": "A feature needs a field that is not declared.",
    "missing-feed": "A feature needs a feed that is not declared.",
    "built-in-effect": "The compiler places the effect where a feature needs it.",
    "owned-field": "The compiler maintains the field.",
    "unknown-name": "Nothing is called like this here.",
    "unknown-type": "There is no such type.",
    "unknown-member": "The closed set has no such member.",
    "unknown-status": "There is no such status or group.",
    "unknown-action": "There is no such action.",
    "unknown-guard": "There is no such guard.",
    "unknown-rejection": "There is no such rejection.",
    "unknown-effect": "Neither the shell nor the machine has such an effect.",
    "unknown-version": "The machine has never had such a version.",
    "unknown-rule": "There is no such rule, or it cannot be waived.",
    "name-collision": "Two things have one name.",
    "reserved-name": "The word cannot stand there; the reference lists all of them.",
    "missing-parameter": "A method of `create` leaves out what every new record needs.",
    "field-order": "A field without a default stands behind one that has one.",
    "empty-set": "A closed set has no members.",
    "cycle": "A value could only be made from another one of its kind.",
    "wrong-type": "An expression has another type than its place asks for.",
    "may-be-none": "Something is read that may be None; a test before it would make sure.",
    "out-of-range": "A number may leave its range where nothing can reject the command.",
    "always-true": "A test can only be true.",
    "always-false": "A test can only be false.",
    "expression-syntax": "A text is no expression of Python.",
    "expression-form": "The construct has no meaning in the expressions of machines.",
    "expression-size": "The expression is too long.",
    "bad-template": "What a rejection says cannot be filled in.",
    "pseudo-status": "No record ever has a pseudo status.",
    "terminal-start": "A record cannot begin at an end.",
    "terminal-exit": "Nothing leads away from an end.",
    "live-erase": "Only a record in a terminal status is erased; a live one can be rolled back.",
    "legality": "The compiler tests the status of every action; no guard does.",
    "deferred-write": "The write of an action cannot be deferred: a crash would break a promise.",
    "not-total": "What is done to every live record must be possible for every live record.",
    "dead-idempotence": "An action is said to be done already where it is legal.",
    "breaking-change": "Stored data would not survive the change, and no migration says what then.",
    "template-error": "A template of the project's own cannot be rendered.",
    "unused-waiver": "A waiver waives nothing.",
    "unreachable-status": "No action leads to the status.",
    "endless-status": "No end can be reached from the status.",
    "dead-action": "No status allows the action, or nobody can ask for it.",
    "dead-guard": "Where a guard is asked, it can never refuse, or nothing ever passes it.",
    "overlapping-steps": "Two steps of an end set one field, and both may happen.",
    "unused-guard": "Nothing is checked by the guard.",
    "unused-type": "Nothing uses the type.",
    "unused-effect": "Nothing has the effect.",
    "rejection-never-given": "Nothing is refused with the rejection.",
}

WAIVABLE = frozenset(
    {"unreachable-status", "endless-status", "dead-action", "dead-guard", "overlapping-steps"}
    | {"unused-guard", "unused-type", "unused-effect", "rejection-never-given"}
)

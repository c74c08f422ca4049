"""Reserved words, by the position that they are reserved in. The reference prints this table.

Every other word is free: private names of generated code begin with an underscore, or change their
spelling if a machine declares the same word (ADR 0017).
"""

from __future__ import annotations

import keyword

#: Keywords of Python cannot be names; `self` is the first parameter of every method.
ANYWHERE = frozenset({*keyword.kwlist, "self"})

#: Names in capital letters that generated modules import from the standard library, or define.
TYPES = frozenset(
    {
        "Any", "AssertionError", "Callable", "ClassVar", "Hashable",
        "Iterable", "MagicMock", "Path", "Self", "Sequence", "TypeAlias",
        "Effects", "VERSION", "DIGEST", "CODEC", "DEFINITION", "OUTBOX", "TIMERS", "INVARIANTS",
        "PAGES", "STEPS", "WORK", "LOCK", "CELLS", "BEFORE", "ILLEGAL",
    }
)  # fmt: skip

#: Words by position, each with the reason.
RESERVED: dict[str, tuple[frozenset[str], str]] = {
    "a type": (TYPES, "generated modules import or define it"),
    "the entity": (
        frozenset({"registry", "action", "id", "before", "after", "feed", "barrier", "cursor"}),
        "expressions use the word, or its plural, for something else",
    ),
    "a parameter of an action": (
        frozenset({"id", "registry", "action"}),
        "the method takes the id of the record, and expressions use the others",
    ),
    "a parameter of a classifier": (
        frozenset({"id", "registry"}),
        "the method takes the id of the record, and expressions use the other",
    ),
    "a parameter of `create`": (frozenset({"registry"}), "expressions use it for the registry"),
    "a `let` of a guard": (
        frozenset({"id", "registry", "action"}),
        "expressions use it for something else",
    ),
    "a field of a record": (
        frozenset({"clock_offset_ms", "constant_text"}),
        "every record has it",
    ),
    "a setting": (frozenset({"cls", "store", "on_effect"}), "every constructor takes it"),
    "a field of an error": (
        frozenset(
            {
                "add_note",
                "clone",
                "command_index",
                "already_done",
                "args",
                "with_guard",
                "field_names",
                "fix",
                "guard",
                "of_command",
                "super",
                "template",
            }
            | {"with_traceback"}
        ),
        "every error has it",
    ),
    "a property of a closed set": (
        frozenset({"generated_variant", "mro", "name", "value", "wire"}),
        "every member has it",
    ),
    "the key of a barrier": (
        frozenset({"ids", "tuple", "wait_request_id"}),
        "the token or the method of a barrier uses it",
    ),
}

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
        "PAGES", "STEPS", "WORK", "INSPECTION", "LOCK", "CELLS", "BEFORE", "ILLEGAL",
    }
)  # fmt: skip

#: Words by position, each with the reason.
RESERVED: dict[str, tuple[frozenset[str], str]] = {
    "a type": (TYPES, "generated modules import or define it"),
    "the entity": (
        frozenset({"registry", "action", "id", "before", "after", "feed", "barrier", "cursor"})
        | {"now", "existing", "transition", "watcher_count"},
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
    "a parameter of a guard": (
        frozenset({"id", "registry", "action"}),
        "expressions use it for something else",
    ),
    "a field of a record": (
        frozenset({"clock_offset_ms", "constant_text"}),
        "every record has it",
    ),
    "a setting": (frozenset({"cls", "clock", "store", "on_effect"}), "constructors take it"),
    "a field of the registry, or a setting": (
        frozenset({"cursors", "effects_given", "epoch_id"}),
        "stores hold something else under the word",
    ),
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
    "a status or a group": (
        frozenset({"live", "terminal", "milestone"}),
        "it is a built-in group",
    ),
    "a property of the statuses": (
        frozenset({"terminal", "milestone", "entry", "exit"}),
        "it is a key that every status may have",
    ),
    "a parameter or a `let` of a machine that reads the time": (
        frozenset({"now"}),
        "expressions use it for the time of the command",
    ),
    "a parameter or a `let` of a `create` that checks unique keys": (
        frozenset({"existing"}),
        "errors of unique keys use it for the record that holds the key",
    ),
    "a parameter in a history": (
        frozenset({"action", "from_status", "to_status", "at_ms"}),
        "every transition has it",
    ),
    "a filter or a bound of a listing with `orders`": (
        frozenset({"order_by", "descending", "limit", "after"}),
        "every such listing has this parameter",
    ),
    "a filter of a listing, if there is an archive": (
        frozenset({"descending", "limit", "after"}),
        "the method that reads the archive has this parameter, and every filter of the listing",
    ),
    "an order of a listing": (frozenset({"id"}), "every listing with `orders` has it"),
    "given to a supervisor": (
        frozenset({"id", "name", "source", "call"}),
        "a supervisor has it for every operation",
    ),
}

"""How a declared word is written in the private part of generated code. ADR 0017 says why.

Public names (methods, parameters, fields, classes) are what the machine says. Inside, where a word
of the machine would hide a builtin or a name of the compiler's, it is written with an underscore on
both sides. No declared word begins with an underscore, so nothing can meet it there.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterator

from opslifecycle_codegen.ir.symbols import snake
from opslifecycle_codegen.source import model
from opslifecycle_codegen.source.words import Text

_BUILTINS = frozenset(name for name in dir(builtins) if name[0].islower()) - {"id"}
#: Locals of the authority's methods, where parameters, `let` names and loop variables stand too.
_IN_COMMANDS = frozenset(
    {
        "active",
        "done",
        "done_in",
        "each",
        "effects",
        "ended",
        "from_statuses",
        "ids",
        "label",
        "live",
        "made",
        "outcome",
        "seen",
    }
)
#: What the authority has, beside the fields and commands of the machine.
_IN_AUTHORITY = frozenset(
    {
        "allowed",
        "clock_offset_ms",
        "cursor_of",
        "cursors",
        "effects_given",
        "ended",
        "erase",
        "evict",
        "now_ms",
        "recover_interrupted",
        "records",
        "register",
    }
)
#: What any function calls otherwise that has a record.
_WITH_RECORD = frozenset(
    {
        "merge",
        "at",
        "authority",
        "body",
        "body_of",
        "clock",
        "copy",
        "copy_of",
        "data",
        "entry",
        "entry_of",
        "found",
        "id",
        "schema",
        "latest_ms",
        "latest_ms_of",
        "listing_keys",
        "listing_order",
        "messages_of",
        "migrate",
        "message_snapshot",
        "serialize",
        "deserialize",
        "restore",
        "rows",
        "sequence",
        "snapshot",
        "snapshot_of",
        "stage",
        "staged",
        "state",
        "serialize_state",
        "weakref",
        "status",
        "stored",
        "terminal_outcome",
        "text",
        "time",
        "times",
        "value",
        "watcher_count",
    }
)


def parameter(word: str) -> str:
    """Return a parameter, a `let` name or a loop variable, inside."""
    return _escaped(word, _BUILTINS | _IN_COMMANDS)


def variable(word: str) -> str:
    """Return what holds a record, by the name of the entity."""
    return _escaped(word, _BUILTINS | _IN_COMMANDS | _WITH_RECORD)


def attribute(word: str) -> str:
    """Return the authority's attribute for a field of the registry."""
    return _escaped(word, _IN_AUTHORITY)


def entry_local(word: str) -> str:
    """Return a field of a record, as a local of what makes its feed entry."""
    return _escaped(word, _BUILTINS | {"entry"})


def setting(word: str) -> str:
    """Return a setting, as a parameter of the authority's constructor."""
    return _escaped(word, _BUILTINS)


def rule_function(word: str) -> str:
    """Return the function of an invariant or of a property of a step."""
    return _escaped(word, _BUILTINS | {"annotations"})


def command_method(word: str, fields: Collection[str]) -> str:
    """Return the authority's method for a command, where the registry has these fields."""
    return f"_do_{word}" if word in _IN_AUTHORITY or word in fields else str(word)


def alias(command: str, method: str) -> str:
    """Return what the module of a registry calls a method of the authority."""
    taken = method.startswith("_do_") or command in _ALIASES
    return f"_do_{command}" if taken else f"_{command}"


def trusted(record: str) -> str:
    """Return the trusted constructor of a value, by the name of its class."""
    return f"{_TRUSTED}{snake(record)}"


#: What the names of trusted constructors begin with.
_TRUSTED = "trusted_"
#: Modules and functions that generated modules know by these words with an underscore before them.
_ALIASES = frozenset({"b", "rt", "register", "snapshot_of", "listing_order", "satisfied"})


def _escaped(word: str, taken: frozenset[str]) -> str:
    is_taken = word in taken or word.startswith(_TRUSTED)
    return f"_{word}_" if is_taken else str(word)


#: What every registry offers beside what the machine declares.
BUILT_IN_METHODS = (
    "open", "close", "allowed", "capture", "restore", "broken_invariants", "pending_effects",
    "dead_letters", "retry_dead_letter", "discard_dead_letter",
)  # fmt: skip


def public_methods(machine: model.Machine) -> Iterator[Text]:
    """Yield the methods of the registry that a machine declares, at their places."""
    yield from machine.create.methods
    for action in machine.actions.values():
        yield from action.methods
    yield from machine.bulk
    for feature in (
        machine.rollback,
        machine.erase,
        machine.collect,
        machine.watch,
        machine.feed,
        machine.barrier,
        machine.snapshot,
        machine.listing,
    ):
        if feature is not None:
            yield feature.method
    if machine.cursors is not None:
        yield from (machine.cursors.get, machine.cursors.advance)
    yield from machine.classifiers


def built_in_methods(machine: model.Machine) -> dict[str, str]:
    """Each built-in method with its name: one with an underscore where the machine has the word."""
    declared = {str(name) for name in public_methods(machine)}
    return {name: f"_{name}" if name in declared else name for name in BUILT_IN_METHODS}

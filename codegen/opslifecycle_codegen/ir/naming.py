"""The spelling of declared words in the private part of generated code (ADR 0017).

Public names (methods, parameters, fields, classes) are the words of the machine. A word that
would hide a builtin or a name of the compiler in private code gets an underscore on both sides. No
declared word begins with an underscore, so the result is unique.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterator

from opslifecycle_codegen.ir.symbols import snake
from opslifecycle_codegen.source import model
from opslifecycle_codegen.source.words import Text

_BUILTINS = frozenset(name for name in dir(builtins) if name[0].islower()) - {"id"}
#: Locals of the authority's methods, beside parameters, `let` names and loop variables.
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
#: Attributes of the authority besides the fields and commands of the machine.
_IN_AUTHORITY = frozenset(
    {
        "allowed",
        "clock_offset_ms",
        "cursor_of",
        "cursors",
        "decided_by",
        "effects_given",
        "ended",
        "erase",
        "evict",
        "history_of",
        "now_ms",
        "recover_interrupted",
        "records",
        "register",
    }
)
#: Names of other locals in functions with a record.
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
        "page_keys",
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
    """Return the private spelling of a parameter, a `let` name or a loop variable."""
    return _escaped(word, _BUILTINS | _IN_COMMANDS)


def variable(word: str) -> str:
    """Return the local variable of a record, by the name of the entity."""
    return _escaped(word, _BUILTINS | _IN_COMMANDS | _WITH_RECORD)


def attribute(word: str) -> str:
    """Return the authority's attribute for a field of the registry."""
    return _escaped(word, _IN_AUTHORITY)


def entry_local(word: str) -> str:
    """Return the local of a record's field in the function that makes its feed entry."""
    return _escaped(word, _BUILTINS | {"entry"})


def setting(word: str) -> str:
    """Return a setting, as a parameter of the authority's constructor."""
    return _escaped(word, _BUILTINS)


def rule_function(word: str) -> str:
    """Return the function of an invariant or of a property of a step."""
    return _escaped(word, _BUILTINS | {"annotations"})


def command_method(word: str, fields: Collection[str]) -> str:
    """Return the authority's method of a command, given the fields of the registry."""
    taken = word in _IN_AUTHORITY or word in _BUILTINS or word in fields
    return f"_do_{word}" if taken else str(word)


def returned_by(command: str) -> str:
    """Return the authority's method that says what a command returns."""
    return f"_{command}_returned"


def key_index(method: str) -> str:
    """Return the authority's attribute with the holder of each key, by the method that finds it."""
    return f"_{method}_ids"


def trusted(record: str) -> str:
    """Return the trusted constructor of a value, by the name of its class."""
    return f"{_TRUSTED}{snake(record)}"


#: The prefix of trusted constructors.
_TRUSTED = "trusted_"


def _escaped(word: str, taken: frozenset[str]) -> str:
    is_taken = word in taken or word.startswith(_TRUSTED)
    return f"_{word}_" if is_taken else str(word)


#: The public methods of every registry besides those that the machine declares.
BUILT_IN_METHODS = (
    "open", "close", "allowed", "capture", "restore", "broken_invariants", "consume",
    "pending_effects", "dead_letters", "retry_dead_letter", "discard_dead_letter",
    "transaction",
)  # fmt: skip


def public_methods(machine: model.Machine) -> Iterator[Text]:
    """Yield the methods that a machine declares, each at its location."""
    yield from machine.create.methods
    for action in machine.actions.values():
        yield from action.methods
    yield from machine.methods
    yield from machine.bulk
    for feature in (
        machine.rollback,
        machine.erase,
        machine.collect,
        machine.watch,
        machine.feed,
        machine.history,
        machine.barrier,
        machine.snapshot,
        machine.listing,
    ):
        if feature is not None:
            yield feature.method
    if machine.cursors is not None:
        yield from (machine.cursors.get, machine.cursors.advance)
    if machine.retention is not None and machine.retention.archive is not None:
        yield from (machine.retention.archive.get, machine.retention.archive.since)
    yield from machine.classifiers
    yield from machine.unique


def built_in_methods(machine: model.Machine) -> dict[str, str]:
    """Return the name of each built-in method, with an underscore if a machine has the word."""
    declared = {str(name) for name in public_methods(machine)}
    return {name: f"_{name}" if name in declared else name for name in BUILT_IN_METHODS}

"""The lock: the closed sets, spellings and field types of data that may be stored."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

from opslifecycle_codegen.compat.limits import ABSENT, FLATTENED, bare, initial_notation, spelled
from opslifecycle_codegen.ir.expr import NOTHING
from opslifecycle_codegen.ir.initial_values import Origin, starts_of
from opslifecycle_codegen.ir.messages import message_arguments, message_sets
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.ir.symbols import FieldInfo, RecordInfo
from opslifecycle_codegen.ir.types import optional

FORMAT = 2
#: The status of a machine that is not published: its lock protects no stored data.
DRAFT = "draft"
#: The key of the resets of a lock, oldest first.
RESETS = "resets"
#: The statuses that are no ends and have an outcome, in a machine that has any.
MILESTONES = "milestone"
#: The fields of the registry that count live records, each with the increment of one record.
COUNTS = "counts"
#: The field of the registry that numbers the entries of a stored feed.
COUNTER = "counter"
#: The ending of lock file names.
SUFFIX = ".lock.json"


#: A lock as JSON data, in any format that a release has written.
Lock = dict[str, Any]


#: A reset of a lock: `from` a version `to` another, for a `reason`.
Reset = dict[str, str | int]
#: The fix of every error in a lock.
_RESTORE = "restore the file from version control"

#: What each part of a lock is: a class, a list of such, such by any names, or by these names.
_FIELDS = {str: {str: str}}
_SHAPES: dict[str, object] = {
    "machine": str, "version": int, "digest": str, "statuses": str, "closed_sets": {str: [str]},
    "terminal_statuses": [str], MILESTONES: [str], "ids": {str: str}, COUNTER: str,
    "keys": [{"fields": [str], "among": str}],
    "values": _FIELDS, "unions": _FIELDS, "tags": {str: str},
    COUNTS: {str: int}, "absent": {str: str}, "stored": _FIELDS, "views": _FIELDS,
    "messages": {"sets": {str: [str]}, "arguments": _FIELDS},
}  # fmt: skip
#: The parts that older locks lack, or machines that do not need them.
_OPTIONAL = frozenset(
    {
        "machine",
        "digest",
        "statuses",
        "tags",
        "absent",
        "ids",
        "keys",
        "messages",
        MILESTONES,
        COUNTER,
        COUNTS,
    }
)


class InvalidLockError(Exception):
    """A lock file that cannot be read."""


def lock_of(program: Program, digest: str) -> Lock:
    """Return the lock of a machine, as JSON data."""
    symbols = program.symbols
    values = {
        name: {info.name: _field(info, record) for info in record.fields.values()}
        for name, record in symbols.records.items()
    }
    values.update({name: {"python": module} for name, module in symbols.foreign.items()})
    unions = {
        name: {variant.tag_value: variant.name for variant in union.variants.values()}
        for name, union in symbols.unions.items()
    }
    views = {"snapshot": {info.name: bare(info.type) for info, _ in program.views.snapshot}}
    if program.views.entry:
        views["feed_entry"] = {info.name: bare(info.type) for info, _ in program.views.entry}
    has_milestones = MILESTONES in symbols.status_groups
    keys = [
        {"fields": list(key.fields), "among": "live" if key.of_live else "all"}
        for key in (program.unique if program.recovery is not None else ())
    ]
    forms = {name: form.spelled for name, form in symbols.id_forms.items()}
    return {
        "format": FORMAT,
        "machine": str(program.machine.machine),
        "version": program.machine.version,
        **({DRAFT: True} if program.machine.status == DRAFT else {}),
        "digest": digest,
        "closed_sets": {name: list(info.members) for name, info in symbols.enums.items()},
        "statuses": symbols.status_enum,
        "terminal_statuses": list(symbols.status_groups["terminal"]),
        **({MILESTONES: list(symbols.status_groups[MILESTONES])} if has_milestones else {}),
        "values": values,
        "unions": unions,
        "tags": {name: union.tag for name, union in symbols.unions.items()},
        **({"ids": forms} if forms else {}),
        "stored": _stored(program),
        **_counter(program),
        COUNTS: dict(program.counters),
        "absent": _absent(program),
        **({"keys": keys} if keys else {}),
        "views": views,
        "messages": {
            "sets": message_sets(program),
            "arguments": {
                part: {name: spelled(optional(type)) for name, type in types.items()}
                for part, types in message_arguments(program).items()
            },
        },
    }


def _field(info: FieldInfo, record: RecordInfo) -> str:
    """Return the type of a field of a value, and what data has in its place."""
    if info.name == record.flatten:
        return spelled(info.type) + FLATTENED
    return spelled(info.type) + (ABSENT if info.declared.default is not None else "")


def _stored(program: Program) -> dict[str, dict[str, str]]:
    """Return the stored fields of a record and of the registry; none for a machine without a store.

    A record can be read without a field that is absent here.
    """
    recovery, machine, symbols = program.recovery, program.machine, program.symbols
    if recovery is None:
        return {}
    origins = {each.name: each.origin for each in starts_of(program)}
    fields = {}
    for name, field in machine.fields.items():
        optional = origins[str(name)] in (Origin.LITERAL, Origin.DERIVED)
        type = spelled(symbols.entity_fields[name])
        fields[str(name)] = type + ABSENT if optional and field.initial else type
    if machine.history is not None:
        fields["history"] = f"tuple[{public_names(machine).transition}, ...]{ABSENT}"
    registry = {}
    for name in (*machine.settings, *machine.registry):
        if name not in recovery.fields:
            # Every field of the registry has an initial value.
            registry[str(name)] = spelled(symbols.registry_fields[name]) + ABSENT
    return {"fields": fields, "registry": registry}


def _counter(program: Program) -> dict[str, str]:
    feed = program.machine.feed
    return {} if feed is None or program.recovery is None else {COUNTER: str(feed.counter)}


def _absent(program: Program) -> dict[str, str]:
    """Return the values of stored fields that a record is stored without."""
    if program.recovery is None:
        return {}
    given = Origin.GIVEN
    # Of what a record is given, None is left out.
    return {
        start.name: initial_notation(start.first if start.origin is not given else NOTHING)
        for start in starts_of(program)
        if start.origin is not given or start.type.optional
    }


def dump(lock: Lock) -> str:
    """Return the text of a lock file."""
    return json.dumps(lock, indent=2, ensure_ascii=False) + "\n"


def load(text: str, path: str) -> Lock:
    """Return the lock in a text; raises InvalidLockError with the reason if it is invalid."""
    try:
        lock = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidLockError(f"{path}: this is no JSON: {error}; {_RESTORE}") from None
    if not isinstance(lock, dict) or lock.get("format") != FORMAT:
        raise InvalidLockError(f"{path}: this is no lock of format {FORMAT}; {_RESTORE}")
    for key, shape in _SHAPES.items():
        if key not in lock and key not in _OPTIONAL:
            raise InvalidLockError(f"{path}: the lock lacks {key!r}; {_RESTORE}")
        if key in lock and not _has_shape(lock[key], shape):
            raise InvalidLockError(f"{path}: {key!r} is not what a lock has there; {_RESTORE}")
    # Older locks lack the arguments of messages.
    lock.setdefault("messages", {"sets": {}, "arguments": {}})
    return lock


def _has_shape(value: object, shape: object) -> bool:
    if isinstance(shape, list):
        return isinstance(value, list) and all(_has_shape(each, shape[0]) for each in value)
    if not isinstance(shape, dict):
        return type(value) is shape
    if not isinstance(value, dict):
        return False
    if str in shape:
        return all(_has_shape(each, shape[str]) for each in value.values())
    return all(name in value and _has_shape(value[name], each) for name, each in shape.items())


def resets(lock: Lock, path: str) -> list[Reset]:
    """Return the resets of a lock: from which version, to which, and why."""
    found = lock.get(RESETS, [])
    keys = {"from": int, "to": int, "reason": str}
    if not isinstance(found, list) or not all(
        isinstance(each, dict)
        and each.keys() == keys.keys()
        and all(isinstance(each[key], kind) for key, kind in keys.items())
        for each in found
    ):
        raise InvalidLockError(f"{path}: {RESETS!r} are no versions with a reason; {_RESTORE}")
    return found


def outputs(lock: Lock, path: str) -> dict[PurePosixPath, str]:
    """Return the digests of the files that the project's own templates printed, by path."""
    found = lock.get("outputs", {})
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise InvalidLockError(f"{path}: 'outputs' are no files with their digests; {_RESTORE}")
    files = {PurePosixPath(name): digest for name, digest in found.items()}
    for each in files:
        if each.is_absolute() or ".." in each.parts:
            raise InvalidLockError(f"{path}: {str(each)!r} is no file of this project; {_RESTORE}")
    return files

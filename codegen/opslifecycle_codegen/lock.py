"""The lock: what is on users' disks (closed sets, spellings, field types), and what may change."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen

from opslifecycle_codegen.program import Program
from opslifecycle_codegen.reader import Mapping, Node, Scalar
from opslifecycle_codegen.types import Type

FORMAT = 1


@frozen
class Change:
    """One difference between a lock and a machine."""

    breaking: bool
    text: str

    def __str__(self) -> str:
        return f"{'breaking' if self.breaking else 'compatible'}: {self.text}"


class InvalidLockError(Exception):
    """A lock file that cannot be read."""


def lock_of(program: Program, digest: str) -> dict[str, Any]:
    """The lock of a machine, as JSON data."""
    symbols = program.symbols
    values = {
        name: {info.name: _spelled(info.type) for info in record.fields.values()}
        for name, record in symbols.records.items()
    }
    unions = {
        name: {variant.tag_value: variant.name for variant in union.variants.values()}
        for name, union in symbols.unions.items()
    }
    views = {"snapshot": {info.name: _spelled(info.type) for info, _ in program.views.snapshot}}
    if program.views.entry:
        views["feed_entry"] = {info.name: _spelled(info.type) for info, _ in program.views.entry}
    return {
        "format": FORMAT,
        "machine": str(program.machine.machine),
        "version": program.machine.version,
        "digest": digest,
        "closed_sets": {name: list(info.members) for name, info in symbols.enums.items()},
        "terminal_statuses": list(symbols.status_groups["terminal"]),
        "values": values,
        "unions": unions,
        "views": views,
    }


def dump(lock: dict[str, Any]) -> str:
    """The text of a lock file."""
    return json.dumps(lock, indent=2, ensure_ascii=False) + "\n"


def load(text: str, path: str) -> dict[str, Any]:
    """A lock read back; InvalidLockError says what is wrong with it."""
    try:
        lock = json.loads(text)
    except ValueError as error:
        raise InvalidLockError(f"{path}: no JSON: {error}") from None
    if not isinstance(lock, dict) or lock.get("format") != FORMAT:
        raise InvalidLockError(f"{path}: no lock of format {FORMAT}")
    for key in ("closed_sets", "values", "unions", "views"):
        if not isinstance(lock.get(key), dict):
            raise InvalidLockError(f"{path}: the lock lacks {key!r}")
    if not isinstance(lock.get("version"), int):
        raise InvalidLockError(f"{path}: the lock lacks 'version'")
    return lock


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """What changed between two locks, each change compatible or breaking for stored data."""
    found: list[Change] = []
    for name, members in old["closed_sets"].items():
        found += _closed_set_changes(name, members, new["closed_sets"].get(name))
    for name in new["closed_sets"]:
        if name not in old["closed_sets"]:
            found.append(Change(False, f"the closed set {name} is new"))
    for status in old.get("terminal_statuses", []):
        if status in new["terminal_statuses"]:
            continue
        if any(status in members for members in new["closed_sets"].values()):
            found.append(Change(True, f"the status {status} is no longer an end"))
    for section in ("values", "views"):
        for name, fields in old[section].items():
            found += _field_changes(name, fields, new[section].get(name))
    for name, tags in old["unions"].items():
        for tag in tags:
            if tag not in new["unions"].get(name, {}):
                found.append(Change(True, f"{name} loses the variant tagged {tag}"))
    return found


def _closed_set_changes(name: str, old: list[str], new: list[str] | None) -> list[Change]:
    if new is None:
        return [Change(True, f"the closed set {name} is gone")]
    found = [
        Change(True, f"{name} loses {each} (removed or renamed)") for each in old if each not in new
    ]
    kept = [each for each in new if each in old]
    if kept != [each for each in old if each in new]:
        found.append(Change(True, f"the members of {name} stand in another order"))
    found += [Change(False, f"{name} gains {each}") for each in new if each not in old]
    return found


def _field_changes(name: str, old: dict[str, str], new: dict[str, str] | None) -> list[Change]:
    if new is None:
        return [Change(True, f"{name} is gone")]
    found = []
    for field, type in old.items():
        if field not in new:
            found.append(Change(True, f"{name} loses the field {field} (removed or renamed)"))
        elif new[field] != type:
            widened = new[field] == f"optional {type}"
            text = f"{name}.{field} was {type} and is {new[field]}"
            found.append(Change(not widened, text))
    for field, type in new.items():
        if field not in old:
            required = not type.startswith("optional ")
            text = f"{name} gains the {'required ' if required else ''}field {field}"
            found.append(Change(required and name not in ("snapshot", "feed_entry"), text))
    return found


def _spelled(type: Type) -> str:
    return str(type)


def canonical(node: Node) -> Any:
    """A tree without places or comments, for the digest."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Mapping):
        return {key.text: canonical(value) for key, value in node.items}
    return [canonical(item) for item in node.items]

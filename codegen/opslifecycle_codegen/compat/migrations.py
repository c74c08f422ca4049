"""Apply declared migrations to a lock, so that the changes that they cover no longer differ."""

from __future__ import annotations

import json
import re

from attrs import evolve

from opslifecycle_codegen.compat.lock import COUNTER, COUNTS, MILESTONES, Lock
from opslifecycle_codegen.ir.messages import ACTIONS, ARGUMENTS
from opslifecycle_codegen.ir.migrations import RECORD, REGISTRY, TYPES, Migration, Migrations


def renamed(migrations: Migrations, lock: Lock, new: Lock) -> Lock:
    """Return the lock of an older version with the names of today, and nothing else changed."""
    steps = (evolve(step, refuses=False, removes={}, adds={}) for step in migrations.steps)
    return applied(evolve(migrations, steps=tuple(steps)), lock, new)


def applied(migrations: Migrations, lock: Lock, new: Lock) -> Lock:
    """Return the lock of an older version after all migrations since that version."""
    result: Lock = _copied(lock)
    steps = [step for step in migrations.steps if step.version > lock["version"]]
    arguments = result["messages"]["arguments"]
    for step in steps:
        # Migrations name types, and the actions of arguments, as they are called today.
        for old, name in step.renames.get(TYPES, {}).items():
            _rename_type(result, old, name)
        for old, name in step.renames.get(ACTIONS, {}).items():
            if f"{ARGUMENTS}{old}" in arguments:
                arguments[f"{ARGUMENTS}{name}"] = arguments.pop(f"{ARGUMENTS}{old}")
    for step in steps:
        if step.refuses:
            # Older data is not read, so no stored data can break.
            return {**_copied(new), "views": result["views"]}
        _apply(migrations, step, result, new)
        for renames in step.renames.values() if "absent" in result else ():
            result["absent"] = {
                name: _respelled(value, renames) for name, value in result["absent"].items()
            }
    return result


def _apply(migrations: Migrations, step: Migration, lock: Lock, new: Lock) -> None:
    for part in {*step.renames, *step.removes, *step.adds} - {TYPES}:
        renames, removes = step.renames.get(part, {}), step.removes.get(part, [])
        for name in (part, migrations.enums_of_unions.get(part, part)):
            if name in lock["closed_sets"]:
                members = lock["closed_sets"][name]
                lock["closed_sets"][name] = _renamed(members, renames, removes)
        if part == new["statuses"]:
            for kind in {"terminal_statuses", MILESTONES} & lock.keys():
                lock[kind] = _renamed(lock[kind], renames, removes)
        if part == RECORD:
            for key in lock.get("keys", []):
                key["fields"] = _renamed(key["fields"], renames, removes)
            _apply_to_absent(lock.get("absent", {}), step, new)
        if part == REGISTRY and COUNTER in lock:
            lock[COUNTER] = renames.get(lock[COUNTER], lock[COUNTER])
        if part == REGISTRY and COUNTS in lock:
            lock[COUNTS] = {renames.get(name, name): n for name, n in lock[COUNTS].items()}
        if part in lock["unions"]:
            _rename_variants(lock, part, renames, removes, new["unions"].get(part, {}))
        messages = lock["messages"]
        if part in messages["sets"]:
            messages["sets"][part] = sorted(_renamed(messages["sets"][part], renames, removes))
        if part in messages["arguments"]:
            fields = messages["arguments"][part]
            kept = {renames.get(f, f): t for f, t in fields.items() if f not in removes}
            messages["arguments"][part] = kept
        for section in ("values", "stored", "views"):
            if part in lock[section]:
                fields = lock[section][part]
                kept = {renames.get(f, f): t for f, t in fields.items() if f not in removes}
                for name in step.adds.get(part, {}):
                    kept[name] = new[section].get(part, {}).get(name, "")
                lock[section][part] = kept


def _respelled(value: str, renames: dict[str, str]) -> str:
    """Return an initial value with today's names."""
    return re.sub(r"\w+", lambda word: renames.get(word[0], word[0]), value)


def _apply_to_absent(absent: dict[str, str], step: Migration, new: Lock) -> None:
    """Give records without a field what the migration adds to them."""
    renames = step.renames.get(RECORD, {})
    for name in [*absent]:
        value = absent.pop(name)
        if name not in step.removes.get(RECORD, []):
            absent[renames.get(name, name)] = value
    for name in step.adds.get(RECORD, {}):
        absent.pop(name, None)
        if name in new.get("absent", {}):
            absent[name] = new["absent"][name]


def _renamed(names: list[str], renames: dict[str, str], removes: list[str]) -> list[str]:
    return [renames.get(name, name) for name in names if name not in removes]


def _rename_variants(
    lock: Lock, union: str, renames: dict[str, str], removes: list[str],
    today: dict[str, str],
) -> None:  # fmt: skip
    """Rename the class of a variant with its tag."""
    tags = {}
    for tag, name in lock["unions"][union].items():
        fields = lock["values"].pop(name, {})
        if tag not in removes:
            tag = renames.get(tag, tag)
            tags[tag] = today.get(tag, name)
            lock["values"][tags[tag]] = fields
    lock["unions"][union] = tags


def _rename_type(lock: Lock, old: str, new: str) -> None:
    """Rename a type wherever a lock names it; stored data contains no names of types."""
    for section in ("closed_sets", "values", "unions", "tags"):
        if old in lock.get(section, {}):
            lock[section][new] = lock[section].pop(old)
    sections = (lock["values"], lock["stored"], lock["views"], lock["messages"]["arguments"])
    for section in sections:
        for fields in section.values():
            for name, type in fields.items():
                words = [new if word == old else word for word in type.split(" ")]
                fields[name] = " ".join(words)


def _copied(lock: Lock) -> Lock:
    """Return a copy of a lock, as parsing its text would return it."""
    copied: Lock = json.loads(json.dumps(lock))
    return copied

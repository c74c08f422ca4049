"""The changes between two locks, and whom each change breaks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

from attrs import frozen

from opslifecycle_codegen.compat.limits import ABSENT, FLATTENED, widens
from opslifecycle_codegen.compat.lock import COUNTER, COUNTS, MILESTONES, Lock
from opslifecycle_codegen.ir.messages import EFFECTS
from opslifecycle_codegen.ir.migrations import RECORD

COMPATIBLE = "compatible"
SOURCE = "breaking-source"
PERSISTED = "breaking-persisted"
BEHAVIOUR = "breaking-behaviour"

#: The rule of a declared rename of what stores hold.
RENAMED_IN_STORES = "stored-name-renamed"
#: The rules that report changes, each with whom such a change breaks.
RULES = {
    "member-added": COMPATIBLE,
    "member-removed": PERSISTED,
    "member-order": PERSISTED,
    "set-added": COMPATIBLE,
    "set-removed": PERSISTED,
    "class-removed": SOURCE,
    "terminal-lost": PERSISTED,
    "terminal-gained": PERSISTED,
    "milestone-lost": PERSISTED,
    "type-added": COMPATIBLE,
    "type-removed": PERSISTED,
    "variant-added": COMPATIBLE,
    "variant-removed": PERSISTED,
    "field-added": COMPATIBLE,
    "field-required": PERSISTED,
    "field-removed": PERSISTED,
    "field-widened": COMPATIBLE,
    "field-type": PERSISTED,
    "uncounted-records": PERSISTED,
    "id-changed": PERSISTED,
    "tag-changed": PERSISTED,
    "absent-changed": PERSISTED,
    "limits-changed": BEHAVIOUR,
    "key-added": BEHAVIOUR,
    "key-removed": BEHAVIOUR,
    "key-changed": BEHAVIOUR,
    "stored-key-added": PERSISTED,
    "view-added": COMPATIBLE,
    "view-removed": SOURCE,
    "view-field-added": COMPATIBLE,
    "view-field-removed": SOURCE,
    "view-field-type": SOURCE,
    "action-added": COMPATIBLE,
    "action-removed": SOURCE,
    "status-allowed": COMPATIBLE,
    "status-refused": BEHAVIOUR,
    "idempotence-added": BEHAVIOUR,
    "idempotence-removed": BEHAVIOUR,
    "target-changed": BEHAVIOUR,
    "checks-changed": BEHAVIOUR,
    "update-changed": BEHAVIOUR,
    "initial-changed": BEHAVIOUR,
    "answer-changed": BEHAVIOUR,
    "message-changed": COMPATIBLE,
    "effects-changed": BEHAVIOUR,
    "outcome-changed": BEHAVIOUR,
    "result-changed": BEHAVIOUR,
    "durability-changed": BEHAVIOUR,
    "end-changed": BEHAVIOUR,
    "feed-changed": BEHAVIOUR,
    "retention-changed": BEHAVIOUR,
    "history-changed": BEHAVIOUR,
    "timer-added": BEHAVIOUR,
    "timer-removed": BEHAVIOUR,
    "timer-changed": BEHAVIOUR,
    "guard-changed": BEHAVIOUR,
    "default-changed": BEHAVIOUR,
    "recovery-added": COMPATIBLE,
    "recovery-removed": SOURCE,
    "recovery-changed": BEHAVIOUR,
    "work-added": COMPATIBLE,
    "work-removed": SOURCE,
    "work-changed": BEHAVIOUR,
    "work-given": SOURCE,
    "rejection-added": COMPATIBLE,
    "rejection-removed": SOURCE,
    "rejection-changed": SOURCE,
    "setting-removed": SOURCE,
    "method-added": COMPATIBLE,
    "method-removed": SOURCE,
    "method-changed": SOURCE,
    "class-renamed": SOURCE,
    "parameter-added": COMPATIBLE,
    "property-added": COMPATIBLE,
    "property-removed": COMPATIBLE,
    "property-changed": COMPATIBLE,
    RENAMED_IN_STORES: PERSISTED,
    "public-name-renamed": SOURCE,
    "inner-name-renamed": COMPATIBLE,
}
#: The stored end of a record. Where the machine declares no outcome, it is the status.
_END, _STATUS = "terminal_outcome", "the status"
#: What a reason may accept of the changes that break stored data. Of an older store, its opening
#: then finds whether the records have a key twice, and no store depends on the order of members.
#: No reason makes other data readable, or undoes that a record has ended.
ACCEPTED = frozenset({"stored-key-added", "member-order"})
#: The rules of renames, which the migration that declares them explains.
RENAMES = frozenset({RENAMED_IN_STORES, "public-name-renamed", "inner-name-renamed"})


@frozen
class Change:
    """One difference between two versions, with its rule."""

    rule: str
    text: str
    kind: str = ""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "kind", RULES[self.rule])

    @property
    def breaking(self) -> bool:
        """Whether the change breaks stored data or callers."""
        return self.kind != COMPATIBLE

    def __str__(self) -> str:
        return f"{self.kind}: {self.text} [{self.rule}]"


def acceptable(rule: str) -> bool:
    """Return whether a reason in `accepts` is enough for changes of a rule."""
    return rule in ACCEPTED or RULES.get(rule) in (SOURCE, BEHAVIOUR)


def changes(old: Lock, new: Lock) -> list[Change]:
    """Return the differences between two locks, in the order of the older one."""
    found: list[Change] = []
    stored = _stored_types(old)
    for name, members in old["closed_sets"].items():
        found += _closed_set(name, members, new["closed_sets"].get(name), stored)
    for name in new["closed_sets"]:
        if name not in old["closed_sets"]:
            found.append(Change("set-added", f"the closed set {name} is new"))
    for status in old["terminal_statuses"]:
        if status in (*new["terminal_statuses"], *new.get(MILESTONES, [])):
            # The outcome of a stored end is that of a milestone.
            continue
        if any(status in members for members in new["closed_sets"].values()):
            found.append(Change("terminal-lost", f"the status {status} is no longer an end"))
    for status in old.get(MILESTONES, []):
        stays = any(status in members for members in new["closed_sets"].values())
        if stays and status not in (*new.get(MILESTONES, []), *new["terminal_statuses"]):
            message = f"the status {status} has no outcome any more"
            found.append(Change("milestone-lost", message))
    found += _new_ends(old, new)
    for section, prefix in (("values", ""), ("stored", ""), ("views", "view-")):
        for name, fields in old[section].items():
            now = new[section].get(name)
            now = now if "absent" in old or now is None else _as_before(now, section)
            if section == "values" and now is None and name not in stored:
                found.append(Change("class-removed", f"{name} is gone"))
            elif (section, name) == ("stored", RECORD) and now is not None:
                found += _fields(name, {_END: _STATUS, **fields}, {_END: _STATUS, **now}, "")
            else:
                found += _fields(name, fields, now, prefix)
        for name in new[section]:
            if name not in old[section]:
                rule = "view-added" if prefix else "type-added"
                found.append(Change(rule, f"{name} is new"))
    found += _absent(old, new)
    found += _counter(old, new)
    found += _counted(old, new)
    found += _identifiers(old, new)
    found += _keys(old, new)
    found += _messages(old["messages"], new["messages"])
    for name, tags in old["unions"].items():
        if name in new["unions"] or name in stored:
            found += _union(name, tags, new["unions"].get(name, {}))
        else:
            found.append(Change("class-removed", f"{name} is gone"))
    for name, tag in old.get("tags", {}).items():
        if new["tags"].get(name, tag) != tag:
            message = f"the tag of {name} was {tag} and is {new['tags'][name]}"
            found.append(Change("tag-changed", message))
    return found


def _stored_types(lock: Lock) -> Set[str]:
    """Return the classes of what stores hold: those of fields, of their parts and of arguments."""
    variants = {name: [*tags.values()] for name, tags in lock["unions"].items()}
    holders = [*lock["stored"].values(), *lock["messages"]["arguments"].values()]
    found = {lock.get("statuses", "")}
    # An older lock does not say which set the statuses are.
    found |= set(lock["closed_sets"]) if "statuses" not in lock else set()
    while holders:
        types = " ".join(holders.pop().values())
        for name in set(re.findall(r"\w+", types)) - found:
            found |= {name, *variants.get(name, ())}
            holders += [lock["values"].get(each, {}) for each in (name, *variants.get(name, ()))]
    return found


def _new_ends(old: Lock, new: Lock) -> Iterator[Change]:
    """Yield the statuses that are ends now: a live record in one has no outcome."""
    were_live = {*old["closed_sets"].get(new["statuses"], ())} - {*old["terminal_statuses"]}
    for status in new["terminal_statuses"] if old["stored"] else ():
        if status in were_live:
            message = f"the status {status} is an end now, and records in it have not ended"
            yield Change("terminal-gained", message)


def _as_before(fields: dict[str, str], section: str) -> dict[str, str]:
    """Return fields as older locks have them, which do not say what is absent from records."""
    fields = {name: type.removesuffix(FLATTENED) for name, type in fields.items()}
    if section != "stored":
        return fields
    return {name: type.replace(ABSENT, " | None") for name, type in fields.items()}


def _absent(old: Lock, new: Lock) -> Iterator[Change]:
    """Yield the fields whose values in records that are stored without them would change."""
    now = new.get("absent", {})
    for name, was in old.get("absent", {}).items():
        if now.get(name, was) != was:
            message = (
                f"records whose {name} is {was} are stored without it, and would have {now[name]};"
                f" `adds: {{fields: {{{name}: …}}}}` gives them what they had"
            )
            yield Change("absent-changed", message)


def _counter(old: Lock, new: Lock) -> Iterator[Change]:
    """Yield the change of the field that numbers the feed: another one begins at its own value."""
    was = old.get(COUNTER, "")
    now = new.get(COUNTER, was)
    if was and now != was:
        message = f"the feed was numbered by {was}, and {now} does not go on from there"
        yield Change("field-required", message)


def _counted(old: Lock, new: Lock) -> Iterator[Change]:
    """Yield counters of live records that do not count all that stores have.

    Without the key, a lock does not say what its version has counted.
    """
    counts = new.get(COUNTS, {}) if old["stored"] and COUNTS in old else {}
    again = {*old["terminal_statuses"]} - {*new["terminal_statuses"]}
    for name, added in counts.items():
        if old[COUNTS].get(name, 0) < added:
            message = f"registry.{name} counts live records, and older versions have not counted"
            fix = f"theirs; let {name} be `recovered_as: count(…)`"
            yield Change("uncounted-records", f"{message} {fix}")
        elif again:
            message = f"registry.{name} counts live records, which those with the status"
            yield Change("uncounted-records", f"{message} {', '.join(sorted(again))} become again")


def _identifiers(old: Lock, new: Lock) -> list[Change]:
    """Return what changed in the texts of identifiers; those without a pattern are UUIDs."""
    found = []
    before, after = old.get("ids", {}), new.get("ids", {})
    # The id of a record is no stored field, but views and messages have it.
    sections = (old["stored"], old["values"], old["views"], old["messages"]["arguments"])
    named = [fields for section in sections for fields in section.values()]
    used = {type.removesuffix(" | None") for fields in named for type in fields.values()}
    for name in {**before, **after}:
        was, now = before.get(name, "a UUID"), after.get(name, "a UUID")
        if was != now and name in used:
            found.append(Change("id-changed", f"{name} was {was} and is {now}"))
    return found


def _keys(old: Lock, new: Lock) -> list[Change]:
    """Return the unique keys that stored records may violate, because they had none."""
    before = old.get("keys", []) if old["stored"] else new.get("keys", [])
    found = []
    for key in new.get("keys", []):
        # What no two records share, no two live ones do.
        if key in before or {**key, "among": "all"} in before:
            continue
        fields = " and ".join(key["fields"])
        message = f"stored records may have equal values of {fields}, which become unique"
        found.append(Change("stored-key-added", message))
    return found


def _messages(old: Lock, new: Lock) -> list[Change]:
    """Return changes of the arguments of outbox messages; stored ones may lack a new argument."""
    found: list[Change] = []
    for name, members in old["sets"].items():
        # A machine without effects has no messages, so that the effects are gone alone.
        if name in new["sets"] or name == EFFECTS:
            found += _closed_set(f"the outbox's {name}", members, new["sets"].get(name, []))
    for name, fields in old["arguments"].items():
        if name in new["arguments"]:
            found += _fields(name, fields, new["arguments"][name], "")
    return found


def _closed_set(
    name: str, old: list[str], new: list[str] | None, stored: Set[str] = frozenset()
) -> list[Change]:
    if new is None:
        rule = "set-removed" if name in stored else "class-removed"
        return [Change(rule, f"the closed set {name} is gone")]
    found = [
        Change("member-removed", f"{name} loses {each} (removed or renamed)")
        for each in old
        if each not in new
    ]
    kept = [each for each in new if each in old]
    if kept != [each for each in old if each in new]:
        found.append(Change("member-order", f"the members of {name} stand in another order"))
    found += [Change("member-added", f"{name} gains {each}") for each in new if each not in old]
    return found


def _fields(
    name: str, old: dict[str, str], new: dict[str, str] | None, prefix: str
) -> list[Change]:
    if new is None:
        return [Change("view-removed" if prefix else "type-removed", f"{name} is gone")]
    found = []
    for field, type in old.items():
        if field not in new:
            message = f"{name} loses the field {field} (removed or renamed)"
            found.append(Change(f"{prefix}field-removed", message))
        elif new[field] != type:
            widened = widens(type, new[field]) and not prefix
            message = f"{name}.{field} was {type} and is {new[field]}"
            found.append(Change("field-widened" if widened else f"{prefix}field-type", message))
    for field, type in new.items():
        if field not in old:
            required = not type.endswith((" | None", ABSENT)) and not prefix
            rule = "field-required" if required else f"{prefix}field-added"
            message = f"{name} gains the {'required ' if required else ''}field {field}"
            found.append(Change(rule, message))
    return found


def _union(name: str, old: dict[str, str], new: dict[str, str]) -> list[Change]:
    lost = [
        Change("variant-removed", f"{name} loses the variant tagged {tag}")
        for tag in old
        if tag not in new
    ]
    gained = [
        Change("variant-added", f"{name} gains the variant tagged {tag}")
        for tag in new
        if tag not in old
    ]
    return [*lost, *gained]

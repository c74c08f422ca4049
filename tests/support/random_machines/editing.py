"""Random edits of a machine between two of its versions, and what each says of stored data."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

from attrs import define, field

from tests.support.random_machines.building import Tree
from tests.support.random_machines.mutations import CHANGES
from tests.support.random_machines.picking import Pick
from tests.support.random_machines.pruning import EDITED, pruned

#: Values of types without limits, as the language writes them, and as added values are written.
_VALUES: dict[str, list[tuple[str, Any]]] = {
    "int": [("0", 0), ("1", 1), ("7", 7)], "bool": [("true", True), ("false", False)],
    "str": [("'''on'''", "on"), ("''''''", ""), ("'''a b'''", "a b")],
}  # fmt: skip
#: Features that a machine may lack, and what goes with some of them.
_SECTIONS = ["watch", "barrier", "feed", "cursors", "retention", "history", "collect", "erase",
             "discard_when", "rollback", "bulk", "listing", "work", "unique"]  # fmt: skip
_WITH = {"feed": ["feed", "cursors", "retention"]}
#: Sections that a change at random leaves alone, and those that edits look into.
_FIXED = {"machine", "version", "entity", "snapshot", "migrations", "names"}
_EDITED = ("fields", "statuses", "actions", "guards", "create", "ids", "settings", "errors")
#: Words that expressions have, too.
_RESERVED = {"id", "status", "terminal_outcome", "sequence", "live", "terminal", "create", "known"}


@define
class Edit:
    """What has been done, and what a migration declares of it.

    Attributes:
        does: The names of the edits.
        migration: What the migration to the next version has; None for no migration.
        raised: Whether the version is another one.
        renames: Old names and new ones, of whatever they are.
        added: By place, what stored data gets: of a record, `entity.field`.
        instead: Of a place, what is stored where a record has what a new one has.
        anew: Places whose values may be others, because the machine says so.
    """

    does: list[str] = field(factory=list)
    migration: dict[str, Any] | None = None
    raised: bool = False
    refuses: bool = False
    renames: dict[str, str] = field(factory=dict)
    added: dict[str, Any] = field(factory=dict)
    instead: dict[str, tuple[Any, Any]] = field(factory=dict)

    def declare(self, part: str, of: str, what: dict[str, Any]) -> None:
        """Declare something in the migration."""
        self.migration = self.migration or {}
        self.migration.setdefault(part, {}).setdefault(of, {}).update(what)


def shortened(tree: Tree, pick: Pick) -> Tree:
    """Return a version of a machine that lacks something."""
    less = copy.deepcopy(tree)
    for _ in range(20):
        if pick.one(_LOSSES)(pick, less, Edit()):
            break
    return pruned(less, EDITED)


def next_of(tree: Tree, pick: Pick) -> tuple[Tree, Edit]:
    """Return a machine as the next version of what it was before it was written."""
    tree, edit = copy.deepcopy(tree), Edit(["gain"])
    _number(tree, edit, pick)
    return tree, edit


def edited(tree: Tree, pick: Pick) -> tuple[Tree, Edit]:
    """Return the next version of a machine."""
    tree, edit = {**{key: {} for key in _EDITED}, **copy.deepcopy(tree)}, Edit()
    for _ in range(1 if pick.chance(60) else pick.integer(2, 3)):
        for _ in range(20):
            name = pick.one(list(EDITS))
            if EDITS[name](pick, tree, edit):
                edit.does.append(name)
                break
    tree = pruned(tree, EDITED)
    _number(tree, edit, pick)
    return tree, edit


def _number(tree: Tree, edit: Edit, pick: Pick) -> None:
    """Raise the version if a migration says so, or at random."""
    if edit.migration is None and pick.chance(50):
        edit.raised = True
        if pick.chance(70):
            edit.migration = {}
            edit.refuses = pick.chance(4)
    if edit.migration is not None:
        edit.raised = True
        step = {"reason": "It is random.", **edit.migration}
        if edit.refuses:
            step["refuses"] = True
        tree["migrations"] = {**tree.get("migrations", {}), tree["version"] + 1: step}
    if edit.raised:
        tree["version"] += 1


# Parts of a tree ----------------------------------------------------------------------------------


def _updates(tree: Tree) -> Iterator[dict[str, Any]]:
    """Every place that updates fields."""
    for key, value in tree.items():
        if key == "update" and isinstance(value, dict):
            yield value
        elif isinstance(value, dict):
            yield from _updates(value)
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, dict):
                    yield from _updates(each)


def _targets(tree: Tree) -> list[str]:
    return sorted({target for each in _updates(tree) for target in each})


def _one(pick: Pick, holder: Any) -> Any:
    """One of the keys, or None if there are none."""
    return pick.one(list(holder)) if holder else None


def _word(pick: Pick, capital: bool = False) -> str:
    word = pick.one(["nova", "iota", "kappa", "omega"]) + f"_{pick.integer(100, 999)}"
    return word.title().replace("_", "") if capital else word


def _renamed(tree: Any, old: str, new: str) -> Any:
    """The tree with another word wherever one stands."""
    pattern = re.compile(rf"(?<!\w){re.escape(old)}(?!\w)")
    if isinstance(tree, str):
        return pattern.sub(new, tree)
    if isinstance(tree, dict):
        return {_renamed(k, old, new): _renamed(v, old, new) for k, v in tree.items()}
    return [_renamed(each, old, new) for each in tree] if isinstance(tree, list) else tree


def _rename(tree: Tree, edit: Edit, part: str, old: str, new: str) -> bool:
    if old in _RESERVED or new in str(tree) or edit.renames:
        return False
    changed = _renamed(tree, old, new)
    tree.clear()
    tree.update(changed)
    edit.renames[old] = new
    edit.declare("renames", edit.renames.get(part, part), {old: new})
    return True


# Edits of what commands do: stored data stays as it is --------------------------------------------


def _remove_action(pick: Pick, tree: Tree, edit: Edit) -> bool:
    name = _one(pick, tree["actions"])
    return name is not None and tree["actions"].pop(name) is not None


def _remove_updates(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Have nothing set a field any more."""
    target = _one(pick, _targets(tree))
    if target is None:
        return False
    for each in _updates(tree):
        each.pop(target, None)
    return True


def _remove_update(pick: Pick, tree: Tree, edit: Edit) -> bool:
    places = [each for each in _updates(tree) if each]
    return bool(places) and _popped(pick, pick.one(places))


def _popped(pick: Pick, holder: dict[str, Any]) -> bool:
    name = _one(pick, holder)
    return name is not None and holder.pop(name) is not None


def _add_update(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Have an action set what nothing has set."""
    entity, actions = tree["entity"], [a for a in tree["actions"].values() if isinstance(a, dict)]
    held = [name for name, each in tree["fields"].items() if "initial" in each]
    constant = [f"{entity}.{n}" for n in held if f"{entity}.{n}" not in _targets(tree)]
    if not constant or not actions:
        return False
    target = pick.one(constant)
    type = tree["fields"][target.removeprefix(f"{entity}.")]["type"]
    values = ["None"] if type.endswith(" | None") else [v for v, _ in _VALUES.get(type, ())]
    pick.one(actions).setdefault("update", {})[target] = pick.one([target, *values])
    return True


def _add_action(pick: Pick, tree: Tree, edit: Edit) -> bool:
    word = _word(pick)
    action: Tree = {"summary": "Another one.", "from": "live", "methods": [f"{word}_now"]}
    members = tree["statuses"]["members"]
    if pick.chance(50):
        action["to"] = pick.one(list(members))
    tree["actions"][word] = action
    return True


def _remove_guard(pick: Pick, tree: Tree, edit: Edit) -> bool:
    guarded = [each for each in tree["actions"].values() if each.get("guards")]
    if not guarded:
        return False
    guards = pick.one(guarded)["guards"]
    guards.pop(pick.integer(0, len(guards) - 1))
    return True


def _remove_parameter(pick: Pick, tree: Tree, edit: Edit) -> bool:
    commands = [c for c in (*tree["actions"].values(), tree["create"]) if c.get("params")]
    if not commands:
        return False
    command = pick.one(commands)
    name = pick.one(list(command["params"]))
    del command["params"][name]
    if isinstance(command.get("methods"), dict):
        command["methods"] = {
            method: [each for each in words if each != name]
            for method, words in command["methods"].items()
        }
    return True


def _recovery(pick: Pick, tree: Tree, edit: Edit) -> bool:
    recovery = tree.get("recovery")
    if recovery is None:
        return False
    kind = pick.integer(0, 3)
    if kind == 0:
        recovery["persist_if"] = pick.one(["true", f"{tree['entity']}.status.terminal"])
    elif kind == 1:
        return recovery.pop(pick.one(["unless", "with", "do"]), None) is not None
    elif kind == 2:
        recovery["do"] = _one(pick, tree["actions"])
    else:
        recovery["unless"] = f"not {tree['entity']}.status.terminal"
    return True


def _retention(pick: Pick, tree: Tree, edit: Edit) -> bool:
    retention = tree.get("retention")
    if retention is None:
        return False
    kind = pick.integer(0, 4)
    if kind == 0:
        del tree["retention"]
    elif kind == 1:
        retention["evict"] = pick.one(["records", "entries"])
    elif kind == 2:
        if "rows_kept" not in tree["settings"]:
            return False
        tree["settings"]["rows_kept"]["default"] = pick.integer(1, 4)
    elif kind == 3:
        retention["beyond_cursors"] = not retention.get("beyond_cursors", False)
    else:
        return retention.pop("archive", None) is not None
    return True


def _feed(pick: Pick, tree: Tree, edit: Edit) -> bool:
    feed = tree.get("feed")
    if feed is None:
        return False
    key = pick.one(["of", "when", "counter"])
    if key == "of" and "of" not in feed:
        feed["of"] = "transitions"
        return True
    return feed.pop(key, None) is not None


def _remove_section(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Have the machine lack one of its features, with what only that declares."""
    name = _one(pick, [each for each in _SECTIONS if each in tree])
    if name is None:
        return False
    for each in _WITH.get(name, [name]):
        tree.pop(each, None)
    if name == "cursors":
        tree["errors"].pop("beyond", None)
        tree.get("retention", {}).pop("beyond_cursors", None)
    if name == "barrier":
        for each in ("GroupId", "WaitId"):
            tree["ids"].pop(each, None)
    if name == "feed":
        tree["settings"].pop("rows_kept", None)
        tree["ids"].pop("EpochId", None)
        tree["errors"].pop("beyond", None)
    return True


def _unique(pick: Pick, tree: Tree, edit: Edit) -> bool:
    keys = tree.get("unique")
    if not keys:
        return False
    if pick.chance(40):
        del tree["unique"]
        return True
    key = keys[pick.one(list(keys))]
    if pick.chance(50):
        key["among"] = pick.one(["live", "all"])
    else:
        key["fields"] = pick.some(list(tree["fields"]), 2, 1)
    return True


def _mutate(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Any small change of any section but those by which a registry is seen."""
    kept = {key: value for key, value in tree.items() if key in _FIXED}
    done = CHANGES[pick.one(list(CHANGES))](pick, tree)
    others = {key: value for key, value in tree.items() if key not in _FIXED}
    tree.clear()
    tree.update({**kept, **others})
    return done and all(isinstance(tree.get(key), dict) for key in _EDITED)


# Edits of types and fields ------------------------------------------------------------------------


def _change_initial(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Have a field begin with something else, or with what another begins with."""
    fields = {name: each for name, each in tree["fields"].items() if "initial" in each}
    name = _one(pick, fields)
    if name is None or edit.instead:
        return False
    type = fields[name]["type"]
    same = [each["initial"] for each in fields.values() if each["type"] == type]
    given = [param for param, of in tree["create"]["params"].items() if of == type]
    values = [text for text, _ in _VALUES.get(type.removesuffix(" | None"), ())]
    found = pick.one([*same, *given, *values, *(["None"] if type.endswith(" | None") else [])])
    if found == fields[name]["initial"]:
        return False
    fields[name]["initial"] = found
    return True


def _change_type(pick: Pick, tree: Tree, edit: Edit) -> bool:
    holders = [tree["fields"], tree.get("registry", {})]
    holders += [each["fields"] for each in tree.get("values", {}).values() if "fields" in each]
    holder = pick.one(holders)
    name = _one(pick, holder)
    if name is None:
        return False
    declared = holder[name]
    type = declared["type"] if isinstance(declared, dict) else declared
    others = [*tree.get("types", {}), *tree.get("values", {}), *tree.get("enums", {}),
              "int", "str", "bool", "float", "Decimal", "datetime"]  # fmt: skip
    bare = type.removesuffix(" | None")
    new = pick.one([f"{bare} | None", f"{bare} | None", bare, pick.one(others)])
    if new == type:
        return False
    if isinstance(declared, dict):
        declared["type"] = new
    else:
        holder[name] = new
    return True


def _change_limits(pick: Pick, tree: Tree, edit: Edit) -> bool:
    name = _one(pick, tree.get("types"))
    if name is None:
        return False
    limits = tree["types"][name]
    keys = [k for k in ("minimum", "maximum", "max_length", "pattern", "places") if k in limits]
    key = _one(pick, keys)
    if key is None:
        return False
    if key == "pattern":
        del limits[key]
    elif isinstance(limits[key], int):
        limits[key] += pick.one([-1, 1, 3])
        if key == "places" and pick.chance(80):
            limits["digits"] += 3
    else:
        limits[key] = pick.one(["0", "-9.99", "99.99"])
    return True


def _remove_field(pick: Pick, tree: Tree, edit: Edit) -> bool:
    name = _one(pick, tree["fields"])
    if name is None:
        return False
    del tree["fields"][name]
    tree["snapshot"]["fields"].pop(name, None)
    target = f"{tree['entity']}.{name}"
    for each in _updates(tree):
        each.pop(target, None)
    if pick.chance(60):
        edit.declare("removes", "", {})
        assert edit.migration is not None
        edit.migration["removes"] = {"fields": [name]}
    return True


def _add_field(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """A field with a value for new records, and mostly with another for older ones."""
    name, type = _word(pick), pick.one(list(_VALUES))
    (first, seen), (text, value) = pick.one(_VALUES[type]), pick.one(_VALUES[type])
    optional = pick.chance(30)
    of = pick.one(["fields", "registry"])
    declared = {"type": f"{type} | None" if optional else type, "summary": "Another one."}
    holder = tree.setdefault(of, {})
    place = f"{tree['entity']}.{name}" if of == "fields" else name
    if of == "fields":
        declared.pop("summary")
        tree["snapshot"]["fields"][name] = place
    holder[name] = {**declared, "initial": first}
    edit.added[place] = seen
    if pick.chance(60):
        edit.declare("adds", of, {name: value})
        edit.added[place] = value
    if of == "fields" and pick.chance(40):
        actions = list(tree["actions"].values())
        if actions:
            pick.one(actions).setdefault("update", {})[place] = pick.one([place, first, text])
    return True


def _begin_otherwise(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Another initial value, with what older records have that are stored without it."""
    found = {
        name: each for name, each in tree["fields"].items()
        if each.get("type", "").removesuffix(" | None") in _VALUES
        and each.get("initial") in [v for v, _ in _VALUES[each["type"].removesuffix(" | None")]]
    }  # fmt: skip
    name = _one(pick, found)
    place = f"{tree['entity']}.{name}"
    if name is None or place in edit.instead or place in edit.added:
        return False
    if "change initial" in edit.does:
        # What older records begin with is not what stands there now.
        return False
    declared = found[name]
    values = dict(_VALUES[declared["type"].removesuffix(" | None")])
    before = values[declared["initial"]]
    declared["initial"] = pick.one(list(values))
    gift = values[pick.one(list(values))]
    edit.declare("adds", "fields", {name: gift})
    edit.instead[place] = (before, gift)
    return True


def _value_field(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """A value gains or loses a field."""
    records = {n: v for n, v in tree.get("values", {}).items() if "fields" in v}
    name = _one(pick, records)
    if name is None:
        return False
    fields = records[name]["fields"]
    if pick.chance(50):
        fields[_word(pick)] = "int | None"
    else:
        lost = pick.one(list(fields))
        del fields[lost]
        if pick.chance(50):
            edit.declare("removes", "", {})
            assert edit.migration is not None
            edit.migration["removes"] = {name: [lost]}
    return True


def _tags(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Another form of the JSON of a value."""
    holders = [each for each in tree.get("values", {}).values() if isinstance(each, dict)]
    if not holders:
        return False
    holder = pick.one(holders)
    if "tag" in holder and pick.chance(50):
        holder["tag"] = _word(pick)
        return True
    if "flatten" in holder:
        del holder["flatten"]
        return True
    for each in holder.get("variants", {}).values():
        if isinstance(each, dict) and each.pop("flatten", None):
            return True
    return False


def _members(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """A closed set gains or loses a member, or has its members in another order."""
    sets = [each["members"] for each in tree.get("enums", {}).values() if each.get("members")]
    members = pick.one([*sets, tree["statuses"]["members"]])
    if not isinstance(members, dict):
        return False
    name = pick.one(list(members))
    kind = pick.integer(0, 2)
    declared = members[name]
    if kind == 0:
        members[_word(pick)] = copy.deepcopy(declared)
    else:
        del members[name]
        if kind == 1:
            members[name] = declared
    return True


# Renames ------------------------------------------------------------------------------------------


def _rename_field(pick: Pick, tree: Tree, edit: Edit) -> bool:
    part = pick.one(["fields", "fields", "registry"])
    name = _one(pick, tree.get(part))
    return name is not None and _rename(tree, edit, part, name, _word(pick))


def _rename_member(pick: Pick, tree: Tree, edit: Edit) -> bool:
    entity = "".join(word.title() for word in tree["entity"].split("_"))
    status = tree.get("names", {}).get("status", f"{entity}Status")
    sets = {n: e["members"] for n, e in tree.get("enums", {}).items() if e.get("members")}
    sets[status] = tree["statuses"]["members"]
    name = pick.one(list(sets))
    return _rename(tree, edit, name, pick.one(list(sets[name])), _word(pick))


def _rename_in_value(pick: Pick, tree: Tree, edit: Edit) -> bool:
    records = {n: v["fields"] for n, v in tree.get("values", {}).items() if v.get("fields")}
    name = _one(pick, records)
    return name is not None and _rename(
        tree, edit, name, pick.one(list(records[name])), _word(pick)
    )


def _rename_type(pick: Pick, tree: Tree, edit: Edit) -> bool:
    name = _one(pick, {**tree.get("values", {}), **tree.get("enums", {})})
    return name is not None and _rename(tree, edit, "types", name, _word(pick, capital=True))


def _rename_action(pick: Pick, tree: Tree, edit: Edit) -> bool:
    name = _one(pick, tree["actions"])
    return name is not None and _rename(tree, edit, "actions", name, _word(pick))


#: Every edit by its name; each returns whether there was something to edit.
EDITS: dict[str, Callable[[Pick, Tree, Edit], bool]] = {
    each.__name__.strip("_").replace("_", " "): each
    for each in (
        _remove_action, _remove_updates, _remove_update, _add_update, _add_action, _remove_guard,
        _remove_parameter, _recovery, _retention, _feed,
        _remove_section, _unique, _mutate, _change_initial,
        _change_type, _change_limits, _remove_field, _add_field, _begin_otherwise, _value_field,
        _tags, _members, _rename_field, _rename_member, _rename_in_value, _rename_type,
        _rename_action,
    )
}  # fmt: skip
#: Those that leave out what a later version may have gained.
_LOSSES = [_remove_section, _remove_section, _remove_section, _remove_updates, _remove_update,
           _remove_field, _value_field, _remove_guard, _remove_action, _unique, _feed,
           _retention, _recovery, _remove_parameter]  # fmt: skip

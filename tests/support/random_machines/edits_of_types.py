"""Random edits of types and fields, of which stored data may have values."""

from __future__ import annotations

import copy

from tests.support.random_machines.building import Tree
from tests.support.random_machines.edits import VALUES, Edit, new_word, one_of, updates_of
from tests.support.random_machines.picking import Pick


def change_initial(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Have a field begin with something else, or with what another begins with."""
    fields = {name: each for name, each in tree.get("fields", {}).items() if "initial" in each}
    name = one_of(pick, fields)
    if name is None or edit.instead:
        return False
    type = fields[name]["type"]
    same = [each["initial"] for each in fields.values() if each["type"] == type]
    given = [param for param, of in tree["create"]["params"].items() if of == type]
    values = [text for text, _ in VALUES.get(type.removesuffix(" | None"), ())]
    found = pick.one([*same, *given, *values, *(["None"] if type.endswith(" | None") else [])])
    if found == fields[name]["initial"]:
        return False
    fields[name]["initial"] = found
    return True


def change_type(pick: Pick, tree: Tree, edit: Edit) -> bool:
    holders = [tree.get("fields", {}), tree.get("registry", {})]
    holders += [each["fields"] for each in tree.get("values", {}).values() if "fields" in each]
    holder = pick.one(holders)
    name = one_of(pick, holder)
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


def change_limits(pick: Pick, tree: Tree, edit: Edit) -> bool:
    name = one_of(pick, tree.get("types"))
    if name is None:
        return False
    limits = tree["types"][name]
    keys = [k for k in ("minimum", "maximum", "max_length", "pattern", "places") if k in limits]
    key = one_of(pick, keys)
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


def remove_field(pick: Pick, tree: Tree, edit: Edit) -> bool:
    name = one_of(pick, tree.get("fields"))
    if name is None:
        return False
    del tree["fields"][name]
    tree["snapshot"]["fields"].pop(name, None)
    target = f"{tree['entity']}.{name}"
    for each in updates_of(tree):
        each.pop(target, None)
    if pick.chance(60):
        edit.remove("fields", [name])
    return True


def add_field(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """A field with a value for new records, and mostly with another for older ones."""
    name, type = new_word(pick), pick.one(list(VALUES))
    (first, seen), (text, value) = pick.one(VALUES[type]), pick.one(VALUES[type])
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


def begin_otherwise(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Another initial value, with what older records have that are stored without it."""
    found = {
        name: each for name, each in tree.get("fields", {}).items()
        if each.get("type", "").removesuffix(" | None") in VALUES
        and each.get("initial") in [v for v, _ in VALUES[each["type"].removesuffix(" | None")]]
    }  # fmt: skip
    name = one_of(pick, found)
    place = f"{tree['entity']}.{name}"
    if name is None or place in edit.instead or place in edit.added:
        return False
    if "change initial" in edit.does:
        # What older records begin with is not what stands there now.
        return False
    declared = found[name]
    values = dict(VALUES[declared["type"].removesuffix(" | None")])
    before = values[declared["initial"]]
    declared["initial"] = pick.one(list(values))
    gift = values[pick.one(list(values))]
    edit.declare("adds", "fields", {name: gift})
    edit.instead[place] = (before, gift)
    return True


def value_field(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """A value gains or loses a field."""
    records = {n: v for n, v in tree.get("values", {}).items() if "fields" in v}
    name = one_of(pick, records)
    if name is None:
        return False
    fields = records[name]["fields"]
    if pick.chance(50):
        fields[new_word(pick)] = "int | None"
    else:
        lost = pick.one(list(fields))
        del fields[lost]
        if pick.chance(50):
            edit.remove(name, [lost])
    return True


def tags(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Another form of the JSON of a value."""
    holders = [each for each in tree.get("values", {}).values() if isinstance(each, dict)]
    if not holders:
        return False
    holder = pick.one(holders)
    if "tag" in holder and pick.chance(50):
        holder["tag"] = new_word(pick)
        return True
    if "flatten" in holder:
        del holder["flatten"]
        return True
    for each in holder.get("variants", {}).values():
        if isinstance(each, dict) and each.pop("flatten", None):
            return True
    return False


def members(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """A closed set gains or loses a member, or has its members in another order."""
    sets = [each["members"] for each in tree.get("enums", {}).values() if each.get("members")]
    members = pick.one([*sets, tree["statuses"]["members"]])
    if not isinstance(members, dict):
        return False
    name = pick.one(list(members))
    kind = pick.integer(0, 2)
    declared = members[name]
    if kind == 0:
        members[new_word(pick)] = copy.deepcopy(declared)
    else:
        del members[name]
        if kind == 1:
            members[name] = declared
    return True

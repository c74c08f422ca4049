"""Random renames, each with the migration that declares it."""

from __future__ import annotations

from tests.support.random_machines.building import Tree
from tests.support.random_machines.edits import Edit, new_word, one_of, renamed_in
from tests.support.random_machines.picking import Pick


def rename_field(pick: Pick, tree: Tree, edit: Edit) -> bool:
    part = pick.one(["fields", "fields", "registry"])
    name = one_of(pick, tree.get(part))
    return name is not None and renamed_in(tree, edit, part, name, new_word(pick))


def rename_member(pick: Pick, tree: Tree, edit: Edit) -> bool:
    entity = "".join(word.title() for word in tree["entity"].split("_"))
    status = tree.get("names", {}).get("status", f"{entity}Status")
    sets = {n: e["members"] for n, e in tree.get("enums", {}).items() if e.get("members")}
    sets[status] = tree["statuses"]["members"]
    name = pick.one(list(sets))
    return renamed_in(tree, edit, name, pick.one(list(sets[name])), new_word(pick))


def rename_in_value(pick: Pick, tree: Tree, edit: Edit) -> bool:
    records = {n: v["fields"] for n, v in tree.get("values", {}).items() if v.get("fields")}
    name = one_of(pick, records)
    return name is not None and renamed_in(
        tree, edit, name, pick.one(list(records[name])), new_word(pick)
    )


def rename_type(pick: Pick, tree: Tree, edit: Edit) -> bool:
    name = one_of(pick, {**tree.get("values", {}), **tree.get("enums", {})})
    return name is not None and renamed_in(tree, edit, "types", name, new_word(pick, capital=True))


def rename_action(pick: Pick, tree: Tree, edit: Edit) -> bool:
    name = one_of(pick, tree["actions"])
    return name is not None and renamed_in(tree, edit, "actions", name, new_word(pick))

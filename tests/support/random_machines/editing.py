"""Random edits of a machine between two of its versions."""

from __future__ import annotations

import copy
from collections.abc import Callable

from tests.support.random_machines import edits_of_commands as commands
from tests.support.random_machines import edits_of_features as features
from tests.support.random_machines import edits_of_names as names
from tests.support.random_machines import edits_of_types as types
from tests.support.random_machines.building import Tree
from tests.support.random_machines.edits import Edit
from tests.support.random_machines.edits_of_gains import GAINS
from tests.support.random_machines.picking import Pick
from tests.support.random_machines.pruning import EDITED, pruned

#: Sections that edits look into.
_EDITED = ("fields", "statuses", "actions", "guards", "create", "ids", "settings", "errors")


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


#: Every edit by its name; each returns whether there was something to edit.
EDITS: dict[str, Callable[[Pick, Tree, Edit], bool]] = {
    each.__name__.replace("_", " "): each
    for each in (
        commands.remove_action, commands.remove_updates, commands.remove_update,
        commands.add_update, commands.add_action, commands.remove_guard,
        commands.remove_parameter, commands.recovery, commands.mutate,
        features.retention, features.feed, features.remove_section, features.remove_effect,
        features.unique, *GAINS,
        types.change_initial, types.change_type, types.change_limits, types.remove_field,
        types.add_field, types.begin_otherwise, types.value_field, types.tags, types.members,
        names.rename_field, names.rename_member, names.rename_in_value, names.rename_type,
        names.rename_action,
    )
}  # fmt: skip
#: Those that leave out what a later version may have gained.
_LOSSES = [
    *[features.remove_section] * 3, features.remove_effect, commands.remove_updates,
    commands.remove_update, types.remove_field, types.value_field, commands.remove_guard,
    commands.remove_action, features.unique, features.feed, features.retention,
    commands.recovery, commands.remove_parameter,
]  # fmt: skip

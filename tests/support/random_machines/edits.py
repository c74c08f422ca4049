"""What random edits of a machine have in common: what each says, and parts of a tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import define, field

from tests.support.random_machines.building import Tree
from tests.support.random_machines.picking import Pick

#: Values of types without limits, as the language writes them, and as added values are written.
VALUES: dict[str, list[tuple[str, Any]]] = {
    "int": [("0", 0), ("1", 1), ("7", 7)], "bool": [("true", True), ("false", False)],
    "str": [("'''on'''", "on"), ("''''''", ""), ("'''a b'''", "a b")],
}  # fmt: skip
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
        lost: Effects and actions that are gone; a store that names one is refused.
    """

    does: list[str] = field(factory=list)
    migration: dict[str, Any] | None = None
    raised: bool = False
    refuses: bool = False
    renames: dict[str, str] = field(factory=dict)
    added: dict[str, Any] = field(factory=dict)
    instead: dict[str, tuple[Any, Any]] = field(factory=dict)
    lost: set[str] = field(factory=set)

    def declare(self, part: str, of: str, what: dict[str, Any]) -> None:
        """Declare something in the migration."""
        self.migration = self.migration or {}
        self.migration.setdefault(part, {}).setdefault(of, {}).update(what)

    def remove(self, part: str, names: Iterable[str]) -> None:
        """Declare that names of a part are gone."""
        self.migration = self.migration or {}
        for name in names:
            self.migration.setdefault("removes", {}).setdefault(part, []).append(name)


def updates_of(tree: Tree) -> Iterator[dict[str, Any]]:
    """Every place that updates fields."""
    for key, value in tree.items():
        if key == "update" and isinstance(value, dict):
            yield value
        elif isinstance(value, dict):
            yield from updates_of(value)
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, dict):
                    yield from updates_of(each)


def targets_of(tree: Tree) -> list[str]:
    """The fields that anything updates."""
    return sorted({target for each in updates_of(tree) for target in each})


def one_of(pick: Pick, holder: Any) -> Any:
    """One of the keys, or None if there are none."""
    return pick.one(list(holder)) if holder else None


def new_word(pick: Pick, capital: bool = False) -> str:
    """A name that a machine hardly has."""
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


def renamed_in(tree: Tree, edit: Edit, part: str, old: str, new: str) -> bool:
    """Rename something of a part; return whether it could be done."""
    if old in _RESERVED or new in str(tree) or edit.renames:
        return False
    # Migrations have the names of their own versions, and call types as today.
    migrations = tree.pop("migrations", {})
    changed = _renamed(tree, old, new)
    tree.clear()
    tree.update(changed)
    for step in migrations.values() if part == "types" else ():
        for edits in (step.get(key, {}) for key in ("renames", "removes", "adds")):
            if old in edits:
                edits[new] = edits.pop(old)
    if migrations:
        tree["migrations"] = migrations
    edit.renames[old] = new
    edit.declare("renames", edit.renames.get(part, part), {old: new})
    return True

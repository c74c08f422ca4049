"""The names of an older version of a machine as the newer version spells them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from attrs import Factory, evolve, frozen

from opslifecycle_codegen.compat.compare import RENAMED_IN_STORES as STORED
from opslifecycle_codegen.compat.compare import Change
from opslifecycle_codegen.compat.lock import Lock
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root, replaced
from opslifecycle_codegen.ir.messages import ACTIONS, ARGUMENTS, EFFECTS
from opslifecycle_codegen.ir.migrations import RECORD, REGISTRY, TYPES, Migrations
from opslifecycle_codegen.ir.parts import (
    ERRORS,
    FEED_ENTRY,
    GUARDS,
    INVARIANTS,
    METHODS,
    PROPERTIES,
    SNAPSHOT,
    names_in,
)
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.types import Type

#: What the names of a part are called, and the rule of their renames.
_DESCRIBED = {
    TYPES: ("the type", "public-name-renamed"),
    ACTIONS: ("the action", "public-name-renamed"),
    METHODS: ("the method", "public-name-renamed"),
    SNAPSHOT: ("the snapshot's", "public-name-renamed"),
    FEED_ENTRY: ("the feed entry's", "public-name-renamed"),
    GUARDS: ("the guard", "inner-name-renamed"),
    ERRORS: ("the rejection", "inner-name-renamed"),
    INVARIANTS: ("the property", "inner-name-renamed"),
    RECORD: ("the field", STORED),
    REGISTRY: ("the registry's", STORED),
    EFFECTS: ("the effect", STORED),
}
#: What the base of a field may be, and the part that its fields are of.
_OWNERS = {"entity": RECORD, "registry": REGISTRY, "row": FEED_ENTRY}


@frozen
class Renames:
    """Today's names of what an older version called otherwise, by the part."""

    parts: Mapping[str, Mapping[str, str]] = Factory(dict)

    def name(self, part: str, name: str) -> str:
        """Return today's name of a name in a part."""
        return self.parts.get(part, {}).get(name, name)

    def argument(self, action: str, name: str) -> str:
        """Return today's name of a parameter; `action` is the action's name of today."""
        return self.name(f"{ARGUMENTS}{action}", name)

    def type(self, type: Type) -> Type:
        """Return a type with today's names."""
        inner = None if type.inner is None else self.type(type.inner)
        return evolve(type, name=self.name(TYPES, type.name), inner=inner)

    def tree(self, tree: Expression, action: str = "") -> Expression:
        """Return an expression with today's names; `action` is the action that it belongs to."""

        def renamed(node: Expression) -> Expression:
            node = evolve(node, type=self.type(node.type))
            match node:
                case nodes.Member(type=enum, word=word):
                    return evolve(node, word=self.name(enum.required.name, word))
                case nodes.Field(base=base, name=name):
                    return evolve(node, name=self.name(_part_of(base.type.required), name))
                case nodes.Name(root=Root.PARAMETER, name=name):
                    return evolve(node, name=self.argument(action, name))
                case nodes.Construct(variant=variant) | nodes.IsVariant(variant=variant):
                    return evolve(node, variant=self.name(TYPES, variant))
            return node

        return replaced(tree, renamed) if self.parts else tree


#: The names of a version that is compared with itself.
UNCHANGED = Renames()


def _part_of(owner: Type) -> str:
    if owner.kind == "enum":
        return f"{PROPERTIES}{owner.name}"
    return _OWNERS.get(owner.kind, owner.name)


def renames_since(version: int, migrations: Migrations) -> Renames:
    """Return the declared renames of the migrations after a version, one after the other."""
    parts: dict[str, dict[str, str]] = {}
    for step in migrations.steps:
        if step.version <= version:
            continue
        for part, edits in step.renames.items():
            names = parts.setdefault(part, {})
            first = {new: old for old, new in names.items()}
            names.update({first.get(old, old): new for old, new in edits.items()})
    for union, enum in migrations.enums_of_unions.items():
        if union in parts:
            parts[enum] = {**parts[union], **parts.get(enum, {})}
    return Renames(parts)


def between(old: Program, new: Program) -> Renames:
    """Return today's names of an older program, with those of the classes of variants."""
    found = renames_since(old.machine.version, new.migrations)
    classes = dict(found.parts.get(TYPES, {}))
    for name, union in old.symbols.unions.items():
        today = new.symbols.unions.get(found.name(TYPES, name))
        tags = {v.tag_value: c for c, v in today.variants.items()} if today is not None else {}
        for variant in union.variants.values():
            tag = found.name(found.name(TYPES, name), variant.tag_value)
            if tag in tags and tags[tag] != variant.name:
                classes[variant.name] = tags[tag]
    return Renames({**found.parts, TYPES: classes}) if classes else found


def of_program(old: Program, renames: Renames) -> list[Change]:
    """Return the renames of names that an older program has."""
    return list(_changes(renames, lambda part: names_in(old, part)))


def of_lock(old: Lock, renames: Renames) -> list[Change]:
    """Return the renames of names that an older lock has."""
    sections = (old["closed_sets"], old["values"], old["stored"], old["unions"], old["views"],
                old["messages"]["sets"], old["messages"]["arguments"])  # fmt: skip
    names: dict[str, list[str]] = {TYPES: [*old["closed_sets"], *old["values"], *old["unions"]]}
    for section in sections:
        for part, found in section.items():
            names.setdefault(part, []).extend(found)
    return list(_changes(renames, lambda part: names.get(part, [])))


def _changes(renames: Renames, known: Callable[[str], Collection[str]]) -> Iterator[Change]:
    for part, names in renames.parts.items():
        found = known(_older(part, renames))
        what, rule = _described(part)
        for old, new in names.items():
            if old in found:
                yield Change(rule, f"{what} {old} is now {new}")


def _older(part: str, renames: Renames) -> str:
    """Return what the older version called a part."""
    prefix, dot, owner = part.rpartition(".")
    named = renames.parts.get(ACTIONS if f"{prefix}{dot}" == ARGUMENTS else TYPES, {})
    older = {new: old for old, new in named.items()}
    return f"{prefix}{dot}{older.get(owner, owner)}"


def _described(part: str) -> tuple[str, str]:
    if part in _DESCRIBED:
        return _DESCRIBED[part]
    if part.startswith((ARGUMENTS, PROPERTIES)):
        _, _, owner = part.rpartition(".")
        return f"{owner}'s", "public-name-renamed"
    return f"{part}'s", STORED

"""A machine without what nothing in it uses."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from tests.support.random_machines.building import Tree

_SECTIONS = ("values", "ids", "effects", "enums")
#: Those of which an edit may leave something that nothing uses any more.
EDITED = (*_SECTIONS, "types", "guards", "errors")

#: Sections of names that also keys mention.
_NAMED_BY_KEYS = ("guards", "errors")


def pruned(tree: Tree, sections: tuple[str, ...] = _SECTIONS) -> Tree:
    """Leave out empty sections, and whatever is declared and used by nothing."""
    tree = {key: value for key, value in tree.items() if value not in ({}, [])}
    while True:
        for section in sections:
            used = _mentioned(tree) if section not in _NAMED_BY_KEYS else _repeated(tree)
            for name in list(tree.get(section, {})):
                mine = [name, *tree[section][name].get("variants", ())]
                if not used.intersection(mine) and not name.startswith(_title(tree["entity"])):
                    del tree[section][name]
                    break
            else:
                continue
            break
        else:
            break
    return {key: value for key, value in tree.items() if value not in ({}, [])}


def _title(entity: str) -> str:
    return "".join(part.capitalize() for part in entity.split("_"))


def _mentioned(tree: Tree) -> set[str]:
    """Every word that stands as a value, and not as the name of something declared."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)
        elif isinstance(value, str):
            found.update(re.findall(r"\w+", value))

    walk({key: value for key, value in tree.items() if key != "summary"})
    return found


def _repeated(tree: Tree) -> set[str]:
    """Every word that stands somewhere beside its declaration."""
    counts = Counter(re.findall(r"\w+", str(tree)))
    return {word for word, count in counts.items() if count > 1}

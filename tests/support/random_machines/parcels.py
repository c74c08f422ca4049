"""A small machine as a tree, for tests that change a part of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.support.random_machines.building import Tree

PARCEL = Path(__file__).parents[2] / "codegen/parcel.yaml"


def parcel(*path: str) -> tuple[Tree, Any]:
    """Return the tree of a small machine, and a part of it."""
    tree: Tree = yaml.safe_load(PARCEL.read_text(encoding="utf-8"))
    # Effects of the machine's own play no part in what is shown here.
    for each in (tree["create"], *tree["actions"].values()):
        each.pop("effects", None)
    tree.pop("effects")
    tree.pop("on_terminal")
    part = tree
    for key in path:
        part = part.setdefault(key, {})
    return tree, part

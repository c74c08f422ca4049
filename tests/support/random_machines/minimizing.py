"""The smallest machine that still shows a fault, by leaving out one part after another."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.random_machines.building import Tree

#: A place in a tree, as the keys that lead to it.
Path = tuple[Any, ...]


def minimized(tree: Tree, shows: Callable[[Tree], bool], *, seconds: float = 60) -> Tree:
    """Return a tree of which no part can be left out, or what was reached in so many seconds."""
    until = time.monotonic() + seconds
    smaller = True
    while smaller:
        smaller = False
        # From the largest parts to the smallest ones.
        for path in sorted(_paths(tree), key=lambda p: (len(p), -_size(_at(tree, p)))):
            if time.monotonic() > until:
                return tree
            try:
                _at(tree, path)
            except (KeyError, IndexError):
                continue
            less = _without(tree, path)
            if shows(less):
                tree, smaller = less, True
    return tree


def _paths(tree: Any, path: Path = ()) -> Iterator[Path]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from _paths(value, (*path, key))


def _at(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if isinstance(value, list) else 1


def _without(tree: Tree, path: Path) -> Tree:
    """A copy without one part; a list or mapping that it leaves empty goes with it."""
    tree = copy.deepcopy(tree)
    while path:
        holder = _at(tree, path[:-1])
        del holder[path[-1]]
        if holder or len(path) < 2:
            break
        path = path[:-1]
    return tree

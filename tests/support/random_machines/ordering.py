"""Which random machines are examined in `make test`, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tests.support.random_machines.building import Tree


def best_first(
    machines: Mapping[int, tuple[Tree, frozenset[str]]], lacking: Callable[[], set[str]]
) -> Iterator[int]:
    """Yield the number of the machine that shows most of what is lacking, until none shows any.

    A small machine takes less time than a large one, so its features count for more.

    Args:
        machines: What each number builds: a machine and its features.
        lacking: Returns the features that no examined machine had; it is called for each number.
    """
    size = {number: len(str(tree)) for number, (tree, _) in machines.items()}
    left = {number: features for number, (_, features) in machines.items()}
    while left:
        lacks = lacking()
        number = max(left, key=lambda each: len(left[each] & lacks) / size[each])
        if not left.pop(number) & lacks:
            return
        yield number

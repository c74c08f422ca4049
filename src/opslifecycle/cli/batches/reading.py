"""A batch of commands in YAML. An error is reported with its line before any command starts."""

from __future__ import annotations

import graphlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import attrs
import yaml
from opslifecycle.cli.batches.commands import read_entry, read_files
from opslifecycle.cli.batches.model import Batch, Command, InvalidBatchError
from opslifecycle.cli.batches.nodes import Nodes, compose
from opslifecycle.cli.batches.undisturbed import without_collector

_KEYS = ("max_concurrent", "fail_fast", "env_file", "commands")


@without_collector()
def read_batch(path: Path) -> Batch:
    """Return the batch in a file.

    Raises:
        InvalidBatchError: The file cannot be read, or has an error; the first one is reported.
    """
    root, nodes = compose(path), Nodes(path)
    if root is None:
        raise InvalidBatchError(f"{path}: expected a mapping with the key commands")
    fields = nodes.mapping(root, _KEYS, "a batch")
    if "commands" not in fields:
        raise nodes.wrong(root, "expected the key commands: a list of commands")
    variables = read_files(nodes, fields.get("env_file"))
    entries = [
        _Listed(node, *read_entry(nodes, node, variables))
        for node in nodes.items(fields["commands"], "commands")
    ]
    max_concurrent, fail_fast = None, False
    if "max_concurrent" in fields:
        max_concurrent = nodes.whole(fields["max_concurrent"], "max_concurrent")
    if "fail_fast" in fields:
        fail_fast = nodes.flag(fields["fail_fast"], "fail_fast")
    return Batch(tuple(_resolved(nodes, entries)), max_concurrent, fail_fast)


@attrs.frozen
class _Listed:
    """An entry of the list, with its commands."""

    node: yaml.Node
    name: str
    commands: list[Command]


def _resolved(nodes: Nodes, entries: list[_Listed]) -> Iterator[Command]:
    """Return the commands of all entries, each with the commands that it needs.

    Raises:
        InvalidBatchError: Two have the same name, one needs what there is not, or itself.
    """
    meant: dict[str, frozenset[str]] = {}
    for entry in entries:
        names = _names(entry)
        for name, commands in [(entry.name, names), *((each, frozenset({each})) for each in names)]:
            if meant.setdefault(name, commands) != commands:
                raise nodes.wrong(entry.node, f"two commands are called {name!r}: rename one")
    resolved: dict[str, Command] = {}
    for entry in entries:
        for each in entry.commands:
            if each.name in resolved:
                raise nodes.wrong(entry.node, f"two commands are called {each.name!r}: rename one")
            resolved[each.name] = each
            if each.needs:
                for need in each.needs:
                    if need not in meant:
                        raise nodes.wrong(entry.node, f"needs: there is no command {need!r}")
                needs = frozenset(itertools.chain.from_iterable(meant[need] for need in each.needs))
                resolved[each.name] = attrs.evolve(each, needs=needs)
    try:
        graphlib.TopologicalSorter({each.name: each.needs for each in resolved.values()}).prepare()
    except graphlib.CycleError as error:
        circle = error.args[1]
        node = next(each.node for each in entries if circle[0] in _names(each))
        wait = "needs: commands wait for each other: "
        raise nodes.wrong(node, wait + " needs ".join(reversed(circle))) from None
    yield from resolved.values()


def _names(entry: _Listed) -> frozenset[str]:
    return frozenset(each.name for each in entry.commands)

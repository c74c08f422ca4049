"""Whatever is edited in a machine, `diff` reports it: no declaration is without a fact."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.versions import compared

from tests.support.edits import replaced

ROOT = Path(__file__).parents[2]
#: By day every so many edits of the first machine are tried, at night all of all.
SHARE = 8
MACHINES = [
    "tests/codegen/errand.yaml",
    "tests/codegen/parcel.yaml",
    "examples/payment/machine/payment.yaml",
    "examples/fulfilment/machine/fulfilment.yaml",
    "machine/ops_lifecycle.yaml",
]
#: What may change without a report: texts for readers, what is proved, and how the file grew.
UNREPORTED = {"summary", "scenarios", "waivers", "eventually", "version", "migrations", "machine"}
#: Lists whose order says something.
ORDERED = {"guards", "default_guards", "global_guards", "order", "to", "effects", "on_terminal"}
#: Edits that say the same in other words.
THE_SAME = {
    ("fields.description.initial", "removed"): "None is where an optional field begins",
    ("fields.call.initial", "removed"): "None is where an optional field begins",
    ("listing.order.1", "removed"): "records that are equal in an order are listed by their ids",
    ("fields.sequence", "removed"): "the compiler adds the field to a machine with a feed",
    ("registry.next_completion_seq", "removed"): "and the counter that the feed names",
    ("registry.watermark", "removed"): "and this",
    ("registry.dropped_through", "removed"): "and this",
    ("rollback.guards", "removed"): "they are the guards by default",
    ("default_guards.1", "removed"): "the compiler places the test of the status last",
    ("rollback.guards.1", "removed"): "the compiler places the test of the status last",
}

Edit = Callable[[Any], None]


class Plain(str):
    """A scalar without quotes, which may be a number or a flag."""

    __slots__ = ()


class Loader(yaml.SafeLoader):
    """Reads every scalar as a text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


class Dumper(yaml.SafeDumper):
    """Writes texts in quotes, and numbers and flags without."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


def _loaded(loader: Loader, node: yaml.ScalarNode) -> str:
    return Plain(node.value) if node.style is None else str(node.value)


def _dumped(dumper: Dumper, text: str) -> yaml.ScalarNode:
    bare = isinstance(text, Plain) and (text in ("true", "false") or text.lstrip("-").isdigit())
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), None if bare else "'")


Loader.add_constructor("tag:yaml.org,2002:str", _loaded)
Dumper.add_representer(Plain, _dumped)
Dumper.add_representer(str, _dumped)


def edits(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, str, Edit]]:
    """Every small edit of a tree: its place, what it does, and the edit."""
    place = ".".join(map(str, path))
    if path:
        yield place, "removed", lambda root: at(root, path[:-1]).pop(path[-1])
    if isinstance(node, dict):
        for key, child in node.items():
            # A status or a field may have one of these names, so that only keys of sections count.
            if key not in UNREPORTED or path in (("statuses", "members"), ("fields",)):
                yield from edits(child, (*path, key))
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from edits(child, (*path, number))
        if len(node) > 1 and ORDERED.intersection(path):
            yield place, "turned round", lambda root: at(root, path).reverse()
    elif path:
        for text in _others(node):
            yield place, text, lambda root, text=text: _put(root, path, text)  # type: ignore[misc]


def _others(text: str) -> Iterator[str]:
    if text in ("true", "false"):
        yield Plain("false" if text == "true" else "true")
    elif text.lstrip("-").isdigit():
        yield type(text)(int(text) + 1)
    else:
        yield f"({text}) + 1"
        yield f"({text}) + 'x'"
        yield f"not ({text})"
        yield f"{text}_too"


def at(root: Any, path: tuple[str | int, ...]) -> Any:
    """What stands at a place."""
    for step in path:
        root = root[step]
    return root


def _put(root: Any, path: tuple[str | int, ...], text: str) -> None:
    at(root, path[:-1])[path[-1]] = text


def unreported(path: str, share: int = 1) -> tuple[int, list[tuple[str, str]]]:
    """How many edits the compiler accepts, and those of them that no comparison reports."""
    tree = yaml.load((ROOT / path).read_text(), Loader)
    old = program_of(yaml.dump(tree, Dumper=Dumper, sort_keys=False).encode(), "machine.yaml")
    accepted, missed = 0, []
    for place, what, edit in list(edits(tree))[::share]:
        changed = copy.deepcopy(tree)
        edit(changed)
        source = yaml.dump(changed, Dumper=Dumper, sort_keys=False).encode()
        try:
            new = program_of(source, "machine.yaml")
        except InvalidMachineError:
            continue
        accepted += 1
        if not compared(old, new).changes and (place, what) not in THE_SAME:
            missed.append((place, what))
    return accepted, missed


def test_some_edits_are_reported() -> None:
    accepted, missed = unreported(MACHINES[0], SHARE)
    assert missed == []
    assert accepted > 5


@pytest.mark.nightly
def test_what_only_the_largest_machine_has_is_reported() -> None:
    text = (ROOT / "machine/ops_lifecycle.yaml").read_text(encoding="utf-8")
    old = program_of(text.encode(), "machine.yaml")
    for edit, rule in (
        (("  cache: EpochCursorState\n", ""), "view-removed"),
        (("cache: EpochCursorState\n", "cache: Copies\n"), "class-renamed"),
        (("terminal_outcome, json: keep_none}", "terminal_outcome}"), "answer-changed"),
    ):
        new = program_of(replaced(text, [edit]).encode(), "machine.yaml")
        assert [change.rule for change, _ in compared(old, new).changes] == [rule]
    with pytest.raises(InvalidMachineError, match="'omit_nones' is unknown"):
        program_of(text.replace("  json: omit_none\n", "  json: omit_nones\n").encode(), "m.yaml")


@pytest.mark.nightly
@pytest.mark.parametrize("path", MACHINES)
def test_every_edit_is_reported(path: str) -> None:
    accepted, missed = unreported(path)
    assert missed == []
    assert accepted > 30

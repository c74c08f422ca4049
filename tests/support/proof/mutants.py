"""Small mistakes in the machine's file, one at a time.

Which there are; `mutation.py` tries them.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen
from opslifecycle_codegen.source.reader import Mapping, Node, Scalar, Sequence, read

from tests.support.proof.machines import SHIPPED

LIVE = ["provisioning", "running", "retiring"]
TERMINAL = ["completed", "failed", "aborted", "cancelled", "retired", "terminated"]
GROUPS = {"live": LIVE, "working": LIVE[1:], "terminal": TERMINAL}

#: Equivalent mutants, each with the reason.
EQUIVALENT = {
    "swap guards 1 and 2 of peer_ready": "only kinds that expect a peer are ever ready",
    "drop legal_status of rollback.guards": "the compiler places it there",
    "drop legal_status of default_guards": "the compiler places it in every action",
    "drop bulk.terminate_owner.unless": "nothing is live once the owner is retired",
    "drop bulk.retire_owner.unless": "nothing is live once the owner is retired",
    "drop part 1 of 4 in guards.source_fits_kind.when": "no other object gets as far as here",
}

Edit = Callable[[Mapping], None]


@frozen
class Mutant:
    """One mistake: what it is, and the edit of the tree that makes it."""

    name: str
    edit: Edit


def mutants() -> list[Mutant]:
    """Every mutant of the shipped machine."""
    root = tree()
    return [*_statuses(root), *_lists(root), *_expressions(root), *_removals(root), *_words(root)]


def tree() -> Mapping:
    return read(SHIPPED.encode(), "mutant.yaml")


def at(root: Node, path: tuple[str | int, ...]) -> Node:
    """The node at a path of keys and places."""
    for step in path:
        if isinstance(step, int):
            assert isinstance(root, Sequence)
            root = root.items[step]
        else:
            assert isinstance(root, Mapping)
            root = next(child for key, child in root.items if key.text == step)
    return root


def _put(path: tuple[str | int, ...], text: str | list[str]) -> Edit:
    """The edit that writes a text, or a list of them, at a path."""

    def edit(root: Mapping) -> None:
        parent, last = at(root, path[:-1]), path[-1]
        old = at(root, path)
        made: Node = (
            Scalar(old.mark, text, True, False) if isinstance(text, str)
            else Sequence(old.mark, [Scalar(old.mark, word, True, True) for word in text])
        )  # fmt: skip
        if isinstance(parent, Sequence):
            assert isinstance(last, int)
            parent.items[last] = made
        else:
            assert isinstance(parent, Mapping)
            parent.items = [(k, made if k.text == last else v) for k, v in parent.items]

    return edit


def _drop(path: tuple[str | int, ...]) -> Edit:
    """The edit that removes what is at a path."""

    def edit(root: Mapping) -> None:
        parent, last = at(root, path[:-1]), path[-1]
        if isinstance(parent, Sequence):
            assert isinstance(last, int)
            del parent.items[last]
        else:
            assert isinstance(parent, Mapping)
            parent.items = [(k, v) for k, v in parent.items if k.text != last]

    return edit


def _walk(
    node: Node, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    yield path, node
    if isinstance(node, Mapping):
        for key, child in node.items:
            yield from _walk(child, (*path, key.text))
    elif isinstance(node, Sequence):
        for place, child in enumerate(node.items):
            yield from _walk(child, (*path, place))


#: The sections whose rules are mutated; properties and views say nothing of what happens.
_SECTIONS = frozenset(
    {"guards", "create", "actions", "on_terminal", "bulk", "rollback", "watch", "feed"}
    | {"cursors", "barrier", "recovery", "registry", "global_guards", "default_guards"}
)


def _rules(root: Mapping) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    for path, node in _walk(root):
        if path and path[0] in _SECTIONS and "summary" not in path and "entry" not in path:
            yield path, node


def _name(path: tuple[str | int, ...]) -> str:
    return ".".join(str(step) for step in path)


def _texts(node: Node) -> list[str]:
    items = [node] if isinstance(node, Scalar) else getattr(node, "items", [])
    return [each.text for each in items if isinstance(each, Scalar)]


def _statuses(root: Mapping) -> Iterator[Mutant]:
    """Sources and idempotent statuses added and dropped, targets changed."""
    for path, node in _rules(root):
        if path[-1] in ("from", "idempotent_in"):
            words = [s for word in _texts(node) for s in GROUPS.get(word, [word])]
            for status in [*LIVE, *TERMINAL]:
                changed = [w for w in words if w != status] if status in words else [*words, status]
                sign = "drop" if status in words else "add"
                yield Mutant(f"{sign} {status} in {_name(path)}", _put(path, changed))
        elif path[-1] == "to" and isinstance(node, Scalar):
            for status in [*LIVE, *TERMINAL]:
                if status != node.text:
                    yield Mutant(f"{_name(path)}: {status}", _put(path, status))


def _lists(root: Mapping) -> Iterator[Mutant]:
    """Checks and effects dropped, swapped and repeated."""
    for path, node in _rules(root):
        if path[-1] not in (
            "guards",
            "default_guards",
            "effects",
            "global_guards",
        ) or not isinstance(node, Sequence):
            continue
        words = _texts(node)
        if len(words) != len(node.items):
            continue
        for place, word in enumerate(words):
            rest = words[:place] + words[place + 1 :]
            yield Mutant(f"drop {word} of {_name(path)}", _put(path, rest))
            if path[-1] == "effects":
                yield Mutant(f"repeat {word} of {_name(path)}", _put(path, [*words, word]))
        for place in range(len(words) - 1):
            swapped = [*words]
            swapped[place : place + 2] = reversed(words[place : place + 2])
            of = path[-2] if len(path) > 1 else path[-1]
            if path[-1] == "effects":
                # All effects of one record are one step for every observer.
                continue
            yield Mutant(f"swap guards {place} and {place + 1} of {of}", _put(path, swapped))


def _removals(root: Mapping) -> Iterator[Mutant]:
    """Updates, conditions and steps dropped."""
    for path, node in _rules(root):
        if path[-1] in ("if", "unless", "recovered_as"):
            yield Mutant(f"drop {_name(path)}", _drop(path))
        if len(path) > 1 and path[-2] == "update":
            yield Mutant(f"drop {_name(path)}", _drop(path))
        if path[0] == "on_terminal" and len(path) == 2 and isinstance(node, Mapping):
            yield Mutant(f"drop {_name(path)}", _drop(path))


def _expressions(root: Mapping) -> Iterator[Mutant]:
    """Conjuncts dropped, comparisons and numbers shifted."""
    for path, node in _rules(root):
        is_expression = path[-1] in (
            "when",
            "if",
            "unless",
            "persist_if",
            "recovered_as",
            "rows_max",
        ) or (len(path) > 1 and path[-2] in ("update", "let"))
        if not is_expression or not isinstance(node, Scalar):
            continue
        parsed = ast.parse(node.text.strip(), mode="eval")
        for what, changed in _changed(parsed):
            yield Mutant(f"{what} in {_name(path)}", _put(path, changed))


_EXPRESSIONS = {"when", "if", "unless", "persist_if", "recovered_as", "rows_max"}
_SHIFTED: dict[type[ast.AST], Any] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}


def _changed(parsed: ast.Expression) -> Iterator[tuple[str, str]]:
    """Every expression that differs by one small mistake."""
    count = sum(1 for _ in ast.walk(parsed))
    for place in range(count):
        for what in ("drop part 0", "drop part 1", "shift", "more", "less", "drop not"):
            made = copy.deepcopy(parsed)
            if _change(made, list(ast.walk(made))[place], what):
                yield (
                    f"{what} of {place}",
                    ast.unparse(made).replace("True", "true").replace("False", "false"),
                )


def _change(root: ast.Expression, node: ast.AST, what: str) -> bool:
    if isinstance(node, ast.BoolOp) and what.startswith("drop part"):
        del node.values[int(what[-1])]
        if len(node.values) == 1:
            _replace(root, node, node.values[0])
        return True
    if isinstance(node, ast.UnaryOp) and what == "drop not":
        _replace(root, node, node.operand)
        return True
    if isinstance(node, ast.Compare) and what == "shift" and type(node.ops[0]) in _SHIFTED:
        node.ops[0] = _SHIFTED[type(node.ops[0])]()
        return True
    if isinstance(node, ast.BinOp) and what == "shift":
        node.op = _SHIFTED[type(node.op)]()
        return True
    if isinstance(node, ast.Constant) and type(node.value) is int and what in ("more", "less"):
        node.value += 1 if what == "more" else -1
        return bool(node.value >= 0)
    return False


def _replace(root: ast.Expression, old: ast.AST, new: ast.expr) -> None:
    for parent in ast.walk(root):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
            elif isinstance(value, list) and old in value:
                value[value.index(old)] = new


def _words(root: Mapping) -> Iterator[Mutant]:
    """Properties of kinds and statuses, outcomes, and the shape of the barrier."""
    pairs = [("true", "false"), ("emit", "suppress"), ("wake", "ignore"), ("retain", "discard")]
    others = dict([*pairs, *((two, one) for one, two in pairs)])
    for path, node in _walk(root):
        if not isinstance(node, Scalar) or "summary" in path:
            continue
        in_kind = path[:3] == ("enums", "OperationKind", "members") and len(path) == 5
        if in_kind and node.text in others:
            yield Mutant(f"{_name(path)}: {others[node.text]}", _put(path, others[node.text]))
        if path[0] == "statuses" and path[-1] in ("public_result_class", "terminal"):
            classes = ["running", "completed", "failed", "cancelled"]
            for other in classes if path[-1] == "public_result_class" else ["false"]:
                if other != node.text:
                    yield Mutant(f"{_name(path)}: {other}", _put(path, other))
        if path[-1] == "outcome":
            for variant in ("Retired()", "Aborted(None)"):
                if variant != node.text:
                    yield Mutant(f"{_name(path)}: {variant}", _put(path, variant))
        if path[-1] == "active_per_key_max":
            yield Mutant(f"{_name(path)}: 2", _put(path, "2"))

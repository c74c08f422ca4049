"""The logic of induction: which properties it covers for any number of records."""

from __future__ import annotations

from collections.abc import Iterable

from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Loop, Quantified, Root, nodes_of, roots_in
from opslifecycle_codegen.ir.notation import notation

_QUANTIFIERS = ("all", "any", "distinct")
#: Names that the tests of a count must not read.
_STATE = {Root.REGISTRY: "registry", Root.CURSORS: "cursors", Root.FEED: "feed"}


def outside(tree: Expression) -> str | None:
    """Return the reason why a property is outside the logic; None if it is inside."""
    if isinstance(tree, nodes.And | nodes.Or):
        return _first(outside(each) for each in tree.operands)
    if not isinstance(tree, Quantified) or tree.function not in _QUANTIFIERS:
        return _plain(tree)
    # A quantifier may stand below `and`, `or`, and other quantifiers' values.
    tests = [test for loop in tree.loops for test in loop.tests]
    if tree.function == "distinct" and not _of_records(tree.loops[0]):
        return "distinct over something else than records"
    if tree.function == "any" and not _is_pinned(tree):
        return "any over records that are not selected by id"
    return _first(_plain(test) for test in tests) or outside(tree.element)


def _plain(tree: Expression) -> str | None:
    """Return whether a tree has no quantifier but counts with independent tests."""
    for each in nodes_of(tree):
        if isinstance(each, nodes.Among) and _is_collection(each.many):
            return "a test for one of a collection"
        if not isinstance(each, Quantified):
            continue
        if each.function in _QUANTIFIERS:
            return f"{each.function} where it is not asserted"
        reason = _countable(each)
        if reason is not None:
            return reason
    return None


def _countable(tree: Quantified) -> str | None:
    loop, *more = tree.loops
    if more:
        return "a count over pairs"
    if isinstance(loop.many, nodes.Field) and loop.many.name == "unfinished":
        return "a count of some members only" if loop.tests else None
    if not _of_records(loop):
        many = loop.many if isinstance(loop.many, str) else notation(loop.many)
        return f"a count over {many}"
    read = {root for test in loop.tests for root in roots_in(test)}
    others = sorted(word for root, word in _STATE.items() if root in read)
    return f"a count that depends on {', '.join(others)}" if others else None


def _is_collection(many: Expression | tuple[Expression, ...]) -> bool:
    return isinstance(many, Expression) and many.type.kind == "collection"


def _of_records(loop: Loop) -> bool:
    return isinstance(loop.many, nodes.Name) and loop.many.root is Root.RECORDS


def _is_pinned(tree: Quantified) -> bool:
    """Return whether the tests select the record of one given id."""
    loop, *more = tree.loops
    if more or not _of_records(loop):
        return False
    parts = [*loop.tests, tree.element]
    parts += [each for part in parts if isinstance(part, nodes.And) for each in part.operands]
    return any(
        isinstance(part, nodes.Compare)
        and part.operators[0] == "=="
        and any(_is_id_of(side, loop.variable) for side in part.operands[:2])
        for part in parts
    )


def _is_id_of(tree: Expression, variable: str) -> bool:
    match tree:
        case nodes.Field(base=nodes.Name(root=Root.LOOP, name=name), name="id"):
            return name == variable
    return False


def _first(reasons: Iterable[str | None]) -> str | None:
    return next((reason for reason in reasons if reason is not None), None)

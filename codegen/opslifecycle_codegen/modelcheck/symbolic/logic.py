"""Which properties can be spoken of for any number of records, and why the others cannot."""

from __future__ import annotations

import ast

from opslifecycle_codegen.ir.program import Program

_QUANTIFIERS = ("all", "any", "distinct")


def outside(text: str, program: Program) -> str | None:
    """Why a property is outside the logic of induction; None if it is inside."""
    tree = ast.parse(text.strip(), mode="eval").body
    return _positive(tree, f"{program.machine.entity}s")


def _positive(node: ast.expr, many: str) -> str | None:
    """Looks where a quantifier may stand: below `and`, `or`, and other quantifiers' values."""
    if isinstance(node, ast.BoolOp):
        return _first(_positive(each, many) for each in node.values)
    name = _called(node)
    if name not in _QUANTIFIERS:
        return _plain(node, many)
    assert isinstance(node, ast.Call)
    generator = node.args[0]
    assert isinstance(generator, ast.GeneratorExp)
    tests = [test for part in generator.generators for test in part.ifs]
    if name == "distinct" and ast.unparse(generator.generators[0].iter) != many:
        return f"distinct over something else than {many}"
    if name == "any" and not _is_pinned(generator, many):
        return "any over records that are not told by their ids"
    return _first(_plain(test, many) for test in tests) or _positive(generator.elt, many)


def _plain(node: ast.expr, many: str) -> str | None:
    """No quantifier stands here; counts do, of what depends on nothing else."""
    for each in ast.walk(node):
        name = _called(each)
        if name in _QUANTIFIERS:
            return f"{name} where it is not asserted"
        if name == "count":
            assert isinstance(each, ast.Call)
            generator = each.args[0]
            assert isinstance(generator, ast.GeneratorExp)
            reason = _countable(generator, many)
            if reason is not None:
                return reason
    return None


def _countable(generator: ast.GeneratorExp, many: str) -> str | None:
    part, *more = generator.generators
    if more:
        return "a count over pairs"
    source = ast.unparse(part.iter)
    if source.endswith(".unfinished"):
        return "a count of some members only" if part.ifs else None
    if source != many:
        return f"a count over {source}"
    target = ast.unparse(part.target)
    read = {
        ast.unparse(each)
        for test in part.ifs
        for each in ast.walk(test)
        if isinstance(each, ast.Name)
    }
    others = {name for name in read - {target} if name in ("registry", "cursors", "feed")}
    return f"a count that depends on {', '.join(sorted(others))}" if others else None


def _is_pinned(generator: ast.GeneratorExp, many: str) -> bool:
    """Return whether only the record of a given id can be the one."""
    if len(generator.generators) != 1 or ast.unparse(generator.generators[0].iter) != many:
        return False
    target = ast.unparse(generator.generators[0].target)
    parts = [*generator.generators[0].ifs, generator.elt]
    parts += [v for p in parts if isinstance(p, ast.BoolOp) and isinstance(p.op, ast.And)
              for v in p.values]  # fmt: skip
    return any(
        isinstance(part, ast.Compare)
        and isinstance(part.ops[0], ast.Eq)
        and f"{target}.id" in (ast.unparse(part.left), ast.unparse(part.comparators[0]))
        for part in parts
    )


def _called(node: ast.AST) -> str:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id
    return ""


def _first(reasons: object) -> str | None:
    assert hasattr(reasons, "__iter__")
    return next((reason for reason in reasons if reason is not None), None)

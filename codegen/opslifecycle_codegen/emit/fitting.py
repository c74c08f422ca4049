"""Lines of templates that are too long, broken as a formatter breaks them.

A template prints names of any length, and cannot measure lines. No other lines are read again.
"""

from __future__ import annotations

import ast
import re

from attrs import evolve

from opslifecycle_codegen.emit import code as breaking
from opslifecycle_codegen.emit import layout, texts
from opslifecycle_codegen.emit.code import ATOM, SIGN, Code

#: A line is a whole statement, the head of a block, or an argument on a line of its own.
_HEAD = re.compile(r"(if|elif|while|with|return|raise|assert) (.*?)((?: as \w+)?:|)")
#: An entry of a dict or a parameter, perhaps with a default.
_ITEM = re.compile(r'("[^"]*"|[\w.]+): (.*?)( = \S+)?,')
#: A call of what the lines before it have made.
_CALL_ON = re.compile(r"\)(\.\w+\(.*\))(,?)")
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Is: "is", ast.IsNot: "is not", ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=",
    ast.Gt: ">", ast.GtE: ">=", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip


def fitted(text: str, width: int) -> str:
    """Return the text of a template with long docstrings, signatures and statements broken."""
    lines: list[str] = []
    doc: list[str] | None = None
    for line in text.split("\n"):
        bare = line.strip()
        if doc is not None:
            doc.append(line)
        elif bare.startswith('"""'):
            doc = [line]
        else:
            lines += _fitted_line(line, width)
            continue
        ends = bare.endswith('"""') and (len(doc) > 1 or len(bare) >= 6)
        if ends:
            lines += _fitted_docstring(doc, width)
            doc = None
    return "\n".join(lines)


def _fitted_docstring(lines: list[str], width: int) -> list[str]:
    if all(len(line) <= width for line in lines):
        return lines
    indent = len(lines[0]) - len(lines[0].lstrip())
    inner = "\n".join(line.strip() for line in lines).removeprefix('"""').removesuffix('"""')
    paragraphs = [" ".join(part.split()) for part in inner.split("\n\n")]
    # The text is Python already, so it is not escaped again.
    return layout.escaped_docstring(paragraphs, indent=indent, width=width)


_SIGNATURE = re.compile(r"( *)((?:async )?def \w+|class \w+)\((.*)\)( -> .*:|:)")


def _fitted_line(line: str, width: int) -> list[str]:
    if texts.columns(line) <= width:
        return [line]
    match = _SIGNATURE.fullmatch(line)
    if match is None:
        return _statement(line, width)
    margin, before, parameters, after = match.groups()
    items = re.split(r", (?![^\[]*\])", parameters)
    return layout.call(before, items, after, indent=len(margin), width=width)


def _statement(line: str, width: int) -> list[str]:
    """Return the lines of a statement that a template has printed on one line."""
    bare = line.lstrip(" ")
    place = breaking.Place(len(line) - len(bare), width)
    head = _HEAD.fullmatch(bare)
    if head is not None:
        word, expression, after = head.groups()
        code = _code_of(expression)
        return [line] if code is None else breaking.statement(f"{word} ", code, after, place)
    item = _ITEM.fullmatch(bare)
    if item is not None:
        key, expression, default = item.groups()
        code = _code_of(expression)
        before, after = f"{place.margin}{key}: ", f"{default or ''},"
        return [line] if code is None else breaking.broken(before, code, after, place)
    call = _CALL_ON.fullmatch(bare)
    if call is not None:
        code = _code_of(f"_{call[1]}")
        assert code is not None
        code = evolve(code, text=call[1], lead=code.lead.removeprefix("_"))
        return breaking.statement(")", code, call[2], place)
    if bare.startswith(("#", '"', "@")):
        return [line]
    if bare.endswith(","):
        code = _code_of(bare[:-1])
        return [line] if code is None else breaking.argument(code, place)
    return _assignment(line, bare, place)


def _assignment(line: str, bare: str, place: breaking.Place) -> list[str]:
    try:
        (read,) = ast.parse(bare).body
    except (SyntaxError, ValueError):
        return [line]
    match read:
        case ast.Expr(value=ast.Call() as call):
            return breaking.statement("", _Reader(bare).code(call), "", place)
        case ast.Assign(targets=[target], value=value):
            before = f"{ast.get_source_segment(bare, target)} = "
            return breaking.statement(before, _Reader(bare).code(value), "", place)
        case ast.AugAssign(target=target, op=ast.Add(), value=value):
            before = f"{ast.get_source_segment(bare, target)} += "
            return breaking.statement(before, _Reader(bare).code(value), "", place)
        case ast.AnnAssign(target=target, annotation=annotation, value=value):
            return _annotated(_Reader(bare), target, annotation, value, place)
    return [line]


def _annotated(
    reader: _Reader, target: ast.expr, annotation: ast.expr, value: ast.expr | None,
    place: breaking.Place,
) -> list[str]:  # fmt: skip
    before = f"{reader.text(target)}: "
    after = f" = {reader.text(value)}" if value is not None else ""
    whole = f"{before}{reader.text(annotation)} = "
    in_value = value is not None and place.fits(f"{place.margin}{whole}(")
    # Parentheses around an empty display would be of no use.
    is_call = isinstance(value, ast.Call)
    if not in_value or (isinstance(annotation, ast.Subscript) and not is_call):
        return breaking.statement(before, reader.code(annotation), after, place)
    assert value is not None
    code = reader.code(value)
    code = code if code.parts else layout.literal(code.text)
    return breaking.statement(whole, code, "", place)


def _code_of(text: str) -> Code | None:
    """Return the code of an expression, perhaps behind the name of its argument; None for none."""
    name, equals, rest = text.partition("=")
    named = equals and name.isidentifier() and not rest.startswith("=")
    try:
        read = ast.parse(rest if named else text, mode="eval").body
    except (SyntaxError, ValueError):
        return None
    found = _Reader(rest if named else text).code(read)
    return layout.behind(f"{name}=", found) if named else found


class _Reader:
    """Reads the expressions of one line."""

    def __init__(self, source: str) -> None:
        self._source = source

    def text(self, tree: ast.AST) -> str:
        """Return an expression as it is printed."""
        return ast.get_source_segment(self._source, tree) or ""

    def code(self, tree: ast.expr) -> Code:
        """Return an expression with the points at which it may be broken."""
        text = self.text(tree)
        match tree:
            case ast.Call(func=function, args=arguments, keywords=keywords):
                given = [self.code(each) for each in arguments]
                given += [layout.behind(f"{each.arg}=", self.code(each.value)) for each in keywords]
                return layout.called(self.text(function), given)
            case ast.Tuple(elts=items) if text.startswith("("):
                return layout.called("", [self.code(each) for each in items])
            case ast.Compare(left=left, ops=operators, comparators=others):
                words = [_COMPARISONS[type(each)] for each in operators]
                return layout.compared([self.code(each) for each in (left, *others)], words)
            case ast.BoolOp(op=operator, values=values):
                word, binds = (
                    ("and", breaking.AND) if isinstance(operator, ast.And) else ("or", breaking.OR)
                )
                return layout.joined(word, [self.code(each) for each in values], binds)
            case ast.IfExp(test=test, body=then, orelse=otherwise):
                return layout.conditional(*map(self.code, (then, test, otherwise)))
            case ast.Lambda(body=body):
                return layout.behind(f"{text.partition(': ')[0]}: ", self.code(body))
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                given = [Code(f"{self.text(k)}: {self.text(v)}") for k, v in pairs if k]
                return Code(text, lead="{", parts=tuple(given), commas=True)
            case ast.Subscript(value=value, slice=ast.Tuple(elts=items)):
                inside = tuple(self.code(each) for each in items)
                return Code(text, lead=f"{self.text(value)}[", parts=inside, commas=True)
            case ast.Subscript(value=value, slice=inner):
                return Code(text, lead=f"{self.text(value)}[", parts=(self.code(inner),))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return layout.negated(self.code(operand))
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return layout.calculated(self.code(left), "|", self.code(right))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return layout.calculated(self.code(left), "+", self.code(right))
        return Code(text, SIGN if isinstance(tree, ast.UnaryOp) else ATOM, parts=(Code(text),))

"""Lines of Python in the formatter's layout: flat if they fit, else broken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from attrs import evolve

from opslifecycle_codegen.emit import code as breaking
from opslifecycle_codegen.emit import texts
from opslifecycle_codegen.emit.code import (
    ATOM,
    COMPARE,
    CONDITIONAL,
    NOT,
    OR,
    PRODUCT,
    SIGN,
    SUM,
    Code,
    chain,
)


def literal(text: str) -> Code:
    """Return a literal, in brackets if it fits only then."""
    return Code(text, parts=(Code(text),))


def called(function: str, arguments: Sequence[Code]) -> Code:
    """Return `function(arguments)`; without a name, a tuple."""
    comma = "," if not function and len(arguments) == 1 else ""
    text = f"{function}({', '.join(each.text for each in arguments)}{comma})"
    if not arguments:
        return Code(text)
    return Code(text, lead=f"{function}(", parts=tuple(arguments), commas=True)


def behind(prefix: str, code: Code) -> Code:
    """Return an expression behind a keyword, or as the body of a lambda: broken as it is alone."""
    if not code.lead:
        return Code(f"{prefix}{code.text}")
    return evolve(code, text=f"{prefix}{code.text}", lead=f"{prefix}{code.lead}")


def set_of(elements: Sequence[Code]) -> Code:
    """Return `{elements}`."""
    text = f"{{{', '.join(each.text for each in elements)}}}"
    return Code(text, lead="{", parts=tuple(elements), commas=True)


def joined(operator: str, operands: Sequence[Code], binds: int) -> Code:
    """Return operands with an operator between them."""
    first, *others = (operand.at(binds + 1) for operand in operands)
    parts = (first, *(evolve(each, prefix=f"{operator} ") for each in others))
    return chain(binds, parts) if others else first


def compared(operands: Sequence[Code], operators: Sequence[str]) -> Code:
    """Return operands with comparison operators between them."""
    first, *others = (operand.at(SUM) for operand in operands)
    compared = zip(operators, others, strict=True)
    return chain(COMPARE, (first, *(evolve(each, prefix=f"{op} ") for op, each in compared)))


def calculated(left: Code, operator: str, right: Code) -> Code:
    """Return `left + right`, or the same with another arithmetic operator."""
    binds = SUM if operator in ("+", "-") else PRODUCT
    terms = left.parts if left.binds == binds else (left.at(binds),)
    return chain(binds, (*terms, evolve(right.at(binds + 1), prefix=f"{operator} ")))


def negative(operand: Code) -> Code:
    """Return `-operand`."""
    inner = operand.at(ATOM)
    return Code(f"-{inner.text}", SIGN, parts=(evolve(inner, prefix="-"),))


def negated(operand: Code) -> Code:
    """Return `not operand`."""
    return chain(NOT, (evolve(operand.at(NOT), prefix="not "),))


def conditional(then: Code, test: Code, otherwise: Code) -> Code:
    """Return `then if test else otherwise`."""
    parts = (
        then.at(OR),
        evolve(test.at(OR), prefix="if "),
        evolve(otherwise.at(OR), prefix="else "),
    )
    return chain(CONDITIONAL, parts)


def comprehension(function: str, element: Code, clauses: Sequence[Code]) -> Code:
    """Return `function(element for … in … if …)`; each clause has its keyword as prefix."""
    inside = chain(CONDITIONAL, (element, *clauses))
    return Code(f"{function}({inside.text})", lead=f"{function}(", parts=(inside,))


def statement(before: str, code: Code, after: str, *, indent: int, width: int) -> list[str]:
    """Return `before` + code + `after` on one line if it fits, else broken."""
    return breaking.statement(before, code, after, breaking.Place(indent, width))


#: Between the annotation of a parameter without None, and its default.
_OR_NONE = " | None = "


def assigned(target: str, value: Code) -> Code:
    """Return `target = value`, for a parameter with a default."""
    before = f"{target} = "
    text = before + value.text
    if value.lead:
        return evolve(value, text=text, lead=before + value.lead)
    return Code(text, lead=f"{before}(", parts=(value,)) if value.parts else Code(text)


def call(
    before: str, items: Sequence[str | Code], after: str, *, indent: int, width: int
) -> list[str]:
    """Return a call or signature: on one line if it fits, else one item per line."""
    margin = " " * indent
    plain = [each.text if isinstance(each, Code) else each for each in items]
    whole = f"{margin}{before}({', '.join(plain)}){after}"
    if len(whole) <= width:
        return [whole]
    body = [line for item in items for line in _item(item, indent + 4, width)]
    return [f"{margin}{before}(", *body, f"{margin}){after}"]


def _item(item: str | Code, indent: int, width: int) -> list[str]:
    """Return a parameter or argument on its own line, broken in its subscript if it is too long."""
    margin = " " * indent
    if isinstance(item, Code):
        place, beginning = breaking.Place(indent, width), item.lead or f"{item.text},"
        required, union, _ = beginning.partition(_OR_NONE)
        if not union or place.fits(f"{margin}{item.text},") or place.fits(margin + beginning):
            return breaking.argument(item, place)
        # Not even what is before the brackets of the default fits: the annotation is broken.
        start = len(required) + 1
        rest = evolve(item, text=item.text[start:], lead=item.lead[start:])
        return [margin + required, *breaking.argument(rest, place)]
    lead, bracket, inner = item.partition("[")
    if len(margin + item) < width or not bracket or not inner.endswith("]"):
        return [f"{margin}{item},"]
    return [f"{margin}{lead}[", f"{margin}    {inner[:-1]}", f"{margin}],"]


def imports(module: str, names: Iterable[str], *, width: int) -> list[str]:
    """Return `from module import names`, in the linter's order."""
    # Unlike the names of `__all__`, capital letters count as small ones.
    ordered = sorted(
        set(names), key=lambda name: (_import_rank(name), natural(name.lower()), natural(name))
    )
    if not ordered:
        return []
    whole = f"from {module} import {', '.join(ordered)}"
    if len(whole) <= width:
        return [whole]
    return [f"from {module} import (", *(f"    {name}," for name in ordered), ")"]


def sorted_names(names: Iterable[str]) -> list[str]:
    """Sort names in the order of the linter: constants, classes, the rest."""
    return sorted(set(names), key=lambda name: (_import_rank(name), natural(name)))


def natural(name: str) -> list[str | int]:
    """Return the key by which the linter sorts names: `part_2` comes before `part_10`."""
    return [int(part) if part.isdecimal() else part for part in re.split("([0-9]+)", name)]


def _import_rank(name: str) -> int:
    if name.isupper():
        return 0
    return 1 if name[:1].isupper() else 2


def docstring(summary: str, more: Sequence[str] = (), *, indent: int, width: int) -> list[str]:
    """Return a docstring: the summary, then paragraphs, wrapped."""
    paragraphs = [texts.docstring(part) for part in (summary, *more) if part.strip()]
    return escaped_docstring(paragraphs, indent=indent, width=width)


def escaped_docstring(paragraphs: Sequence[str], *, indent: int, width: int) -> list[str]:
    """Return a docstring of escaped paragraphs."""
    margin = " " * indent
    whole = _closed(docstring_start(paragraphs[0]))
    if len(paragraphs) == 1 and len(margin) + texts.columns(whole) + 6 <= width:
        return [f'{margin}"""{whole}"""']
    lines: list[str] = []
    for number, paragraph in enumerate(paragraphs):
        room = width - indent - (3 if number == 0 else 0)
        wrapped = wrap(paragraph, room)
        if len(paragraphs) == 1 and len(wrapped) == 1:
            # The closing quotes do not fit on the line, and a formatter would move them there.
            wrapped = wrap(paragraph, room - 10)
        lines.extend(([""] if number else []) + wrapped)
    lines[0] = f'"""{docstring_start(lines[0])}'
    return [(margin + line).rstrip() for line in [*lines, '"""']]


def docstring_start(text: str) -> str:
    """Return the text after the opening quotes: a formatter separates a quote from them."""
    return f" {text}" if text.startswith('"') else text


def _closed(text: str) -> str:
    return f"{text} " if text.endswith('"') else text


def wrap(text: str, room: int) -> list[str]:
    """Return the lines of a paragraph; long words are never broken."""
    lines: list[str] = []
    left = 0
    for word in text.split(" "):
        needed = texts.columns(word) + 1
        if lines and needed <= left:
            lines[-1] += f" {word}"
            left -= needed
        else:
            lines.append(word)
            left = room - needed + 1
    return lines


def quoted(text: str) -> str:
    """Return a string literal in the quotes that need fewer escapes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return f"{quote}{texts.python(text, quote)}{quote}"


def string_code(text: str, room: int) -> Code:
    """Return a string literal, in several pieces if it is too long for a line."""
    whole = quoted(text)
    if texts.columns(whole) <= room:
        return literal(whole)
    pieces = [""]
    for word in re.findall(r"[^ ]* *", text):
        if pieces[-1] and texts.columns(quoted(pieces[-1] + word)) > room:
            pieces.append("")
        pieces[-1] += word
    return Code(whole, parts=tuple(Code(quoted(piece)) for piece in pieces))

"""Python expressions, with the points at which a formatter breaks lines.

The rules are those of `ruff format`, as far as generated code needs them:

* Code that fits on a line is on one line.
* A call, a tuple or a pair of brackets is broken after its opening bracket.
* Operators are broken only inside brackets: then every operator of one precedence begins a line.
* A statement gets its own brackets unless existing brackets make it fit, which is tried if an
operand begins or ends with brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from attrs import define, evolve, frozen

from opslifecycle_codegen.emit import texts

# The precedence of code; an operand of lower precedence than its position needs brackets.
CONDITIONAL, OR, AND, NOT, COMPARE, SUM, PRODUCT, SIGN, ATOM = range(9)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
#: Operators that count as one precedence in a chain without brackets.
_PRECEDENCE = {CONDITIONAL: 5, OR: 4, AND: 4, COMPARE: 3, SUM: 2, PRODUCT: 1}


@frozen
class Code:
    """An expression: its text, its precedence, and its parts.

    With a `lead`, the parts are between it and a closing bracket. Without one, they form a chain,
    each after its `prefix`, usually an operator.
    """

    text: str
    binds: int = ATOM
    lead: str = ""
    parts: tuple[Code, ...] = ()
    prefix: str = ""
    commas: bool = False

    def at(self, binds: int) -> Code:
        """Return the code for a position of this precedence, in brackets if necessary."""
        return bracketed(self) if self.binds < binds else self

    def renamed(self, pattern: re.Pattern[str], names: Mapping[str, str]) -> Code:
        """Return the code with some names replaced."""

        def replaced(text: str) -> str:
            return pattern.sub(lambda match: names[match.group()], text)

        return evolve(
            self,
            text=replaced(self.text),
            lead=replaced(self.lead),
            parts=tuple(part.renamed(pattern, names) for part in self.parts),
            prefix=replaced(self.prefix),
        )


def bracketed(code: Code) -> Code:
    """Return code in brackets."""
    return Code(f"({code.text})", lead="(", parts=(code,))


def chain(binds: int, parts: tuple[Code, ...]) -> Code:
    """Return a chain of parts, each after its prefix."""
    return Code("".join(part.prefix + part.text + " " for part in parts).rstrip(), binds,
                parts=parts)  # fmt: skip


@frozen
class Place:
    """The first and the last column of a line."""

    indent: int
    width: int

    @property
    def margin(self) -> str:
        """Return the indentation."""
        return " " * self.indent

    @property
    def inner(self) -> Place:
        """Return the place one level deeper."""
        return evolve(self, indent=self.indent + 4)

    def fits(self, line: str) -> bool:
        """Return whether a line fits."""
        return texts.columns(line) <= self.width


def statement(before: str, code: Code, after: str, place: Place) -> list[str]:
    """Return the lines of `before` + code + `after`, outside of brackets."""
    before = place.margin + before
    whole = before + code.text + after
    if place.fits(whole) or not code.parts:
        return [whole]
    brackets = bracketed(code)
    if code.lead:
        inner = place.inner
        helps = place.fits(f"{before}(") and inner.fits(inner.margin + code.lead)
        code = brackets if helps and not place.fits(before + code.lead) else code
        return _split(before, code, after, place)
    lines = _split(before, brackets, after, place)
    if _is_split_by_brackets(code):
        pieces = list(_pieces(code))
        first, *others = _by_brackets(before, pieces, after, place, everything=True)
        # Where something fits in neither, the brackets that are there suffice.
        fits = all(map(place.fits, others)) or not all(map(place.fits, lines))
        if place.fits(first) and fits:
            return _by_brackets(before, pieces, after, place)
    if _is_whole(code) and not (place.inner.fits(place.inner.margin + code.text)):
        # Code that does not fit in brackets either has none.
        return [whole]
    return lines


def _is_whole(code: Code) -> bool:
    """Return whether the code has no point to break at, so that only brackets remain."""
    if len(code.parts) != 1 or code.lead:
        return False
    (part,) = code.parts
    return not part.parts or _is_whole(part)


def broken(
    before: str, code: Code, after: str, place: Place, *, everything: bool = False
) -> list[str]:
    """Return the lines of code inside brackets: one if it fits and need not be broken."""
    whole = before + code.text + after
    if not code.parts or _is_whole(code) or (place.fits(whole) and not everything):
        return [whole]
    return _split(before, code, after, place, everything=everything)


def _split(
    before: str, code: Code, after: str, place: Place, *, everything: bool = False
) -> list[str]:
    """Return the lines of code, broken in its brackets, or else before its operators."""
    if not code.lead:
        lines: list[str] = []
        for number, part in enumerate(code.parts):
            start = (before if number == 0 else place.margin) + part.prefix
            end = after if number == len(code.parts) - 1 else ""
            lines += broken(start, part, end, place, everything=everything)
        return lines
    inner = place.inner
    inside = [
        line
        for part in code.parts
        for line in (
            argument(part, inner, everything=everything)
            if code.commas
            else broken(inner.margin, part, "", inner, everything=everything)
        )
    ]
    return [before + code.lead, *inside, f"{place.margin}{_CLOSING[code.lead[-1]]}{after}"]


def argument(code: Code, place: Place, *, everything: bool = False) -> list[str]:
    """Return the lines of an argument; a broken chain of operators is in brackets."""
    fits = place.fits(f"{place.margin}{code.text},")
    helps = not _is_whole(code) or place.inner.fits(place.inner.margin + code.text)
    if not fits and code.parts and not code.lead and helps:
        code = bracketed(code)
    return broken(place.margin, code, ",", place, everything=everything)


# Statements that are broken at their own brackets ----------------------------------------


@define
class _Shape:
    """The properties that decide whether a statement is broken at its own brackets."""

    precedence: int = 0
    count: int = 0
    #: Whether it begins and whether it ends with brackets.
    first: bool | None = None
    last: bool = False

    def see(self, code: Code) -> None:
        """Visit code from left to right."""
        if code.lead or not code.parts:
            if self.first is None:
                self.first = code.lead == "("
            self.last = bool(code.lead)
            return
        if code.binds in (NOT, SIGN):
            self.first = bool(self.first)
        operators = 2 if code.binds == CONDITIONAL else len(code.parts) - 1
        precedence = _PRECEDENCE.get(code.binds, 0)
        if precedence > self.precedence:
            self.precedence, self.count = precedence, operators
        elif precedence == self.precedence:
            self.count += operators
        for part in code.parts:
            self.see(part)


def _is_split_by_brackets(code: Code) -> bool:
    shape = _Shape()
    shape.see(code)
    return shape.count <= 1 and (bool(shape.first) or shape.last)


def _pieces(code: Code) -> Iterator[Code]:
    """Yield the parts of a statement from left to right."""
    if code.lead or not code.parts:
        yield evolve(code, prefix="")
        return
    for number, part in enumerate(code.parts):
        prefix = f" {part.prefix}" if number else part.prefix
        first, *others = _pieces(part)
        yield evolve(first, prefix=prefix + first.prefix)
        yield from others


def _by_brackets(
    before: str, pieces: list[Code], after: str, place: Place, *, everything: bool = False
) -> list[str]:
    """Return lines that are broken in brackets only, as late as possible."""
    lines, line = [], before
    for number, piece in enumerate(pieces):
        line += piece.prefix
        rest = ""
        for other in pieces[number + 1 :]:
            rest += other.prefix + (other.lead or other.text)
            if other.lead:
                # The line may end after this bracket.
                break
        else:
            rest += after
        if not piece.lead or (not everything and place.fits(line + piece.text + rest)):
            line += piece.text
        else:
            *most, line = _split(line, piece, "", place, everything=everything)
            lines += most
    return [*lines, line + after]

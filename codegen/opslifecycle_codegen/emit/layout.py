"""Lines of Python as a formatter would leave them: flat if they fit, else broken by one rule."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen

from opslifecycle_codegen.emit import texts

# How tightly a piece of code binds; parts that bind less tightly than their place need brackets.
CONDITIONAL, OR, AND, NOT, COMPARE, SUM, ATOM = range(7)


@frozen
class Code:
    """An expression of Python: its text, how tightly it binds, and where it may be broken.

    A broken expression stands as `lead`, its parts on lines of their own, and a closing bracket;
    without a lead it is put in brackets. Each part begins with its operator, or ends with a comma.
    """

    text: str
    binds: int = ATOM
    lead: str = ""
    parts: tuple[Code, ...] = ()
    prefix: str = ""
    commas: bool = False
    #: Where it may be broken instead if it stands in brackets already.
    bracketed: tuple[Code, ...] = ()

    def at(self, binds: int) -> str:
        """Return the text for a place that needs something which binds at least as tightly."""
        return f"({self.text})" if self.binds < binds else self.text

    def renamed(self, pattern: re.Pattern[str], names: Mapping[str, str]) -> Code:
        """Return the same with some names replaced."""

        def replaced(text: str) -> str:
            return pattern.sub(lambda match: names[match.group()], text)

        return evolve(
            self,
            text=replaced(self.text),
            lead=replaced(self.lead),
            parts=tuple(part.renamed(pattern, names) for part in self.parts),
            bracketed=tuple(part.renamed(pattern, names) for part in self.bracketed),
            prefix=replaced(self.prefix),
        )

    def after(self, left: str, binds: int) -> Code:
        """`left` and this as one expression, which breaks where this does."""
        if not self.lead:
            return Code(left + self.text, binds)
        return evolve(self, text=left + self.text, binds=binds, lead=left + self.lead)


def literal(text: str) -> Code:
    """Return a literal, which is put in brackets where it fits only then."""
    return Code(text, parts=(Code(text),))


def called(function: str, arguments: Sequence[Code]) -> Code:
    """`function(arguments)`; without a name, a tuple."""
    comma = "," if not function and len(arguments) == 1 else ""
    text = f"{function}({', '.join(each.text for each in arguments)}{comma})"
    return Code(text, lead=f"{function}(", parts=tuple(arguments), commas=True)


def joined(operator: str, operands: Sequence[Code], binds: int) -> Code:
    """Operands with `and`, `or` or `|` between them."""
    texts = [operand.at(binds + 1) for operand in operands]
    text = f" {operator} ".join(texts)
    parts = tuple(
        Code(each, prefix="" if index == 0 else f"{operator} ") for index, each in enumerate(texts)
    )
    if len(operands) == 2 and texts[1] != operands[1].text and not operands[1].lead:
        # Of two operands the second has brackets: a formatter breaks inside them. One that has a
        # lead of its own would lose it here: its parts are only what stands behind the lead.
        lead = f"{texts[0]} {operator} ("
        return Code(text, binds, lead=lead, parts=operands[1].parts, bracketed=parts)
    return Code(text, binds, parts=parts)


def conditional(then: Code, test: Code, otherwise: Code) -> Code:
    """`then if test else otherwise`."""
    texts = (then.at(OR), test.at(OR), otherwise.at(CONDITIONAL))
    parts = (
        Code(texts[0]),
        Code(texts[1], prefix="if "),
        Code(texts[2], prefix="else "),
    )
    return Code(f"{texts[0]} if {texts[1]} else {texts[2]}", CONDITIONAL, parts=parts)


def comprehension(function: str, element: Code, clauses: Sequence[str], tail: str = "") -> Code:
    """`function(element for … in … if …)`; `tail` follows the bracket."""
    parts = (element, *(Code(clause) for clause in clauses))
    text = f"{function}({element.text} {' '.join(clauses)}){tail}"
    return Code(text, SUM if tail else ATOM, lead=f"{function}(", parts=parts)


def statement(before: str, code: Code, after: str, *, indent: int, width: int) -> list[str]:
    """`before` + code + `after` on one line if it fits, else broken where the code allows."""
    margin = " " * indent
    whole = f"{margin}{before}{code.text}{after}"
    if texts.columns(whole) <= width or not code.parts:
        return [whole]
    inner = indent + 4
    alone = len(code.parts) == 1 and not code.lead
    if alone and inner + texts.columns(code.parts[0].text) > width:
        # What does not fit in brackets either stands without them.
        return [whole]
    if code.commas:
        body = [
            line
            for part in code.parts
            for line in statement("", part, ",", indent=inner, width=width)
        ]
    else:
        body = _broken(code.parts, inner, width)
    return [f"{margin}{before}{code.lead or '('}", *body, f"{margin}){after}"]


def _broken(parts: Sequence[Code], indent: int, width: int) -> list[str]:
    margin = " " * indent
    flat = margin + " ".join(part.prefix + part.text for part in parts)
    if len(flat) <= width:
        return [flat]
    lines: list[str] = []
    for part in parts:
        line = margin + part.prefix + part.text
        pieces = part.bracketed or (() if part.lead else part.parts)
        if len(line) <= width or not pieces:
            lines.append(line)
        else:
            lines.extend(margin + piece.prefix + piece.text for piece in pieces)
    return lines


def call(before: str, items: Sequence[str], after: str, *, indent: int, width: int) -> list[str]:
    """A call or signature: items on one line if it fits, else one a line with a trailing comma."""
    margin = " " * indent
    whole = f"{margin}{before}({', '.join(items)}){after}"
    if len(whole) <= width:
        return [whole]
    body = [line for item in items for line in _item(item, indent + 4, width)]
    return [f"{margin}{before}(", *body, f"{margin}){after}"]


def _item(item: str, indent: int, width: int) -> list[str]:
    """A parameter or argument on a line of its own, broken in its subscript if it is too long."""
    margin = " " * indent
    lead, bracket, inner = item.partition("[")
    if len(margin + item) < width or not bracket or not inner.endswith("]"):
        return [f"{margin}{item},"]
    return [f"{margin}{lead}[", f"{margin}    {inner[:-1]}", f"{margin}],"]


def imports(module: str, names: Iterable[str], *, width: int) -> list[str]:
    """`from module import names`, sorted as the linter sorts them."""
    ordered = sorted_names(names)
    if not ordered:
        return []
    whole = f"from {module} import {', '.join(ordered)}"
    if len(whole) <= width:
        return [whole]
    return [f"from {module} import (", *(f"    {name}," for name in ordered), ")"]


def sorted_names(names: Iterable[str]) -> list[str]:
    """Sort names in the order of the linter: constants, classes, the rest."""
    return sorted(set(names), key=lambda name: (_import_rank(name), name))


def _import_rank(name: str) -> int:
    if name.isupper():
        return 0
    return 1 if name[:1].isupper() else 2


def docstring(summary: str, more: Sequence[str] = (), *, indent: int, width: int) -> list[str]:
    """Return a docstring: the summary, then paragraphs, wrapped."""
    paragraphs = [texts.docstring(part) for part in (summary, *more) if part.strip()]
    return _docstring(paragraphs, indent=indent, width=width)


def _docstring(paragraphs: Sequence[str], *, indent: int, width: int) -> list[str]:
    """Return a docstring of paragraphs that are escaped already."""
    margin = " " * indent
    whole = _closed(docstring_start(paragraphs[0]))
    if len(paragraphs) == 1 and len(margin) + texts.columns(whole) + 6 <= width:
        return [f'{margin}"""{whole}"""']
    lines: list[str] = []
    for number, paragraph in enumerate(paragraphs):
        room = width - indent - (3 if number == 0 else 0)
        wrapped = wrap(paragraph, room)
        if len(paragraphs) == 1 and len(wrapped) == 1:
            # On one line there is no room for the quotes, and a formatter would put them there.
            wrapped = wrap(paragraph, room - 10)
        lines.extend(([""] if number else []) + wrapped)
    lines[0] = f'"""{docstring_start(lines[0])}'
    return [(margin + line).rstrip() for line in [*lines, '"""']]


def docstring_start(text: str) -> str:
    """Return what follows the opening quotes: a formatter keeps a quote apart from them."""
    return f" {text}" if text.startswith('"') else text


def _closed(text: str) -> str:
    return f"{text} " if text.endswith('"') else text


def wrap(text: str, room: int) -> list[str]:
    """Return the lines of a paragraph; a word stays whole however long it is."""
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
    """A string literal in the quotes that need fewer escapes, as a formatter would write it."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return f"{quote}{texts.python(text, quote)}{quote}"


def string_code(text: str, room: int) -> Code:
    """Return a string literal, in several pieces where it is longer than a line has room for."""
    whole = quoted(text)
    if texts.columns(whole) <= room:
        return literal(whole)
    pieces = [""]
    for word in re.findall(r"[^ ]* *", text):
        if pieces[-1] and texts.columns(quoted(pieces[-1] + word)) > room:
            pieces.append("")
        pieces[-1] += word
    return Code(whole, parts=tuple(Code(quoted(piece)) for piece in pieces))


def fitted(text: str, width: int) -> str:
    """Return the text of a template, with docstrings and signatures that are too long broken anew.

    A template prints names of any length into them, and has no means to count.
    """
    lines: list[str] = []
    doc: list[str] | None = None
    for line in text.split("\n"):
        bare = line.strip()
        if doc is not None:
            doc.append(line)
        elif bare.startswith('"""'):
            doc = [line]
        else:
            lines += _fitted_signature(line, width)
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
    # The text is Python already: what is escaped in it is not to be escaped again.
    return _docstring(paragraphs, indent=indent, width=width)


_SIGNATURE = re.compile(r"( *)((?:async )?def \w+|class \w+)\((.*)\)( -> .*:|:)")


def _fitted_signature(line: str, width: int) -> list[str]:
    match = _SIGNATURE.fullmatch(line) if len(line) > width else None
    if match is None:
        return [line]
    margin, before, parameters, after = match.groups()
    items = re.split(r", (?![^\[]*\])", parameters)
    return call(before, items, after, indent=len(margin), width=width)

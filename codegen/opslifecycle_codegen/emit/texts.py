"""Escape texts of a machine: one function for each output format.

A summary or property may contain any character. Each function returns text that its format shows as
the author wrote it, with white space folded to single spaces. Invisible characters become escapes:
they cannot end the text early, and bidirectional marks cannot change the order that a reader sees.
"""

from __future__ import annotations

import html
import re
import string
import unicodedata

_MARKDOWN_SPECIAL = frozenset("\\`*[]<>|~#$")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_DIRECTIVE = re.compile(r"#(?=\s*[A-Za-z])")
_LIST_MARK = re.compile(r"^(\d+)([.)])(?=\s|$)")
_LINE_MARKS = frozenset("-+=:")
_MERMAID_PLAIN = frozenset(string.ascii_letters + string.digits + " _,.()[]/=*+-!?'")
_TAB_NAMES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def folded(text: str) -> str:
    """Return a text on one line, with white space folded to single spaces."""
    return " ".join(text.split())


def escaped(text: str) -> str:
    """Return a text with Python's escapes for invisible characters."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    code = ord(character)
    if character in _TAB_NAMES:
        return _TAB_NAMES[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def columns(text: str) -> int:
    """Return the width of a text in columns, as formatters count: an ideograph has two."""
    if text.isascii():
        return len(text)
    return sum(_columns(each) for each in text)


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def python(text: str, quote: str) -> str:
    """Return the content of a Python string literal in this quote."""
    return escaped(text.replace("\\", "\\\\")).replace(quote, f"\\{quote}")


def docstring(text: str) -> str:
    """Return a paragraph of a Python docstring in triple double quotes, on one line."""
    return escaped(folded(text).replace("\\", "\\\\")).replace('"""', '\\"\\"\\"')


def line(text: str) -> str:
    """Return a line for a terminal."""
    return escaped(folded(text))


def comment(text: str) -> str:
    """Return the content of a Python comment, without words that are directives to tools."""
    return _DIRECTIVE.sub("(#)", line(text))


def block_comment(text: str) -> str:
    """Return a line inside a block comment of Promela or of TLA+."""
    shown = line(text)
    for mark in ("*/", "/*", "*)", "(*", "===="):
        shown = shown.replace(mark, " ".join(mark))
    return shown


def markdown(text: str) -> str:
    """Return Markdown for a paragraph, a list item or a table cell."""
    text = _ENTITY.sub("&amp;", folded(text))
    shown = "".join(_markdown_character(text, place) for place in range(len(text)))
    if shown[:1] in _LINE_MARKS:
        return f"\\{shown}"
    return _LIST_MARK.sub(r"\1\\\2", shown)


def _markdown_character(text: str, place: int) -> str:
    character = text[place]
    if character in "<>":
        return html.escape(character)
    if character == "_":
        inside = text[:place][-1:].isalnum() and text[place + 1 : place + 2].isalnum()
        return "_" if inside else "\\_"
    if character in _MARKDOWN_SPECIAL:
        return f"\\{character}"
    if character.isprintable():
        return character
    # Markdown replaces NUL, and browsers other control characters, even as entities.
    code = ord(character)
    unseen = code < 0xA0 or 0xD800 <= code < 0xE000
    return f"\\{_escape(character)}" if unseen else f"&#x{code:x};"


def mermaid(text: str) -> str:
    """Return a label of a Mermaid diagram."""
    return _mermaid(text, _MERMAID_PLAIN)


def mermaid_note(text: str) -> str:
    """Return a line of a note in a Mermaid diagram, without the words that end notes."""
    shown = _mermaid(text, _MERMAID_PLAIN | {":"})
    return re.sub(r"(?i)\bend note", lambda match: match[0].replace(" ", "#32;"), shown)


def _mermaid(text: str, plain: frozenset[str]) -> str:
    shown = line(text)
    return "".join(each if each in plain or each.isalpha() else f"#{ord(each)};" for each in shown)


def dot(text: str) -> str:
    """Return the content of a quoted label of Graphviz."""
    return line(text).replace("\\", "\\\\").replace('"', '\\"')


def dot_html(text: str) -> str:
    """Return the content of an HTML-like label of Graphviz."""
    return html.escape(line(text))

"""Format machine files: indent them evenly, and leave everything else as it was written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import yaml

from opslifecycle_codegen.base.config import InvalidConfigError
from opslifecycle_codegen.source.reader import LOADER, plain_data, read

_STEP = 2
_COMMENT = re.compile(r"(?:^|\s)#.*$", re.MULTILINE)


def format_yaml(source: bytes, path: str) -> bytes:
    """Return the file with even indentation, without spaces at the ends of lines.

    Line breaks, flow style, quotes and comments stay as they are.

    Raises InvalidMachineError for invalid YAML, and InvalidConfigError if formatting would change
    or lose content.
    """
    before = read(source, path)
    text = source.decode("utf-8-sig")
    lines = text.splitlines()
    root = yaml.compose(text, Loader=LOADER)
    assert isinstance(root, yaml.MappingNode)
    indents = dict(_indents(root, 0, lines))
    formatted = _indented(_spaced(root, lines), indents)
    after = "".join(f"{line.rstrip()}\n" for line in formatted)
    if plain_data(read(after.encode("utf-8"), path)) != plain_data(before) or (
        _comments(after) != _comments(text)
    ):
        raise InvalidConfigError(
            f"{path}: formatting it would change what it says; indent it evenly by hand"
        )
    return after.encode("utf-8")


def _indents(node: yaml.Node, indent: int, lines: list[str]) -> Iterator[tuple[int, int]]:
    """Yield the lines that begin a key or an item outside of brackets, with their indentation."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style:
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            at = key.start_mark
            if not lines[at.line][: at.column].strip():
                yield at.line, indent
            yield from _indents(value, indent + _STEP, lines)
        return
    for item in node.value:
        line = item.start_mark.line
        while not lines[line].lstrip().startswith("-"):
            # The item begins below its dash.
            line -= 1
        yield line, indent
        yield from _indents(item, indent + _STEP, lines)


def _spaced(root: yaml.MappingNode, lines: list[str]) -> list[str]:
    """Return the lines with one space after a colon and after a dash, outside of brackets."""
    spaced = list(lines)
    for line, start, end, text in sorted(_gaps(root, lines), reverse=True):
        spaced[line] = f"{spaced[line][:start]}{text}{spaced[line][end:]}"
    return spaced


def _gaps(node: yaml.Node, lines: list[str]) -> Iterator[tuple[int, int, int, str]]:
    """Yield what stands before a value: its line, two columns, and the text that belongs there."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style:
        return
    for each in node.value:
        key, value = each if isinstance(node, yaml.MappingNode) else (None, each)
        line, column = value.start_mark.line, value.start_mark.column
        if key is not None and key.end_mark.line == line and key.end_mark.column < column:
            yield line, key.end_mark.column, column, ": "
        elif key is None and (before := lines[line][:column].rstrip()).endswith("-"):
            yield line, len(before), column, " "
        yield from _gaps(value, lines)


def _indented(lines: list[str], indents: dict[int, int]) -> list[str]:
    """Return the lines with new indentations; what continues a line moves with it."""
    begun = [-1, *sorted(indents), len(lines)]
    result: list[str] = []
    for line, following in pairwise(begun):
        old = _width(lines[line]) if line >= 0 else 0
        moved = indents.get(line, 0) - old
        own_next = _width(lines[following]) if following < len(lines) else -1
        for number in range(max(line, 0), following):
            text = lines[number]
            width = _width(text) + moved
            if text.lstrip().startswith("#") and _width(text) == own_next:
                # A comment belongs to the key below it.
                width = indents[following]
            result.append(" " * max(width, 0) + text.lstrip() if text.strip() else "")
    return result


def _width(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _comments(text: str) -> list[str]:
    return [comment.strip() for comment in _COMMENT.findall(text)]

"""Stage 1, read: YAML text to a tree of nodes with locations, without implicit conversions.

The tree is built from parser events, without recursion, so that deep nesting cannot exhaust the
stack. Values that YAML 1.1 converts implicitly (`on`, `010`, `1:30`) are errors, and so are
anchors, tags and duplicate keys.
"""

from __future__ import annotations

import re
from typing import TypeAlias

import yaml
from attrs import define, frozen

from opslifecycle_codegen.base.diagnostics import Diagnostics, InvalidMachineError, Location
from opslifecycle_codegen.source.syntax_errors import syntax_error

SOURCE_BYTES_MAX = 1_000_000
_DEPTH_MAX = 40

#: The loader in C, where PyYAML has it: it reads a file in a tenth of the time.
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_GUESSED_BOOLEAN = re.compile(r"(?i:yes|no|on|off|y|n)|TRUE|True|FALSE|False")
_GUESSED_NUMBER = re.compile(
    r"[-+]?(0[0-7_]+|0[xXbB][0-9a-fA-F_]+|[0-9]+(:[0-5]?[0-9])+|[0-9]+_[0-9_]+)"
)
_GUESSED_NULL = re.compile(r"~|Null|NULL")


@frozen
class Scalar:
    """A single value; `plain` if it is written without quotes."""

    mark: Location
    text: str
    plain: bool
    one_line: bool


@define
class Sequence:
    """A list."""

    mark: Location
    items: list[Node]


@define
class Mapping:
    """Keys and values, in the order of the file."""

    mark: Location
    items: list[tuple[Scalar, Node]]


Node = Scalar | Sequence | Mapping
#: A tree as JSON data.
PlainData: TypeAlias = "str | list[PlainData] | dict[str, PlainData]"


def read(source: bytes, path: str) -> Mapping:
    """Return the tree of one machine file; raises InvalidMachineError with all errors."""
    diagnostics = Diagnostics()
    start = Location(path, 1, 1)
    if len(source) > SOURCE_BYTES_MAX:
        message = f"the file has {len(source)} bytes; a machine has at most {SOURCE_BYTES_MAX}"
        diagnostics.add(start, "yaml-size", message)
        diagnostics.stop_if_any()
    text = _decode(source, path)
    try:
        root = _Builder(path, diagnostics).build(text, LOADER)
    except yaml.MarkedYAMLError as error:
        if "maximum nesting depth" in str(error.problem):
            # libyaml reads ahead before it reports an error; the Python parser does not.
            _Builder(path, diagnostics).build(text, yaml.SafeLoader)
            diagnostics.stop_if_any()
        found = syntax_error(error, text, path)
        raise InvalidMachineError([*diagnostics.findings, found]) from None
    diagnostics.stop_if_any()
    if not isinstance(root, Mapping):
        message = "expected a mapping that declares a machine"
        diagnostics.add(root.mark if root else start, "yaml-shape", message)
    diagnostics.stop_if_any()
    assert isinstance(root, Mapping)
    return root


def _decode(source: bytes, path: str) -> str:
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _place(source[: error.start].decode("utf-8", "replace"))
        diagnostics = Diagnostics()
        diagnostics.add(Location(path, line, column), "yaml-encoding", "this is not UTF-8")
        raise InvalidMachineError(diagnostics.findings) from None
    unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if unprintable is not None:
        line, column = _place(text[: unprintable.start()])
        diagnostics = Diagnostics()
        message = f"the character {unprintable.group()!r} is not allowed in YAML"
        diagnostics.add(Location(path, line, column), "yaml-encoding", message)
        raise InvalidMachineError(diagnostics.findings) from None
    return text


def _place(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def plain_data(node: Node) -> PlainData:
    """Return a tree as JSON data, without locations."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Mapping):
        return {key.text: plain_data(value) for key, value in node.items}
    return [plain_data(item) for item in node.items]


class _Builder:
    """Builds nodes from parser events."""

    def __init__(self, path: str, diagnostics: Diagnostics) -> None:
        self._path = path
        self._diagnostics = diagnostics
        self._open: list[Sequence | Mapping] = []
        self._keys: list[Scalar | None] = []
        #: The keys of each open mapping, by their text.
        self._known: list[dict[str, Scalar]] = []
        self._root: Node | None = None
        self._documents = 0

    def build(self, text: str, loader: type[yaml.SafeLoader]) -> Node | None:
        for event in yaml.parse(text, Loader=loader):
            mark = self._mark(event)
            if isinstance(event, yaml.DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    self._add(mark, "yaml-shape", "a second document; a file declares one machine")
                    return self._root
            elif isinstance(event, yaml.NodeEvent):
                self._refuse_indirection(event, mark)
                if not self._enter(event, mark):
                    return None
            elif isinstance(event, yaml.CollectionEndEvent):
                self._keys.pop()
                self._known.pop()
                self._attach(self._open.pop())
        return self._root

    def _mark(self, event: yaml.Event) -> Location:
        start = event.start_mark
        assert start is not None
        return Location(self._path, start.line + 1, start.column + 1)

    def _enter(self, event: yaml.NodeEvent, mark: Location) -> bool:
        if isinstance(event, yaml.SequenceStartEvent):
            self._opened(Sequence(mark, []))
        elif isinstance(event, yaml.MappingStartEvent):
            self._opened(Mapping(mark, []))
        elif isinstance(event, yaml.ScalarEvent):
            one_line = "\n" not in event.value and event.style not in ("|", ">")
            scalar = Scalar(mark, event.value, event.style in (None, ""), one_line)
            self._refuse_guess(scalar)
            self._attach(scalar)
        if len(self._open) > _DEPTH_MAX:
            message = f"nested deeper than {_DEPTH_MAX} levels"
            self._add(mark, "yaml-depth", message)
            return False
        return True

    def _opened(self, node: Sequence | Mapping) -> None:
        self._open.append(node)
        self._keys.append(None)
        self._known.append({})

    def _attach(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = self._keys[-1]
        if key is not None:
            parent.items.append((key, node))
            self._keys[-1] = None
            return
        if not isinstance(node, Scalar):
            self._add(node.mark, "yaml-shape", "a key must be a word, not a list or a mapping")
            node = Scalar(node.mark, "", plain=True, one_line=True)
        first = self._known[-1].setdefault(node.text, node)
        if first is not node and node.text:
            message = f"the key {node.text!r} occurs twice"
            self._add(node.mark, "yaml-duplicate", message, f"first at line {first.mark.line}")
        self._keys[-1] = node

    def _refuse_indirection(self, event: yaml.NodeEvent, mark: Location) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._add(mark, "yaml-alias", f"an alias (*{event.anchor})", "write it out")
            self._attach(Scalar(mark, "", plain=True, one_line=True))
        elif event.anchor is not None:
            self._add(mark, "yaml-alias", f"an anchor (&{event.anchor})", "write it out")
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            hint = "remove it; an expression that begins with ! needs quotes, and Python's `not`"
            self._add(mark, "yaml-tag", f"the tag {tag!r} has no meaning here", hint)

    def _refuse_guess(self, scalar: Scalar) -> None:
        if not scalar.plain:
            return
        text = scalar.text
        if _GUESSED_BOOLEAN.fullmatch(text):
            meant = "true" if text.lower() in ("yes", "on", "y", "true") else "false"
            hint = f"write {meant}, or quote it to mean the word: '{text}'"
            self._add(scalar.mark, "yaml-guess", f"YAML reads {text} as a boolean", hint)
        elif _GUESSED_NUMBER.fullmatch(text):
            hint = "write a decimal number without underscores"
            self._add(scalar.mark, "yaml-guess", f"YAML reads {text} as another number", hint)
        elif _GUESSED_NULL.fullmatch(text):
            self._add(scalar.mark, "yaml-guess", f"YAML reads {text} as nothing", "leave it out")
        elif text == "<<":
            self._add(scalar.mark, "yaml-alias", "a merge key", "write it out")

    def _add(self, mark: Location, rule: str, message: str, hint: str = "") -> None:
        self._diagnostics.add(mark, rule, message, hint)

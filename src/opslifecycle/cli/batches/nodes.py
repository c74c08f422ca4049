"""Values of YAML nodes, checked; an error names the line and column."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from opslifecycle.cli.batches.model import InvalidBatchError

#: libyaml where PyYAML has it, which reads a long batch fifteen times as fast.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FILE_BYTES_MAX = 1_000_000
_NULL = "tag:yaml.org,2002:null"
_BOOLEANS = {"true": True, "false": False}


def compose(path: Path) -> yaml.Node | None:
    """Return the root node of a file; None for an empty one.

    Raises:
        InvalidBatchError: The file cannot be read, or is no YAML.
    """
    try:
        with path.open("rb") as file:
            source = file.read(_FILE_BYTES_MAX + 1)
        if len(source) > _FILE_BYTES_MAX:
            raise InvalidBatchError(f"{path}: a batch has at most {_FILE_BYTES_MAX} bytes")
        return _composed(source.decode("utf-8"))
    except OSError as error:
        raise InvalidBatchError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidBatchError(f"{path}: this is not UTF-8") from None
    except RecursionError:
        raise InvalidBatchError(f"{path}: nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise InvalidBatchError(f"{path}{line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise InvalidBatchError(f"{path}: {error}") from None


def _composed(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError:
        # libyaml refuses escapes of surrogates, which stand for bytes of names that are no UTF-8.
        return yaml.compose(text, Loader=yaml.SafeLoader)


class Nodes:
    """Reads the nodes of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def wrong(self, node: yaml.Node, message: str) -> InvalidBatchError:
        """Return the error of a node."""
        mark = node.start_mark
        return InvalidBatchError(f"{self.path}:{mark.line + 1}:{mark.column + 1}: {message}")

    def mapping(self, node: yaml.Node, keys: Sequence[str], what: str) -> dict[str, yaml.Node]:
        """Return the values of a mapping by their keys, which must be known."""
        fields = {}
        for key, value in self.pairs(node, what):
            if key.value not in keys:
                near = difflib.get_close_matches(key.value, keys, 1)
                expected = f"do you mean {near[0]!r}?" if near else f"it has {', '.join(keys)}"
                raise self.wrong(key, f"{what} has no key {key.value!r}; {expected}")
            fields[key.value] = value
        return fields

    def pairs(self, node: yaml.Node, what: str) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        """Return the keys and values of a mapping, in their order."""
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"{what}: expected a mapping")
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.wrong(key, f"{what}: a key must be a word")
            if key.value in seen:
                raise self.wrong(key, f"{what}: the key {key.value!r} occurs twice")
            seen.add(key.value)
        return list(node.value)

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """Return the items of a list that is not empty."""
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self.wrong(node, f"{what}: expected a list with at least one entry")
        return list(node.value)

    def text(self, node: yaml.Node, what: str, *, empty: bool = False) -> str:
        """Return a text, which is not empty unless `empty` allows it."""
        if not isinstance(node, yaml.ScalarNode) or node.tag == _NULL:
            raise self.wrong(node, f"{what}: expected a text")
        if node.tag != "tag:yaml.org,2002:str" and not node.style:
            kind = node.tag.rpartition(":")[2]
            raise self.wrong(node, f"{what}: expected a text, got {kind} {node.value}; quote it")
        if "\0" in node.value or (not empty and not node.value.strip()):
            raise self.wrong(node, f"{what}: expected a text that is not empty")
        return str(node.value)

    def text_or_null(self, node: yaml.Node, what: str) -> str | None:
        """Return a text, which may be empty; None for `null`."""
        if isinstance(node, yaml.ScalarNode) and node.tag == _NULL and node.value:
            return None
        return self.text(node, what, empty=True)

    def flag(self, node: yaml.Node, what: str) -> bool:
        """Return a boolean."""
        plain = isinstance(node, yaml.ScalarNode) and not node.style
        if not plain or node.value not in _BOOLEANS:
            raise self.wrong(node, f"{what}: expected true or false")
        return _BOOLEANS[node.value]

    def whole(self, node: yaml.Node, what: str) -> int:
        """Return a whole number above 0."""
        return int(self._number(node, what, "a whole number above 0", r"[1-9][0-9]{0,8}"))

    def number(self, node: yaml.Node, what: str, *, least: float | None = None) -> float:
        """Return a number above 0, or of at least `least`."""
        expected = "a number above 0" if least is None else f"a number of at least {least:g}"
        value = self._number(node, what, expected, r"[0-9]{1,9}(\.[0-9]+)?")
        if value <= 0 if least is None else value < least:
            raise self.wrong(node, f"{what}: expected {expected}")
        return value

    def _number(self, node: yaml.Node, what: str, expected: str, pattern: str) -> float:
        plain = isinstance(node, yaml.ScalarNode) and not node.style
        if not plain or not re.fullmatch(pattern, node.value):
            raise self.wrong(node, f"{what}: expected {expected}")
        return float(node.value)

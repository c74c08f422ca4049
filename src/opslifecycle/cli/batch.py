"""A batch of commands in YAML. An error is reported with its line before any command starts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import yaml

_BATCH_KEYS = ("max_concurrent", "commands")
_COMMAND_KEYS = ("name", "command", "timeout_seconds", "directory", "environment")
_FILE_BYTES_MAX = 1_000_000
_NAME_CHARACTERS_MAX = 60


class InvalidBatchError(Exception):
    """A batch that cannot be run; the text has the place and what is expected there."""


@attrs.frozen
class Command:
    """One command: a list of words to execute, or a text for the shell.

    Attributes:
        name: The name in tables and records.
        command: The words, or the text.
        timeout_seconds: The limit for its duration; None for no limit.
        directory: The folder to run in; None for the current one.
        environment: Variables beside those of this process.
    """

    name: str
    command: str | tuple[str, ...]
    timeout_seconds: float | None = None
    directory: Path | None = None
    environment: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Batch:
    """Commands in the order in which they start, and how many run at the same time."""

    commands: tuple[Command, ...]
    max_concurrent: int | None = None


def command_of(words: Sequence[str]) -> Command:
    """Return the command with some words."""
    name = shlex.join(words)
    if len(name) > _NAME_CHARACTERS_MAX:
        name = f"{name[: _NAME_CHARACTERS_MAX - 1]}…"
    return Command(name=name, command=tuple(words))


def read_batch(path: Path) -> Batch:
    """Return the batch in a file.

    Raises:
        InvalidBatchError: The file cannot be read, or has an error; the first one is reported.
    """
    try:
        with path.open("rb") as file:
            source = file.read(_FILE_BYTES_MAX + 1)
        if len(source) > _FILE_BYTES_MAX:
            raise InvalidBatchError(f"{path}: a batch has at most {_FILE_BYTES_MAX} bytes")
        root = yaml.compose(source.decode("utf-8"), Loader=yaml.SafeLoader)
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
    return _Reader(path).batch(root)


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path

    def batch(self, root: yaml.Node | None) -> Batch:
        if root is None:
            raise InvalidBatchError(f"{self._path}: expected a mapping with the key commands")
        fields = self._mapping(root, _BATCH_KEYS, "a batch")
        if "commands" not in fields:
            raise self._wrong(root, "expected the key commands: a list of commands")
        listed = fields["commands"]
        if not isinstance(listed, yaml.SequenceNode) or not listed.value:
            raise self._wrong(listed, "commands: expected a list with at least one command")
        commands = tuple(self._command(node) for node in listed.value)
        names = [command.name for command in commands]
        for node, name in zip(listed.value, names, strict=True):
            if names.count(name) > 1:
                raise self._wrong(node, f"two commands are called {name!r}: give each a name")
        max_concurrent = None
        if "max_concurrent" in fields:
            max_concurrent = int(
                self._number(fields["max_concurrent"], "max_concurrent", whole=True)
            )
        return Batch(commands, max_concurrent)

    def _command(self, node: yaml.Node) -> Command:
        if isinstance(node, yaml.ScalarNode):
            text = self._text(node, "a command")
            return Command(text[:60], text)
        fields = self._mapping(node, _COMMAND_KEYS, "a command")
        if "command" not in fields:
            raise self._wrong(node, "expected the key command: a text for the shell or a list")
        command = self._words(fields["command"])
        default = command if isinstance(command, str) else shlex.join(command)
        name = self._text(fields["name"], "name") if "name" in fields else default[:60]
        timeout, directory = None, None
        if "timeout_seconds" in fields:
            timeout = self._number(fields["timeout_seconds"], "timeout_seconds", whole=False)
        if "directory" in fields:
            directory = self._path.parent / self._text(fields["directory"], "directory")
        environment = self._environment(fields.get("environment"))
        return Command(name, command, timeout, directory, environment)

    def _words(self, node: yaml.Node) -> str | tuple[str, ...]:
        if isinstance(node, yaml.SequenceNode):
            if not node.value:
                raise self._wrong(node, "command: expected at least one word")
            return tuple(self._text(item, "a word of the command") for item in node.value)
        return self._text(node, "command")

    def _environment(self, node: yaml.Node | None) -> dict[str, str]:
        if node is None:
            return {}
        pairs = self._pairs(node, "environment")
        result = {}
        for key, value in pairs:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key.value):
                raise self._wrong(key, f"environment: {key.value!r} is no name of a variable")
            result[key.value] = self._text(value, f"environment: {key.value}")
        return result

    def _mapping(self, node: yaml.Node, keys: Sequence[str], what: str) -> dict[str, yaml.Node]:
        fields = {}
        for key, value in self._pairs(node, what):
            if key.value not in keys:
                expected = f"expected one of {', '.join(keys)}"
                raise self._wrong(key, f"{what} has no key {key.value!r}; {expected}")
            fields[key.value] = value
        return fields

    def _pairs(self, node: yaml.Node, what: str) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, f"{what}: expected a mapping")
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._wrong(key, f"{what}: a key must be a word")
            if key.value in seen:
                raise self._wrong(key, f"{what}: the key {key.value!r} occurs twice")
            seen.add(key.value)
        return list(node.value)

    def _text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:null":
            raise self._wrong(node, f"{what}: expected a text")
        if node.tag != "tag:yaml.org,2002:str" and node.style is None:
            kind = node.tag.rpartition(":")[2]
            raise self._wrong(node, f"{what}: expected a text, got {kind} {node.value}; quote it")
        if not node.value.strip() or "\0" in node.value:
            raise self._wrong(node, f"{what}: expected a text that is not empty")
        return str(node.value)

    def _number(self, node: yaml.Node, what: str, *, whole: bool) -> float:
        expected = "a whole number" if whole else "a number"
        pattern = r"[0-9]{1,9}" if whole else r"[0-9]{1,9}(\.[0-9]+)?"
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        if not plain or not re.fullmatch(pattern, node.value) or float(node.value) <= 0:
            raise self._wrong(node, f"{what}: expected {expected} above 0")
        return float(node.value)

    def _wrong(self, node: yaml.Node, message: str) -> InvalidBatchError:
        mark = node.start_mark
        return InvalidBatchError(f"{self._path}:{mark.line + 1}:{mark.column + 1}: {message}")

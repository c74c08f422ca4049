"""One entry of a batch, which is a command or, with a matrix, several."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import yaml
from opslifecycle.cli.batches.matrix import (
    NAME,
    VARIANTS_MAX,
    UnknownPlaceholderError,
    combinations,
    fill,
)
from opslifecycle.cli.batches.model import Command, Retry, When, shortened_name
from opslifecycle.cli.batches.nodes import Nodes
from opslifecycle.cli.batches.variables import read_variables

_KEYS = (
    "name", "command", "timeout_seconds", "directory", "environment", "env_file", "stdin",
    "stdin_file", "needs", "when", "retry", "matrix",
)  # fmt: skip
_RETRY_KEYS = ("attempts", "delay_seconds", "backoff")
_ATTEMPTS_MAX = 1000


def read_entry(
    nodes: Nodes, node: yaml.Node, variables: Mapping[str, str]
) -> tuple[str, list[Command]]:
    """Return the name of an entry, and its commands.

    Args:
        nodes: Reads the nodes of the file.
        node: The entry.
        variables: The variables of every command.

    Raises:
        InvalidBatchError: The entry has an error.
    """
    if isinstance(node, yaml.ScalarNode):
        text = nodes.text(node, "a command")
        name = shortened_name(text)
        return name, [Command(name, text, environment=variables)]
    fields = nodes.mapping(node, _KEYS, "a command")
    if "command" not in fields:
        raise nodes.wrong(node, "expected the key command: a text for the shell or a list")
    axes = _axes(nodes, fields.get("matrix"))
    name = _name(nodes, fields)
    variants = list(combinations(axes))
    if len(variants) > VARIANTS_MAX:
        message = f"matrix: {len(variants)} variants; at most {VARIANTS_MAX} are possible"
        raise nodes.wrong(fields["matrix"], message)
    return name, [
        _Entry(nodes, fields, values, variables).command(" ".join([name, *values.values()]))
        for values in variants
    ]


def _name(nodes: Nodes, fields: Mapping[str, yaml.Node]) -> str:
    """Return the name of an entry. Its variants have the values of the matrix behind it."""
    if "name" in fields:
        return nodes.text(fields["name"], "name")
    if "matrix" in fields:
        raise nodes.wrong(fields["matrix"], "matrix: expected a name beside it, for the variants")
    node = fields["command"]
    if isinstance(node, yaml.SequenceNode):
        items = nodes.items(node, "command")
        return shortened_name(shlex.join(nodes.text(each, "a word") for each in items))
    return shortened_name(nodes.text(node, "command"))


def read_files(nodes: Nodes, node: yaml.Node | None) -> dict[str, str]:
    """Return the variables of the files that the key `env_file` lists."""
    if node is None:
        return {}
    listed = nodes.items(node, "env_file") if isinstance(node, yaml.SequenceNode) else [node]
    found: dict[str, str] = {}
    for each in listed:
        found |= read_variables(nodes.path.parent / nodes.text(each, "env_file"))
    return found


def _axes(nodes: Nodes, node: yaml.Node | None) -> dict[str, list[str]]:
    if node is None:
        return {}
    axes: dict[str, list[str]] = {}
    for key, values in nodes.pairs(node, "matrix"):
        what = f"matrix: {key.value}"
        if not NAME.fullmatch(key.value):
            raise nodes.wrong(key, f"{what}: a name has letters, digits and underscores")
        axes[key.value] = []
        for each in nodes.items(values, what):
            value = nodes.text(each, what)
            if value in axes[key.value]:
                raise nodes.wrong(each, f"{what}: {value!r} occurs twice")
            axes[key.value].append(value)
    if not axes:
        raise nodes.wrong(node, "matrix: expected names with lists of values")
    return axes


class _Entry:
    """An entry with one combination of the values of its matrix."""

    def __init__(
        self,
        nodes: Nodes,
        fields: Mapping[str, yaml.Node],
        values: Mapping[str, str],
        variables: Mapping[str, str],
    ) -> None:
        self._nodes = nodes
        self._fields = fields
        self._values = values
        self._variables = variables

    def command(self, name: str) -> Command:
        """Return the command with a name."""
        nodes, fields = self._nodes, self._fields
        timeout, directory = None, None
        if "timeout_seconds" in fields:
            timeout = nodes.number(fields["timeout_seconds"], "timeout_seconds")
        if "directory" in fields:
            directory = self._file("directory")
        return Command(
            name=name,
            command=self._words(),
            timeout_seconds=timeout,
            directory=directory,
            environment=self._environment(),
            stdin=self._stdin(),
            needs=self._needs(),
            when=self._when(),
            retry=self._retry(),
        )

    def _words(self) -> str | tuple[str, ...]:
        node = self._fields["command"]
        if isinstance(node, yaml.SequenceNode):
            items = self._nodes.items(node, "command")
            return tuple(self._text(each, "a word of the command") for each in items)
        return self._text(node, "command")

    def _environment(self) -> Mapping[str, str | None]:
        nodes = self._nodes
        if not self._fields.keys() & {"env_file", "environment"}:
            return self._variables
        files = read_files(nodes, self._fields.get("env_file"))
        found: dict[str, str | None] = {**self._variables, **files}
        node = self._fields.get("environment")
        for key, value in [] if node is None else nodes.pairs(node, "environment"):
            if not NAME.fullmatch(key.value):
                raise nodes.wrong(key, f"environment: {key.value!r} is no name of a variable")
            given = nodes.text_or_null(value, f"environment: {key.value}")
            found[key.value] = None if given is None else self._filled(value, given)
        return found

    def _stdin(self) -> str | Path | None:
        text, file = self._fields.get("stdin"), self._fields.get("stdin_file")
        if text is not None and file is not None:
            raise self._nodes.wrong(file, "stdin_file: stdin is given, too; remove one of them")
        if file is not None:
            return self._file("stdin_file")
        if text is not None:
            return self._filled(text, self._nodes.text(text, "stdin", empty=True))
        return None

    def _needs(self) -> frozenset[str]:
        node = self._fields.get("needs")
        if node is None:
            return frozenset()
        listed = self._nodes.items(node, "needs") if isinstance(node, yaml.SequenceNode) else [node]
        return frozenset(self._nodes.text(each, "needs") for each in listed)

    def _when(self) -> When:
        node = self._fields.get("when")
        if node is None:
            return When.SUCCESS
        if "needs" not in self._fields:
            raise self._nodes.wrong(node, "when: it says how the commands in needs have to end")
        text = self._nodes.text(node, "when")
        if text not in [each.value for each in When]:
            raise self._nodes.wrong(node, f"when: expected success or always, got {text!r}")
        return When(text)

    def _retry(self) -> Retry:
        node = self._fields.get("retry")
        if node is None:
            return Retry()
        nodes = self._nodes
        fields = nodes.mapping(node, _RETRY_KEYS, "retry")
        if "attempts" not in fields:
            raise nodes.wrong(node, "retry: expected the key attempts, with the first one counted")
        attempts = nodes.whole(fields["attempts"], "retry: attempts")
        if attempts > _ATTEMPTS_MAX:
            raise nodes.wrong(fields["attempts"], f"retry: at most {_ATTEMPTS_MAX} attempts")
        delay, backoff = 0.0, 1.0
        if "delay_seconds" in fields:
            delay = nodes.number(fields["delay_seconds"], "retry: delay_seconds")
        if "backoff" in fields:
            backoff = nodes.number(fields["backoff"], "retry: backoff", least=1)
        return Retry(attempts, delay, backoff)

    def _file(self, key: str) -> Path:
        return self._nodes.path.parent / self._text(self._fields[key], key)

    def _text(self, node: yaml.Node, what: str) -> str:
        return self._filled(node, self._nodes.text(node, what))

    def _filled(self, node: yaml.Node, text: str) -> str:
        try:
            return fill(text, self._values)
        except UnknownPlaceholderError as error:
            raise self._nodes.wrong(node, str(error)) from None

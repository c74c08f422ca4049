"""The commands of a batch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

import attrs

_NAME_CHARACTERS_MAX = 60


class InvalidBatchError(Exception):
    """A batch that cannot be run; the text has the place and what is expected there."""


class When(Enum):
    """After which ends of the commands that it needs a command starts."""

    SUCCESS = "success"
    ALWAYS = "always"


@attrs.frozen
class Retry:
    """How often a command is run until it completes, and the pauses between its attempts.

    Attributes:
        attempts: The maximum number of attempts, the first one included.
        delay_seconds: The pause after the first attempt.
        backoff: The factor by which each pause is longer than the one before.
    """

    attempts: int = 1
    delay_seconds: float = 0.0
    backoff: float = 1.0

    def pause_seconds(self, attempt: int) -> float:
        """Return the pause after a failed attempt, which is numbered from 1."""
        return self.delay_seconds * self.backoff ** (attempt - 1)


@attrs.frozen
class Command:
    """One command: a list of words to execute, or a text for the shell.

    Attributes:
        name: The name in tables and records.
        command: The words, or the text.
        timeout_seconds: The limit for the duration of each attempt; None for no limit.
        directory: The folder to run in; None for the current one.
        environment: Variables beside those of this process; None removes a variable.
        stdin: The standard input: a text, a file, or None for an empty one.
        needs: The names of the commands that end before this one starts.
        when: Whether these have to complete.
        retry: What happens when the command fails.
    """

    name: str
    command: str | tuple[str, ...]
    timeout_seconds: float | None = None
    directory: Path | None = None
    environment: Mapping[str, str | None] = attrs.field(factory=dict)
    stdin: str | Path | None = None
    needs: frozenset[str] = frozenset()
    when: When = When.SUCCESS
    retry: Retry = Retry()


@attrs.frozen
class Batch:
    """Commands in the order in which they start, and how many run at the same time.

    Attributes:
        commands: The commands; no two have the same name.
        max_concurrent: How many run at the same time; None for the default of the run.
        fail_fast: Whether the first failure ends the run. Commands that start `always` still run.
    """

    commands: tuple[Command, ...]
    max_concurrent: int | None = None
    fail_fast: bool = False


def command_of(words: Sequence[str], stdin: Path | None = None) -> Command:
    """Return the command with some words and a file that it reads; `-` is that of this process."""
    return Command(shortened_name(shlex.join(words)), tuple(words), stdin=stdin)


def shortened_name(text: str) -> str:
    """Return a text as a name that fits into a table."""
    if len(text) <= _NAME_CHARACTERS_MAX:
        return text
    return f"{text[: _NAME_CHARACTERS_MAX - 1]}…"

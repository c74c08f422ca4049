"""The commands of a run in a file beside its logs, so that they can be run again.

The first line has what concerns the whole batch, each further one a command with the id of its
first operation, or the id of another attempt. Like the logs, only its owner can read the file:
command lines and variables may hold secrets.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import attrs
from opslifecycle import OpsLifecycleError
from opslifecycle.cli.batches.model import Batch, Command, Retry, When
from opslifecycle.cli.batches.undisturbed import without_collector
from opslifecycle.inspection.logs import folder_of

_FORMAT = 1
#: Bytes of names that are no UTF-8 are surrogates in texts, which JSON escapes.
_Line: TypeAlias = dict[str, object]


class NotStoredError(OpsLifecycleError):
    """A run whose commands cannot be run again."""

    field_names = ("run", "reason")
    template = "{run}: its commands cannot be run again: {reason}"

    def __init__(self, run: str, reason: str) -> None:
        super().__init__(run, reason)


def command_file(store: Path, run: str) -> Path:
    """Return the file of the commands of a run."""
    return folder_of(store) / f"{run.replace(' ', '.')}.commands"


class CommandFile:
    """Writes the file of one run. A failure to write is ignored: commands do not depend on it.

    Args:
        store: The place of the store, beside which the logs are.
        run: The name of the run.
    """

    def __init__(self, store: Path, run: str) -> None:
        self._path = command_file(store, run)
        self._lock = threading.Lock()
        self._is_complete = False
        # The attempts that were added while the commands were being written.
        self._early: list[str] = []

    def begin(self, batch: Batch, ids: Sequence[str]) -> None:
        """Write the commands of a batch, each with the id of its first operation.

        A thread may call it while another one adds attempts.
        """
        head = {
            "format": _FORMAT,
            "max_concurrent": batch.max_concurrent,
            "fail_fast": batch.fail_fast,
        }
        folder = Path.cwd()
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with open(os.open(self._path, flags, 0o600), "w", encoding="ascii") as file:
                file.write(f"{json.dumps(head)}\n")
                for id, command in zip(ids, batch.commands, strict=True):
                    file.write(f"{json.dumps({'id': id, **_line_of(command, folder)})}\n")
            with self._lock:
                self._append("".join(self._early))
                self._is_complete = True
        except OSError:
            return

    def add(self, id: str, command: str) -> None:
        """Add the operation of another attempt at the command with a name."""
        line = f"{json.dumps({'id': id, 'again': command})}\n"
        with self._lock:
            if not self._is_complete:
                self._early.append(line)
                return
            with contextlib.suppress(OSError):
                self._append(line)

    def _append(self, text: str) -> None:
        with self._path.open("a", encoding="ascii") as file:
            file.write(text)


@attrs.frozen
class StoredCommands:
    """The commands of an earlier run.

    Attributes:
        batch: The commands.
        attempts: The ids of the operations of each command, by its name, in their order.
    """

    batch: Batch
    attempts: Mapping[str, Sequence[str]]

    def name_of(self, id: str) -> str | None:
        """Return the name of the command of an operation; None if the run has no such one."""
        return next((name for name, ids in self.attempts.items() if id in ids), None)

    def only(self, names: set[str]) -> Batch:
        """Return a batch of some of the commands. They wait only for each other.

        Raises:
            NotStoredError: The input of a command was that of its run.
        """
        chosen = tuple(
            attrs.evolve(each, needs=each.needs & names)
            for each in self.batch.commands
            if each.name in names
        )
        for each in chosen:
            if each.stdin == Path("-"):
                raise NotStoredError(each.name, "its input was that of the run; use --stdin FILE")
        return attrs.evolve(self.batch, commands=chosen)


@without_collector()
def read_commands(store: Path, run: str) -> StoredCommands:
    """Return the commands of a run.

    Raises:
        NotStoredError: They are not stored on this host, or the file cannot be read.
    """
    path = command_file(store, run)
    commands: dict[str, Command] = {}
    attempts: dict[str, list[str]] = {}
    try:
        with path.open(encoding="ascii") as file:
            head = json.loads(file.readline())
            if head["format"] != _FORMAT:
                raise NotStoredError(run, f"{path} is of another version")
            for line in file:
                if not line.endswith("\n"):
                    # The end of a run that was killed while it wrote.
                    break
                each = json.loads(line)
                if "again" in each:
                    attempts[each["again"]].append(each["id"])
                else:
                    commands[each["name"]] = _command_of(each)
                    attempts[each["name"]] = [each["id"]]
    except FileNotFoundError:
        raise NotStoredError(run, f"there is no file {path}") from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise NotStoredError(run, f"{path}: {error}") from None
    batch = Batch(tuple(commands.values()), head["max_concurrent"], head["fail_fast"])
    return StoredCommands(batch, attempts)


def _line_of(command: Command, folder: Path) -> _Line:
    """Return a command as JSON-ready data, with every file named absolutely."""
    reads: _Line = {}
    if isinstance(command.stdin, Path):
        own = command.stdin == Path("-")
        reads = {"reads": "-" if own else str(folder / command.stdin)}
    elif command.stdin is not None:
        reads = {"input": command.stdin}
    retry = command.retry
    return {
        "name": command.name,
        "command": command.command,
        "timeout_seconds": command.timeout_seconds,
        "directory": str(folder / (command.directory or "")),
        "environment": dict(command.environment),
        "needs": sorted(command.needs),
        "when": command.when.value,
        "retry": [retry.attempts, retry.delay_seconds, retry.backoff],
        **reads,
    }


def _command_of(line: Mapping[str, object]) -> Command:
    def given(key: str) -> object:
        return line[key]

    words, environment, needs, retry = map(given, ("command", "environment", "needs", "retry"))
    if not isinstance(environment, dict) or not isinstance(needs, list):
        raise TypeError("a command is not written as this program writes it")
    if not isinstance(retry, list) or not isinstance(words, str | list):
        raise TypeError("a command is not written as this program writes it")
    timeout_seconds, given_text = line["timeout_seconds"], line.get("input")
    stdin = None if given_text is None else str(given_text)
    return Command(
        name=str(line["name"]),
        command=words if isinstance(words, str) else tuple(words),
        timeout_seconds=None if timeout_seconds is None else float(str(timeout_seconds)),
        directory=Path(str(line["directory"])),
        environment=environment,
        stdin=Path(str(line["reads"])) if "reads" in line else stdin,
        needs=frozenset(needs),
        when=When(line["when"]),
        retry=Retry(*retry),
    )

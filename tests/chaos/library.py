"""The library program as a target of faults: heard through its pipe, compared with a reader."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.chaos.clocks import WallClock
from tests.chaos.models import Models
from tests.chaos.pipe import Line, Listener
from tests.chaos.places import ROOT
from tests.chaos.target import Limits, Target
from tests.chaos.verdict import ViolationError, require
from tests.chaos.verifying import verify_rows

_ANSWERS = {"ok", "refused"}


class Library(Target):
    """Two registries, each in a store of its own, and the models of both."""

    names = ("operations.db", "office.db")

    def __init__(self, folder: Path, seed: int, limits: Limits, defect: str = "none") -> None:
        super().__init__(folder, seed, limits)
        self.models = Models()
        self.clock: WallClock | None = None
        self._defect = defect
        self._listener: Listener | None = None

    def start(self) -> None:
        self._close_pipes()
        self.models.begin()
        reading, writing = os.pipe()
        command = [
            sys.executable, "-m", "tests.chaos.library_program", str(self.folder),
            str(self.chance.randrange(2**32)), str(writing), self._defect,
        ]  # fmt: skip
        environment = {**os.environ, **(self.clock.environment if self.clock else {})}
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stderr=errors, pass_fds=[writing],
                env=environment,
            )  # fmt: skip
        os.close(writing)
        self._listener = Listener(reading)

    def hear(self, seconds: float) -> int:
        assert self._listener is not None
        answers = 0
        for line in self._listener.lines(seconds):
            self.models.hear(line)
            answers += self._is_answer(line)
        if seconds and self._listener.ended:
            self._ended_by_itself()
        return answers

    def _is_answer(self, line: Line) -> bool:
        # Not before everything is open: until then, a store is still being recovered.
        return line["say"] in _ANSWERS and len(self.models.opened) == len(self.models.parts)

    def _ended_by_itself(self) -> None:
        status = self.process.wait(self.limits.deadline)
        self.verify_errors()
        raise ViolationError("wrong", f"the program has ended by itself with {status}")

    def verify(self, *, owner_lives: bool) -> None:
        ledger = self.models.parts["operations"]
        rows = self._read("ls")
        verify_rows(ledger, rows, owner_lives=owner_lives)
        if rows:
            chosen = self.chance.choice(rows)
            (shown,) = self._read("show", chosen["id"])
            differing = {key for key in chosen if shown[key] != chosen[key]}
            require(not differing, "wrong", f"ls and show differ in {differing}: {shown}")
        self.models.counts["comparisons by other processes"] += 1

    def _read(self, *words: str) -> list[dict[str, Any]]:
        return read(self.folder / "operations.db", *words, deadline=self.limits.deadline)

    def put_back(self, models: Models) -> None:
        """Expect what was true when a copy was made that is now in the place of the stores."""
        models.counts, models.journal = self.models.counts, self.models.journal
        models.restored = True
        self.models = models

    def finish(self) -> None:
        """Have the program deliver every effect and close, and verify that nothing is left."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(b"drain\n")
            self.process.stdin.close()
        self._closed()
        self.models.effects.drained()

    def close(self) -> None:
        """Have the program close its registries in good order."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self._closed()

    def _closed(self) -> None:
        assert self._listener is not None
        until = time.monotonic() + self.limits.deadline
        while not self._listener.ended:
            for line in self._listener.lines(0.1):
                self.models.hear(line)
            if time.monotonic() > until:
                raise ViolationError("hang", self._stacks())
        status = self.process.wait(self.limits.deadline)
        self.verify_errors()
        closed = self.models.closed == set(self.models.parts)
        require(status == 0 and closed, "wrong", f"closing has ended with {status}")

    def journal(self) -> list[Line]:
        return list(self.models.journal)

    def release(self) -> None:
        """End what is left, whatever has happened."""
        self.process.kill()
        self.process.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            assert self.process.stdin is not None
            with contextlib.suppress(OSError):
                self.process.stdin.close()


def read(store: Path, *words: str, deadline: float) -> list[dict[str, Any]]:
    """Return the lines that the command line prints of a store."""
    command = [sys.executable, "-m", "opslifecycle.cli.main", *words, "--json"]
    try:
        done = subprocess.run(
            [*command, "--store", str(store)], cwd=ROOT, capture_output=True, text=True,
            timeout=deadline, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ViolationError("hang", f"{words} has not ended") from error
    require("Traceback" not in done.stderr, "traceback", done.stderr)
    require(done.returncode == 0, "wrong", f"{words} has failed: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]

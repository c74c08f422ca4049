"""The library program as a target of faults: heard through its pipe, compared with a reader."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.chaos.cli import cli, read
from tests.support.chaos.clocks import WallClock
from tests.support.chaos.models import Models
from tests.support.chaos.pipe import Line, Listener
from tests.support.chaos.places import ROOT
from tests.support.chaos.target import Limits, Target
from tests.support.chaos.verdict import ViolationError, require
from tests.support.chaos.verifying import verify_rows


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
            sys.executable, "-m", "tests.support.chaos.library_program", str(self.folder),
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

    def hear(self, seconds: float) -> None:
        assert self._listener is not None
        for line in self._listener.lines(seconds):
            self.models.hear(line)
        if seconds and self._listener.ended:
            self._ended_by_itself()

    def goes_on(self) -> None:
        """Require that something is stored in each registry within the deadline."""
        before = self.models.stored()
        until = time.monotonic() + self.limits.deadline
        while any(now <= then for now, then in zip(self.models.stored(), before, strict=True)):
            if time.monotonic() > until:
                raise ViolationError("hang", self._stacks())
            self.hear(0.05)

    def notices(self) -> None:
        """Require that the program notices within the deadline that a store is gone."""
        until = time.monotonic() + self.limits.deadline
        while not self.models.noticed:
            require(time.monotonic() < until, "hang", "a deleted store was not noticed")
            self.hear(0.05)

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
            if shown["status"] == "unresponsive":
                # The lease of a suspended owner may have run out between the two.
                differing.discard("status")
            require(not differing, "wrong", f"ls and show differ in {differing}: {shown}")
        self.models.counts["comparisons by other processes"] += 1

    def look(self) -> None:
        """Have a reader look while the store may be unusable: it may be refused, in words."""
        if not (self.folder / self.names[0]).exists():
            return
        try:
            self._read("ls")
        except ViolationError as error:
            told = "error: " in str(error) and "damaged" not in str(error)
            require(error.kind == "wrong" and told, error.kind, str(error))

    def refuses_another(self) -> None:
        """Require that no other process can own a store whose owner lives, if it is suspended."""
        store = str(self.folder / self.chance.choice(self.names))
        part = Path(store).stem
        if part not in self.models.opened:
            return
        command = [sys.executable, "-m", "tests.support.chaos.second_owner", part, store]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False,
            timeout=self.limits.deadline,
        )  # fmt: skip
        refused = done.stdout.strip() == "refused"
        require(refused, "wrong", f"a second owner of {part}: {done.stdout} {done.stderr}")
        self.models.counts["second owners refused"] += 1

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
        done = cli("doctor", store=self.folder / self.names[0], deadline=self.limits.deadline)
        require(done.returncode == 0, "wrong", f"doctor: {done.stdout} {done.stderr}")

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

    def _stacks(self) -> str:
        """Return where each thread of a program stands that does not go on."""
        with contextlib.suppress(OSError):
            self._errors.write_text("")
        self.signal(signal.SIGUSR1)
        time.sleep(0.5)
        text = self._errors.read_text(errors="replace") if self._errors.exists() else ""
        return f"nothing was stored for {self.limits.deadline} s\n{text[-4000:]}"

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

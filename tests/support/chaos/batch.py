"""`opslifecycle run` as a target of faults: one run after another in a store."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from tests.support.chaos.batch_model import BatchModel, planned
from tests.support.chaos.batch_readers import Readers
from tests.support.chaos.cli import CLI, read
from tests.support.chaos.pipe import Line, Listener
from tests.support.chaos.places import ROOT
from tests.support.chaos.processes import kill_all, marked, require_none
from tests.support.chaos.target import Limits, Target
from tests.support.chaos.verdict import ViolationError, require

_MARK = "CHAOS_RUN"
#: The exit status of a run whose store cannot be used.
_REFUSED = 2


class BatchRun(Target):
    """Runs of batches in one store, and the model of all of them."""

    names = ("operations.db",)

    def __init__(self, folder: Path, seed: int, limits: Limits) -> None:
        super().__init__(folder, seed, limits)
        self.model = BatchModel()
        self.counts: Counter[str] = Counter()
        self._place = folder.with_name(f"{folder.name}-batch")
        self._place.mkdir()
        self._runs = 0
        #: The names of the commands of the latest run.
        self.current: set[str] = set()
        self._listener: Listener | None = None
        self._journal: list[Line] = []
        self.readers: list[Readers] = []

    def start(self) -> None:
        self._runs += 1
        commands = planned(self.chance, f"r{self._runs}", self._deeds)
        self.model.commands.update((each.name, each) for each in commands)
        self.current = {each.name for each in commands}
        listed = [{"name": each.name, "command": each.script()} for each in commands]
        path = self._place / "batch.yaml"
        path.write_text(yaml.safe_dump({"max_concurrent": 4, "commands": listed}))
        words = ["run", "--json", "--grace-seconds", "1", "--store", str(self.store), str(path)]
        reading, writing = os.pipe()
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*CLI, *words], cwd=ROOT, stdout=writing,
                stdin=subprocess.DEVNULL, stderr=errors, start_new_session=True,
                env={**os.environ, _MARK: self._mark},
            )  # fmt: skip
        os.close(writing)
        self._close_output()
        self._listener = Listener(reading)

    def await_store(self) -> None:
        """Wait until the first command has begun; now and then, not so long."""
        until = time.monotonic() + self.limits.deadline
        while not self._deeds.exists():
            if self.chance.random() < 0.002:
                return
            require(time.monotonic() < until, "hang", "the run has not begun")
            time.sleep(0.01)

    @property
    def store(self) -> Path:
        """The store's file."""
        return self.folder / self.names[0]

    @property
    def _deeds(self) -> Path:
        return self._place / f"deeds-{self._runs}"

    @property
    def _mark(self) -> str:
        return f"{self._place} {self._runs}"

    def hear(self, seconds: float) -> None:
        if self._listener is None:
            time.sleep(seconds)
            return
        lines = self._listener.lines(seconds)
        self._journal += lines
        for line in lines:
            self.model.acknowledge(line)
        self.counts["ends acknowledged"] += len(lines)

    def verify(self, *, owner_lives: bool) -> None:
        running = self.current if owner_lives else set()
        rows = self.rows()
        if not owner_lives:
            self.hear(0)
        self.model.verify_rows(rows, running=running)
        self.counts["comparisons by other processes"] += 1

    def follow(self) -> None:
        """Have other processes wait for a command of the run, and follow its feed."""
        if self.process.poll() is None:
            rows = self.rows()
            rows = [row for row in rows if row["display_name"] in self.current]
            if rows:
                self.readers.append(Readers(self.store, self.chance.choice(rows)))

    def rows(self) -> list[dict[str, Any]]:
        """Return what a reader shows: nothing, if the runner was ended before it made a store."""
        if not self.store.exists():
            return []
        return read(self.store, "ls", deadline=self.limits.deadline)

    def await_end(self) -> None:
        """Require that the run ends in time, and leaves no process and no traceback."""
        until = time.monotonic() + self.limits.deadline
        while self.process.poll() is None:
            self.hear(0.1)
            if time.monotonic() > until:
                raise ViolationError("hang", f"the run goes on: {self.current}")
        self.hear(0)
        require_none(f"{_MARK}={self._mark}", self.limits.deadline)
        self.verify_errors()

    def verify_errors(self) -> None:
        """Require that the run has printed no traceback, once it has begun."""
        if self.process.returncode == -signal.SIGINT:
            # While the interpreter imports the package, it answers SIGINT itself, with a traceback.
            text = self._errors.read_text(errors="replace")
            require(", in main" not in text, "traceback", text[-2000:])
            self._errors.write_bytes(b"")
        super().verify_errors()

    def end(self, *, disturbed: bool, may_refuse: bool = False) -> None:
        """Await the end of the run, and verify its exit status, what it left and what is stored.

        Args:
            disturbed: Whether the runner was killed or told to end.
            may_refuse: Whether the store may have been unusable when the run began.
        """
        self.await_end()
        if may_refuse and self.process.returncode == _REFUSED:
            # Then nothing of it may have begun, be shown or be said.
            for each in self.current:
                del self.model.commands[each]
            require(not self._deeds.exists(), "wrong", "a run was refused after it had begun")
            self.counts["runs refused"] += 1
            disturbed = True
        self.verify(owner_lives=False)
        while self.readers:
            deadline = self.limits.deadline
            self.readers[-1].verify(self.model.shown, deadline=deadline, may_fail=may_refuse)
            self.readers.pop()
            self.counts["readers that followed a run"] += 1
        if not disturbed:
            failing = any(self.model.commands[each].status for each in self.current)
            status = self.process.returncode
            require(status == int(failing), "wrong", f"the run has ended with {status}")

    @property
    def is_killed(self) -> bool:
        """Whether the runner was ended by a signal."""
        return self.process.returncode is not None and self.process.returncode < 0

    def verify_running(self) -> None:
        """Compare what a reader shows while the runner is at work."""
        if self.process.poll() is None:
            # What is acknowledged meanwhile is not what the reader has to know.
            rows = self.rows()
            self.model.verify_rows(rows, running=self.current)
            self.counts["comparisons by other processes"] += 1

    def disturb(self) -> None:
        """Allow every command of the run to be ended by force."""
        self.model.disturbed |= self.current

    def kill(self) -> None:
        """End the runner with a signal that nothing can catch; its commands must end, too."""
        self.disturb()
        super().kill()

    def close_output(self) -> None:
        """Go away as the reader of the runner's output."""
        self.hear(0)
        self._close_output()

    def _close_output(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def journal(self) -> list[Line]:
        return self._journal

    def release(self) -> None:
        """End what is left, whatever has happened."""
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait()
        self._close_output()
        for readers in self.readers:
            readers.release()
        kill_all(marked(f"{_MARK}={self._place}"))

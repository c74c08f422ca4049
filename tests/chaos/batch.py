"""`opslifecycle run` as a target of faults: one run after another in a store."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import yaml

from tests.chaos.batch_model import BatchModel, planned
from tests.chaos.library import read
from tests.chaos.pipe import Line, Listener
from tests.chaos.places import ROOT
from tests.chaos.processes import marked
from tests.chaos.target import Limits, Target
from tests.chaos.verdict import ViolationError, require

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
        self._names: set[str] = set()
        self._listener: Listener | None = None
        self._journal: list[Line] = []

    def start(self) -> None:
        self._runs += 1
        commands = planned(self.chance, f"r{self._runs}", self._deeds)
        self.model.commands.update((each.name, each) for each in commands)
        self._names = {each.name for each in commands}
        listed = [{"name": each.name, "command": each.script()} for each in commands]
        path = self._place / "batch.yaml"
        path.write_text(yaml.safe_dump({"max_concurrent": 4, "commands": listed}))
        words = ["run", "--json", "--grace-seconds", "1", "--store", str(self._store), str(path)]
        reading, writing = os.pipe()
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "opslifecycle.cli.main", *words], cwd=ROOT, stdout=writing,
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
    def _store(self) -> Path:
        return self.folder / self.names[0]

    @property
    def _deeds(self) -> Path:
        return self._place / f"deeds-{self._runs}"

    @property
    def _mark(self) -> str:
        return f"{self._place} {self._runs}"

    def hear(self, seconds: float) -> int:
        if self._listener is None:
            time.sleep(seconds)
            return 0
        lines = self._listener.lines(seconds)
        self._journal += lines
        for line in lines:
            self.model.acknowledge(line)
        self.counts["ends acknowledged"] += len(lines)
        return len(lines)

    def verify(self, *, owner_lives: bool) -> None:
        running = self._names if owner_lives else set()
        rows = read(self._store, "ls", deadline=self.limits.deadline)
        if not owner_lives:
            self.hear(0)
        self.model.verify_rows(rows, running=running)
        self.counts["comparisons by other processes"] += 1

    def end(self, *, disturbed: bool, may_refuse: bool = False) -> None:
        """Await the end of the run, and verify its exit status, what it left and what is stored.

        Args:
            disturbed: Whether the runner was killed or told to end.
            may_refuse: Whether the store may have been unusable when the run began.
        """
        until = time.monotonic() + self.limits.deadline
        while self.process.poll() is None:
            self.hear(0.1)
            if time.monotonic() > until:
                raise ViolationError("hang", f"the run goes on: {self._names}")
        self.hear(0)
        self._verify_orphans()
        self.verify_errors()
        if may_refuse and self.process.returncode == _REFUSED:
            # Then nothing of it may have begun, be shown or be said.
            for each in self._names:
                del self.model.commands[each]
            require(not self._deeds.exists(), "wrong", "a run was refused after it had begun")
            self.counts["runs refused"] += 1
            disturbed = True
        self.verify(owner_lives=False)
        if not disturbed:
            failing = any(self.model.commands[each].status for each in self._names)
            status = self.process.returncode
            require(status == int(failing), "wrong", f"the run has ended with {status}")

    @property
    def is_killed(self) -> bool:
        """Whether the runner was ended by a signal."""
        return self.process.returncode is not None and self.process.returncode < 0

    def verify_running(self) -> None:
        """Compare what a reader shows while the runner is at work."""
        if self._store.exists() and self.process.poll() is None:
            # What is acknowledged meanwhile is not what the reader has to know.
            rows = read(self._store, "ls", deadline=self.limits.deadline)
            self.model.verify_rows(rows, running=self._names)
            self.counts["comparisons by other processes"] += 1

    def disturb(self) -> None:
        """Allow every command of the run to be ended by force."""
        self.model.disturbed |= self._names

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

    def collect(self) -> None:
        """Collect what has ended, and compare what is printed with what was shown."""
        self.verify(owner_lives=False)
        command = [sys.executable, "-m", "opslifecycle.cli.main", "collect", "--store"]
        done = subprocess.run(
            [*command, str(self._store)], cwd=ROOT, capture_output=True, text=True, check=False,
            timeout=self.limits.deadline,
        )  # fmt: skip
        require(done.returncode == 0, "wrong", f"collect has failed: {done.stderr}")
        self.model.verify_collected(json.loads(line) for line in done.stdout.splitlines())
        require(not read(self._store, "ls", deadline=self.limits.deadline), "duplicated", "left")
        self.counts["collects"] += 1

    def _verify_orphans(self) -> None:
        """Require that nothing is left that the runner has started."""
        until = time.monotonic() + self.limits.deadline
        while left := marked(f"{_MARK}={self._mark}"):
            if time.monotonic() > until:
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                raise ViolationError("orphan", f"processes are left: {left}")
            time.sleep(0.02)

    def journal(self) -> list[Line]:
        return self._journal

    def release(self) -> None:
        """End what is left, whatever has happened."""
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait()
        self._close_output()
        for pid in marked(f"{_MARK}={self._place}"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

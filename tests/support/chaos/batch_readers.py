"""Readers that follow a run while faults befall it: `opslifecycle wait` and `opslifecycle tail`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.chaos.cli import CLI
from tests.support.chaos.places import ROOT
from tests.support.chaos.rules import State, state_of
from tests.support.chaos.verdict import ViolationError, require


class Readers:
    """One process that waits for an operation, and one that follows the feed of its run."""

    def __init__(self, store: Path, row: Mapping[str, Any]) -> None:
        self._name = row["display_name"]
        wait = ["wait", row["id"], "--store", str(store)]
        tail = ["tail", "--follow", "--run", row["registry"], "--store", str(store)]
        self._processes = [
            subprocess.Popen(
                [*CLI, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for words in (wait, tail)
        ]

    def verify(self, shown: Mapping[str, State], *, deadline: float, may_fail: bool) -> None:
        """Compare what they have printed with what is shown now that the run is over.

        Args:
            shown: How each operation stands, by its name.
            deadline: How long they may take to end, in seconds.
            may_fail: Whether the store was such that they may have been refused, in words.
        """
        judges = (self._judge_wait, self._judge_tail)
        for process, judge in zip(self._processes, judges, strict=True):
            try:
                printed, errors = process.communicate(timeout=deadline)
            except subprocess.TimeoutExpired as error:
                raise ViolationError("hang", f"{process.args!r} goes on") from error
            require("Traceback" not in errors, "traceback", errors)
            if may_fail and process.returncode == 2:
                told = errors.startswith("error: ") and "damaged" not in errors
                require(told, "wrong", f"{process.args!r} said {errors}")
                continue
            judge(process.returncode, printed, shown)

    def verify_end(self, deadline: float) -> None:
        """Require that they end in words, when their store is gone."""
        for process in self._processes:
            try:
                _, errors = process.communicate(timeout=deadline)
            except subprocess.TimeoutExpired as error:
                raise ViolationError("hang", f"{process.args!r} goes on") from error
            require("Traceback" not in errors, "traceback", errors)

    def _judge_wait(self, status: int, printed: str, shown: Mapping[str, State]) -> None:
        state = shown[self._name].status
        good = status == (0 if state == "completed" else 1)
        require(good, "wrong", f"wait has ended with {status}: {printed}, and {state} is shown")

    def _judge_tail(self, status: int, printed: str, shown: Mapping[str, State]) -> None:
        require(status == 0, "wrong", f"tail has ended with {status}: {printed}")
        last = 0
        seen: dict[str, State] = {}
        for entry in map(json.loads, printed.splitlines()):
            name, outcome = entry["display_name"], entry["terminal_outcome"]
            in_order = entry["seq"] > last and name not in seen
            require(in_order, "duplicated", f"tail printed {entry} after {last}")
            last = entry["seq"]
            seen[name] = state_of(outcome["outcome_type"], outcome)
        run = self._name.partition("-")[0]
        expected = {
            name: state
            for name, state in shown.items()
            if name.partition("-")[0] == run and state.status != "interrupted"
        }
        require(seen == expected, "lost", f"tail printed {seen}, not {expected}")

    def release(self) -> None:
        """End what is left, whatever has happened."""
        for process in self._processes:
            process.kill()
            process.communicate()

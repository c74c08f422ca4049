"""What must be true of a batch, from what its commands did and what its runner has said.

Each command notes in a file of its own when it begins and ends; that is the truth. What the runner
prints is acknowledged: it must be in the store from then on.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from tests.support.chaos.rules import State, state_of
from tests.support.chaos.verdict import require

_ENDED = ("completed", "failed", "cancelled", "terminated", "aborted")


@define
class Planned:
    """One command: how many lines it prints, how slowly, and how it exits."""

    name: str
    lines: int
    pause: float
    status: int
    deeds: Path

    def script(self) -> str:
        """Return it as the text for a shell."""
        note = f'>> "{self.deeds}"'
        return (
            f"echo begin {self.name} {note}; n=0; while [ $n -lt {self.lines} ]; do n=$((n+1));"
            f" echo {self.name} line $n; sleep {self.pause}; done;"
            f" echo end {self.name} {note}; exit {self.status}"
        )

    @property
    def output(self) -> str:
        """What it prints."""
        return "".join(f"{self.name} line {each + 1}\n" for each in range(self.lines))


def planned(chance: random.Random, run: str, deeds: Path) -> list[Planned]:
    """Return the commands of a run: quick and slow ones, some of which fail."""
    return [
        Planned(
            f"{run}-{number}",
            chance.choice([0, 1, 3, 8]),
            chance.choice([0.0, 0.01, 0.15]),
            chance.choice([0, 0, 0, 3]),
            deeds,
        )
        for number in range(chance.randint(4, 14))
    ]


@define
class BatchModel:
    """The commands of all runs on one store."""

    commands: dict[str, Planned] = field(factory=dict)
    acknowledged: dict[str, State] = field(factory=dict)
    #: Whose runner was told to cancel them, or was killed: they may have ended by force.
    disturbed: set[str] = field(factory=set)
    #: What of the runs that are over must be shown: their operations by name.
    shown: dict[str, State] = field(factory=dict)

    def acknowledge(self, entry: Mapping[str, Any]) -> None:
        """Take in a line that the runner has printed: an end."""
        name = entry["display_name"]
        require(name in self.commands, "duplicated", f"nothing like it was asked: {entry}")
        require(name not in self.acknowledged, "duplicated", f"it has ended twice: {entry}")
        outcome = entry["terminal_outcome"]
        state = state_of(outcome["outcome_type"], outcome)
        self._possible(name, state)
        self.acknowledged[name] = state

    def _possible(self, name: str, state: State) -> None:
        """Require that a command may have ended like this."""
        command = self.commands[name]
        begun, ended = self._deeds(command)
        require(begun <= 1 and ended <= 1, "duplicated", f"{name} was started {begun} times")
        text = f"{name} is shown as {state}, and began {begun}, ended {ended}, {command.status=}"
        if state.status == "completed":
            require(ended and command.status == 0, "wrong", text)
            same = state.text.rstrip("\n") == command.output.rstrip("\n")
            require(same, "wrong", f"{name} printed {command.output!r}, not {state.text!r}")
        elif state.status == "failed":
            require(ended and command.status != 0, "wrong", text)
        else:
            require(name in self.disturbed and state.status in _ENDED, "wrong", text)

    @staticmethod
    def _deeds(command: Planned) -> tuple[int, int]:
        lines = command.deeds.read_text().splitlines() if command.deeds.exists() else []
        return lines.count(f"begin {command.name}"), lines.count(f"end {command.name}")

    def verify_rows(self, rows: Iterable[Mapping[str, Any]], *, running: set[str]) -> None:
        """Compare what a reader shows with what was done and acknowledged.

        Args:
            rows: The lines of a reader.
            running: The commands of the run whose runner lives.
        """
        found: dict[str, State] = {}
        for row in rows:
            name = row["display_name"]
            require(name in self.commands, "duplicated", f"nothing like it was asked: {row}")
            require(name not in found, "duplicated", f"{name} is shown twice")
            state = found[name] = state_of(row["status"], row["terminal_outcome"])
            if name in self.acknowledged:
                known = self.acknowledged[name]
                require(state == known, "lost", f"{name} is shown as {state}, not as {known}")
            elif state.status in _ENDED:
                self._possible(name, state)
            elif name not in running:
                dead = state.status == "interrupted"
                require(dead and name in self.disturbed, "wrong", f"{name} is shown as {state}")
            else:
                alive = state.status != "interrupted"
                require(alive, "wrong", f"{name} is shown as {state}, and its runner lives")
        for name in self.acknowledged:
            require(name in found, "lost", f"{name} was acknowledged, and is not shown")
        for name in self.commands.keys() - self.disturbed - running:
            require(name in found, "lost", f"{name} was run to its end, and is not shown")
        self.shown = found

    def verify_collected(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Compare what a collect prints with what was shown last, and forget it all."""
        found = sorted(state_of(each["outcome_type"], each) for each in lines)
        expected = sorted(
            state if state.status in _ENDED else State("terminated", text)
            for state, text in ((each, _INTERRUPTED) for each in self.shown.values())
        )
        require(found == expected, "lost", f"collect printed {found}, not {expected}")
        self.forget()

    def forget(self) -> None:
        """Expect nothing any more of all that was run."""
        for each in (self.commands, self.acknowledged, self.disturbed, self.shown):
            each.clear()


_INTERRUPTED = "the process that owned this operation ended before it did"

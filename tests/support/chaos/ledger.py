"""What must be true of one registry, from what its program has said: acknowledged, or under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from tests.support.chaos.pipe import Line
from tests.support.chaos.rules import ABSENT, Rules, State, outcome_state, shown_state
from tests.support.chaos.verdict import require

#: How many ends may overtake each other in the order of retention: those that are under way, and
#: those that an opening adds.
SLACK = 30


@attrs.define
class Record:
    """One record: how it stands for its program, and what of it must be stored."""

    kind: str
    state: State = ABSENT
    ready: bool = False
    #: The lines on which reports of progress were acknowledged since the opening, and how many
    #: there were before.
    reports: list[int] = attrs.field(factory=list)
    reports_before: int = 0
    sequence: int | None = None
    rank: int = 0


@attrs.define
class Attempt:
    """A command that was called: where it may lead."""

    line: Line
    at: int
    #: For each record that it concerns, the states it may lead to, or names of errors.
    expected: dict[str, list[State | str]]


Allowed = Callable[[str], set[State]]


class Ledger:
    """The records of one registry as its program has been told, and the commands under way."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.records: dict[str, Record] = {}
        self.flying: dict[int, Attempt] = {}
        #: How many records have ended that a feed shows.
        self.ends = 0
        self.cursors: dict[str, int] = {}
        self.lines = 0
        #: Deferred writes that were acknowledged before this line are stored.
        self.stored_before = 0

    # Commands -----------------------------------------------------------------------------------

    def attempted(self, line: Line) -> None:
        """Note a command before it is called."""
        self.lines += 1
        attempt = self.flying[line["n"]] = Attempt(line, self.lines, {})
        if line["op"] == "collect":
            ended = {id: record for id, record in self.records.items() if self.has_ended(record)}
            for id, record in ended.items():
                attempt.expected[id] = [record.state._replace(collected=True)]
        elif line["op"] == "terminate":
            end = State("terminated", line["text"])
            for id, record in self.records.items():
                if record.state.status in self.rules.live:
                    attempt.expected[id] = [self.rules.ended(record.kind, end)]
        elif "id" in line:
            attempt.expected[line["id"]] = self._expected(line)

    def _expected(self, line: Line) -> list[State | str]:
        id = line["id"]
        record = self.records.setdefault(id, Record(line.get("kind", "")))
        states = [record.state]
        if self.may_be_evicted(id):
            states.append(ABSENT)
        if line["op"] == "snapshot":
            return [*states]
        return [self.rules.after(line, record.kind, each, record.ready) for each in states]

    def accepted(self, line: Line) -> None:
        """Note the answer of a command that was accepted."""
        self.lines += 1
        attempt, answer = self.flying.pop(line["n"]), line["answer"]
        command = attempt.line["op"]
        if command == "collect":
            self._collected(attempt, answer)
        elif command == "waited":
            self._waited(attempt, answer)
        elif command == "advance":
            wanted = attempt.line["cursor"]
            current = self.cursors.get(attempt.line["consumer"], 0)
            require(answer == max(current, wanted), "wrong", f"{attempt.line} gave {answer}")
            self.cursors[attempt.line["consumer"]] = answer
            self.stored_before = max(self.stored_before, attempt.at if answer > current else 0)
        elif command == "snapshot":
            found = ABSENT if answer is None else shown_state(answer)
            expected = attempt.expected[attempt.line["id"]]
            states = [each for each in expected if isinstance(each, State)]
            known = found in [each if each.held else ABSENT for each in states]
            require(known, "wrong", f"{attempt.line} shows {found}, not one of {states}")
        else:
            self._moved(attempt)

    def _moved(self, attempt: Attempt) -> None:
        command = attempt.line["op"]
        for id in sorted(attempt.expected):
            record = self.records[id]
            states = [each for each in attempt.expected[id] if isinstance(each, State)]
            text = f"{attempt.line} was accepted, not {attempt.expected[id]}"
            require(states, "wrong", text)
            if states[0] != record.state and self.rules.is_stored(record.kind):
                if command not in self.rules.deferred:
                    self.stored_before = max(self.stored_before, attempt.at)
                if states[0].held and states[0].status not in self.rules.live:
                    self.ends += 1
                    record.rank = self.ends
            record.state = states[0]
            if command == "progress":
                record.reports.append(self.lines)
            record.ready = record.ready or command == "peer_ready"

    def refused(self, line: Line) -> None:
        """Note the error of a command that was refused by the machine."""
        self.lines += 1
        attempt, error = self.flying.pop(line["n"]), line["error"]
        if attempt.line["op"] == "advance":
            beyond = attempt.line["cursor"] > attempt.line["watermark"]
            known = beyond and error == "CursorOutOfRangeError"
        else:
            known = any(error in each for each in attempt.expected.values())
        require(known, "wrong", f"{attempt.line} gave {line}, not {attempt.expected}")
        for id in attempt.expected:
            if error == self.rules.unknown and self.records[id].state.held:
                self.records[id].state = ABSENT

    def failed(self, line: Line) -> None:
        """Note a command that the store has refused: nothing has happened."""
        self.lines += 1
        require(line["error"] != "InternalError", "wrong", str(line))
        self.flying.pop(line["n"])

    def _collected(self, attempt: Attempt, answer: Iterable[Any]) -> None:
        found = {id: outcome_state(outcome) for id, outcome in answer}
        require(len(found) == len(list(answer)), "duplicated", f"collected twice: {answer}")
        for id, state in found.items():
            require(id in attempt.expected, "duplicated", f"{id} was collected, and was not there")
            known = self.records[id].state
            require(state == known, "wrong", f"{id} was collected as {state}, not {known}")
        for id in attempt.expected:
            lost = id not in found and not self.may_be_evicted(id)
            require(not lost, "lost", f"{id} was not collected")
            record = self.records[id]
            record.state = record.state._replace(collected=True) if id in found else ABSENT
        if found:
            self.stored_before = max(self.stored_before, attempt.at)

    def _waited(self, attempt: Attempt, answer: Iterable[Any]) -> None:
        found = [(id, outcome_state(outcome)) for id, outcome in answer]
        known = [(id, self.records[id].state) for id in attempt.line["ids"]]
        require(found == known, "wrong", f"a wait returned {found}, not {known}")

    # What a record may be -----------------------------------------------------------------------

    def has_ended(self, record: Record) -> bool:
        """Whether a record has ended and is still held."""
        return record.state.held and record.state.status not in self.rules.live

    def may_be_evicted(self, id: str) -> bool:
        """Whether so many records have ended since that this one may have been let go."""
        record = self.records[id]
        since = self.ends - record.rank
        ended = self.has_ended(record) or record.state.collected
        return ended and since >= self.rules.max_completed - SLACK

    def possible(self, id: str) -> set[State]:
        """Return how a record may stand, because of what is under way."""
        states = {self.records[id].state}
        for attempt in self.flying.values():
            if attempt.line["op"] != "snapshot":
                states |= {e for e in attempt.expected.get(id, ()) if isinstance(e, State)}
        return states

    def reopened(self, id: str) -> set[State]:
        """Return how a record may stand once another process has opened its registry."""
        record = self.records[id]
        return {self.rules.reopened(record.kind, each) for each in self.possible(id)}

    def shown(self, id: str) -> set[State]:
        """Return what a reader may show of a record whose owner lives."""
        record = self.records[id]
        return set().union(*(self.rules.shown(record.kind, each) for each in self.possible(id)))

"""The commands of the two machines under faults, as their users know them: a model of its own.

Nothing of opslifecycle is imported here. The table of the shipped machine is that of its contract,
the other one that of `examples/approval`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

INTERRUPTED_TEXT = "the process that owned this operation ended before it did"


class State(NamedTuple):
    """How a record stands: its status, and the text of its outcome once it has ended."""

    status: str
    text: str = ""
    #: Whether the record was handed over by a collect, and only its feed entry is left.
    collected: bool = False

    @property
    def held(self) -> bool:
        """Whether a reader finds a record."""
        return self.status != "absent" and not self.collected


ABSENT = State("absent")


class Rules:
    """The shipped machine: background work that is interrupted when its process ends."""

    create = "register"
    live: tuple[str, ...] = ("provisioning", "running", "retiring")
    known_already, unknown, illegal = (
        "AlreadyRegisteredError", "OperationNotFoundError", "InvalidTransitionError",
    )  # fmt: skip
    #: Whose writes wait for another commit.
    deferred: frozenset[str] = frozenset({"start", "request_retire", "progress", "peer_ready"})
    moves: Mapping[str, tuple[str, tuple[str, ...], str]] = {
        # command: what it leads to, from where, and the fact that its outcome has
        "start": ("running", ("provisioning",), ""),
        "request_retire": ("retiring", ("running",), ""),
        "complete": ("completed", ("running", "retiring"), "text"),
        "fail": ("failed", live, "text"),
        "abort": ("aborted", ("provisioning",), "text"),
        "cancel": ("cancelled", live, "text"),
        "mark_retired": ("retired", ("running", "retiring"), ""),
    }
    #: How many finished records are retained.
    max_completed: float = 60

    def after(self, command: Mapping[str, Any], kind: str, state: State, ready: bool) -> Any:
        """Return the state that a command leads to, or the name of the error that refuses it."""
        name = command["op"]
        if name == self.create:
            return State(self.live[0]) if not state.held else self.known_already
        if not state.held:
            return self.unknown
        if name == "peer_ready":
            return self._peer_ready(kind, state, ready)
        if name == "progress":
            return state if state.status in self.live[1:] else self.illegal
        if name == "rollback":
            return ABSENT if state.status in self.live else self.illegal
        status, sources, fact = self.moves[name]
        if state.status not in sources:
            return self.illegal
        if status in self.live:
            return State(status)
        return self.ended(kind, State(status, str(command[fact]) if fact else ""))

    def _peer_ready(self, kind: str, state: State, ready: bool) -> Any:
        if kind != "mob_member_child":
            return "PeerNotExpectedError"
        if ready:
            return "AlreadyPeerReadyError"
        return state if state.status in self.live[1:] else self.illegal

    def ended(self, kind: str, state: State) -> State:
        """Return what is left of a record that has ended: a capacity slot leaves nothing."""
        return state if self.is_stored(kind) else ABSENT

    def is_stored(self, kind: str) -> bool:
        """Whether records of a kind outlive their process."""
        return kind != "background_tool_capacity_slot"

    def reopened(self, kind: str, state: State) -> State:
        """Return how a record stands once its process is gone and the next one has opened it."""
        if state.status not in self.live:
            return state
        return self.ended(kind, State("terminated", INTERRUPTED_TEXT))

    def shown(self, kind: str, state: State) -> set[State]:
        """Return what a reader may show while the owner lives: deferred writes may be missing."""
        if not self.is_stored(kind) or not state.held:
            return {ABSENT}
        if state.status not in self.live:
            return {state}
        return {State(each) for each in self.live[: self.live.index(state.status) + 1]}


class OfficeRules(Rules):
    """The approval example: requests that stay open when their process ends; no feed entries."""

    create = "draft"
    live: tuple[str, ...] = ("drafted", "circulating")
    known_already, unknown, illegal = (
        "RequestExistsError", "RequestNotFoundError", "WrongStageError",
    )  # fmt: skip
    deferred: frozenset[str] = frozenset()
    moves: Mapping[str, tuple[str, tuple[str, ...], str]] = {
        "circulate": ("circulating", ("drafted",), ""),
        "grant": ("granted", ("circulating",), "text"),
        "deny": ("denied", ("circulating",), "text"),
        "withdraw": ("withdrawn", live, ""),
    }
    max_completed = float("inf")

    def reopened(self, kind: str, state: State) -> State:
        return state


def state_of(status: str, outcome: Mapping[str, Any] | None) -> State:
    """Return the state that a record shows, from its JSON."""
    outcome = outcome or {}
    texts = (outcome.get(each) for each in ("content", "error", "reason", "remark"))
    return State(status, str(next((each for each in texts if each), "")))


def outcome_state(outcome: Mapping[str, Any]) -> State:
    """Return the state that an outcome stands for."""
    status = outcome.get("outcome_type") or outcome["decision"]
    return state_of(status, outcome)


def shown_state(snapshot: Mapping[str, Any]) -> State:
    """Return the state that a snapshot or a row of a reader shows."""
    outcome = snapshot.get("terminal_outcome") or snapshot.get("decision")
    return state_of(snapshot["status"], outcome)

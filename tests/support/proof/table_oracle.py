"""Check the interpreter of a machine against the contract's tables, which are written by hand."""

from __future__ import annotations

from typing import Any

from opslifecycle_codegen.analysis.scenario_rules import CRASH
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck.interpreter import Interpreter
from opslifecycle_codegen.modelcheck.state import Answer, Call, State, Value

from tests.test_contract_table import CELLS, KIND_CLASSES, LABELS, STATUS_CLASSES

#: Registration, then the actions that lead to each status.
_PATHS = {
    "provisioning": [],
    "running": ["start"],
    "retiring": ["start", "retire_requested"],
    "completed": ["start", "complete"],
    "failed": ["fail"],
    "aborted": ["abort"],
    "cancelled": ["cancel"],
    "retired": ["start", "retire_completed"],
    "terminated": ["terminate"],
}
_PAYLOADS = {
    "fail": ("error",), "complete": ("result",), "abort": ("reason",), "cancel": ("reason",),
    "terminate": ("reason",), "progress_reported": ("update",), "peer_ready": ("handle",),
}  # fmt: skip
_OUTCOMES = {
    "complete": ("Completed", "x"), "fail": ("Failed", "x"), "abort": ("Aborted", "x"),
    "cancel": ("Cancelled", "x"), "retire_completed": ("Retired",),
    "terminate": ("Terminated", "x"),
}  # fmt: skip
_KINDS = ("mob_member_child", "background_tool_op")
#: What only a child has.
_SOURCE = ("BackendPeer", "p", "a")


class Hand:
    """Asks an interpreter what the tables say."""

    def __init__(self, program: Program) -> None:
        settings = {"max_completed": 9, "max_concurrent": None}
        self._interpreter = Interpreter(program, ("a",), 1, settings)
        self._program = program

    def act(self, state: State, action: str) -> tuple[State | None, tuple[str, ...]]:
        """The state after an action, or the error that it is refused with, and its facts."""
        arguments = tuple((name, "x") for name in _PAYLOADS.get(action, ()))
        answer = self._interpreter.act(state, Call("", "a", arguments), action)
        if answer.refusal is None:
            return answer.state, ()
        return None, (answer.refusal.error, *map(str, answer.refusal.fields))

    def brought_to(self, status: str, kind: str) -> State | None:
        """The state of one operation that was brought to a status; None if it cannot be."""
        state: State | None = self._interpreter.initial()
        if status == "absent":
            return state
        assert state is not None
        state = self._registered(state, kind).state
        for action in _PATHS[status]:
            if state is None:
                return None
            state, _ = self.act(state, action)
        return state

    def _registered(self, state: State, kind: str, source: Value = None) -> Answer:
        spec = ("a", kind, "s", "n", "l", source, None, False)
        given = (("spec", spec), ("max_concurrent", None), ("call", None))
        return self._interpreter.create(state, Call("register", None, given))

    def broken(self) -> str | None:
        """The first cell that is not so."""
        checks = (self._broken_cell, self._broken_peer, self._broken_class, self._broken_outcome,
                  self._broken_progress, self._broken_fence, self._broken_seal)  # fmt: skip
        return next((broken for check in checks if (broken := check())), None)

    def _broken_cell(self) -> str | None:
        layouts = self._interpreter.layouts
        done, _ = layouts.property("OperationLifecycleAction", "idempotent_in")
        for kind in _KINDS:
            for status, action, cell in CELLS:
                state = self.brought_to(status, kind)
                if state is None:
                    return f"{status} cannot be reached"
                if (status in done[action]) is not (cell == "OK"):
                    return f"{status}, {action}: idempotence"
                after, refusal = self.act(state, action)
                if not self._is(cell, status, action, after, refusal):
                    return f"{status}, {action}"
        return None

    def _is(
        self, cell: str, status: str, action: str, after: State | None, refusal: tuple[str, ...]
    ) -> bool:
        if cell == "NF":
            return refusal == ("OperationNotFoundError", "a")
        if cell in ("IT", "OK"):
            return refusal == ("InvalidTransitionError", "a", status, LABELS[action])
        record = after.records[0] if after is not None else None
        return record is not None and record[1] == (status if cell == "stays" else cell)

    def _broken_peer(self) -> str | None:
        done, _ = self._interpreter.layouts.property("OperationLifecycleAction", "idempotent_in")
        if set(done["peer_ready"]) != {
            status for status, (end, _) in STATUS_CLASSES.items() if end
        }:
            return "peer_ready: idempotence"
        for kind in _KINDS:
            for status in ("absent", *_PATHS):
                state = self.brought_to(status, kind)
                if state is None:
                    return f"{status} cannot be reached"
                after, refusal = self.act(state, "peer_ready")
                if status == "absent":
                    wanted: tuple[str, ...] = ("OperationNotFoundError", "a")
                elif kind != _KINDS[0]:
                    wanted = ("PeerNotExpectedError", "a")
                elif status in ("running", "retiring"):
                    if after is None:
                        return f"{status}, peer_ready"
                    _, refusal = self.act(after, "peer_ready")
                    wanted = ("AlreadyPeerReadyError", "a")
                else:
                    wanted = ("InvalidTransitionError", "a", status, "peer_ready")
                if refusal != wanted:
                    return f"{status}, peer_ready"
        return None

    def _broken_outcome(self) -> str | None:
        """An outcome carries what its action took (contract, section 2)."""
        for action, outcome in _OUTCOMES.items():
            first = "provisioning" if action == "abort" else "running"
            state = self.brought_to(first, _KINDS[1])
            after = self.act(state, action)[0] if state is not None else None
            if after is None or self._field(after, "terminal_outcome") != outcome:
                return f"the outcome of {action}"
        return None

    def _broken_progress(self) -> str | None:
        """Reports are counted up to 2**32 - 1, and the latest is kept (sections 5 and 12)."""
        state = self.brought_to("running", _KINDS[1])
        place = list(self._program.symbols.entity_fields).index("progress_count")
        for before, counted in ((0, 1), (2**32 - 2, 2**32 - 1), (2**32 - 1, 2**32 - 1)):
            record = state.records[0] if state is not None else None
            if state is None or record is None:
                return "running cannot be reached"
            counting = (*record[:place], before, *record[place + 1 :])
            after, _ = self.act(state._replace(records=(counting,)), "progress_reported")
            if after is None or self._field(after, "progress_count") != counted:
                return f"a report after {before}"
            if self._field(after, "latest_progress") is None:
                return "the latest report"
        return None

    def _broken_fence(self) -> str | None:
        """The fence is not stored (section 12)."""
        place = self._interpreter.registry_place("owner_retired")
        retiring = Call("retire_owner", None, (("reason", "x"),))
        fenced = self._interpreter.bulk(self._interpreter.initial(), retiring).state
        if fenced is None or not fenced.registry[place]:
            return "the fence"
        after = self._interpreter.crash(fenced, Call(CRASH, None)).state
        return None if after is not None and not after.registry[place] else "the fence is stored"

    def _broken_seal(self) -> str | None:
        """Rules 1 and 2 of docs/howto/seal.md."""
        place, kind = self._interpreter.registry_place("owner_sealed"), _KINDS[1]
        begin, sealing = self._interpreter.initial(), Call("seal_owner", None)
        sealed = self._interpreter.bulk(begin, sealing).state
        if sealed is None or not sealed.registry[place]:
            return "the seal"
        if self._interpreter.bulk(sealed, sealing).state != sealed:
            return "sealing a sealed owner"
        for source, error in ((None, "OwnerSealedError"), (_SOURCE, "InvalidSpecError")):
            refusal = self._registered(sealed, kind, source).refusal
            if refusal is None or refusal.error != error:
                return f"a registration after the seal: {error}"
        retiring = Call("retire_owner", None, (("reason", "x"),))
        retired = self._interpreter.bulk(begin, retiring).state
        if retired is None or self._interpreter.bulk(retired, sealing).state != retired:
            return "sealing a retired owner"
        return None

    def _field(self, state: State, name: str) -> Any:
        (record,) = state.records
        fields = list(self._program.symbols.entity_fields)
        return None if record is None else record[fields.index(name)]

    def _broken_class(self) -> str | None:
        layouts = self._interpreter.layouts
        terminal, _ = layouts.property("OperationStatus", "terminal")
        public, _ = layouts.property("OperationStatus", "public_result_class")
        if {s: (terminal[s], public[s]) for s in terminal} != STATUS_CLASSES:
            return "the classes of statuses"
        names = ("expects_peer_channel", "completion_feed_class", "completion_wake_class",
                 "durability_class")  # fmt: skip
        tables = [layouts.property("OperationKind", name)[0] for name in names]
        found = {kind: tuple(table[kind] for table in tables) for kind in tables[0]}
        if found != {kind.value: classes for kind, classes in KIND_CLASSES.items()}:
            return "the classes of kinds"
        return None


def broken_cell(program: Program) -> str | None:
    """The first cell of the contract's tables that is not so for a machine."""
    return Hand(program).broken()

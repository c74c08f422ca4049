"""The approval example in the program under faults: requests whose decisions have effects."""

from __future__ import annotations

import importlib
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from opslifecycle import SqliteStore, unstructure

from tests.support.chaos.answering import Answering, Call, weighted
from tests.support.chaos.pipe import Reporter
from tests.support.waiting import until

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "approval" / "src"))
approval: Any = importlib.import_module("approval")

_OPEN_MAX = 10
_NEVER_MS = 10**15
_WEIGHTS = {"circulate": 4, "grant": 3, "deny": 2, "withdraw": 1, "snapshot": 1, "draft": 1}
#: For records that may be gone: an id is never used again, so it names one record for ever.
_LATE = {name: weight for name, weight in _WEIGHTS.items() if name != "draft"}


class OfficePart:
    """One registry of requests, with a handler that fails now and then."""

    name = "office"

    def __init__(
        self, store: SqliteStore, reporter: Reporter, threads: ThreadPoolExecutor, seed: int
    ) -> None:
        self._reporter = reporter
        self._handling = random.Random(seed + 1)
        #: The handler waits until what was pending at the opening has been said.
        self._may_handle = threading.Event()
        self._office = approval.ApprovalRegistry(store=store, on_effect=self._handle)
        self._answering = Answering(self.name, reporter, threads)
        self._chance = random.Random(seed)
        self._person, self._other = approval.PersonId.new(), approval.PersonId.new()
        self._numbers = 0
        reporter.say("opened", part=self.name, **self.told())
        self._known = [str(each.id) for each in self._office.requests()]
        self._may_handle.set()

    def told(self) -> dict[str, Any]:
        """Return everything that the registry answers about itself."""
        office = self._office
        return {
            "records": [unstructure(each) for each in office.requests()],
            "pending": [[each.number, str(each.snapshot.id)] for each in office.pending_effects()],
            "dead": [each.message.number for each in office.dead_letters()],
            "broken": [str(each) for each in office.broken_invariants()],
        }

    def round(self) -> None:
        """Call some commands at once, or collect what was decided."""
        if self._chance.random() < 0.03:
            self._answering.call(Call("collect", {}, self._collected))
            return
        is_open = [str(each.id) for each in self._office.requests() if each.decision is None]
        self._chance.shuffle(is_open)
        calls: list[Call] = []
        for _ in range(self._chance.randint(1, 4)):
            if len(is_open) < _OPEN_MAX and self._chance.random() < 0.4:
                calls.append(self._draft(str(approval.RequestId.new())))
            elif self._known and self._chance.random() < 0.1:
                id = self._chance.choice(self._known[-40:])
                if id not in is_open and all(id != each.facts["id"] for each in calls):
                    calls.append(self._command(weighted(self._chance, _LATE), id))
            elif is_open:
                calls.append(self._command(weighted(self._chance, _WEIGHTS), is_open.pop()))
        self._answering.at_once(calls)

    def drain(self) -> None:
        """Wait until every effect is delivered."""
        until(lambda: not self._office.pending_effects(), "the delivery of every effect")

    def close(self) -> None:
        """End in good order."""
        self._office.close()

    def _handle(self, message: Any) -> None:
        self._may_handle.wait()
        facts = {
            "number": message.number,
            "id": str(message.snapshot.id),
            "status": message.snapshot.status.value,
        }
        if self._handling.random() < 0.1:
            self._reporter.say("effect_failed", **facts)
            raise RuntimeError("refused by chance")
        self._reporter.say("effect", **facts)

    def _collected(self) -> Any:
        return [[str(id), unstructure(decision)] for id, decision in self._office.collect_decided()]

    def _draft(self, id: str) -> Call:
        kind = approval.RequestKind.EXPENSE
        ask = approval.Ask(approval.RequestId(id), kind, self._person, "lunch", 1, _NEVER_MS)
        self._known.append(id)
        return Call("draft", {"id": id, "kind": kind.value}, lambda: self._office.draft(ask))

    def _command(self, name: str, id: str) -> Call:
        if name == "draft":
            return self._draft(id)
        self._numbers += 1
        office, this = self._office, approval.RequestId(id)
        text = f"{self._person} {self._numbers}"
        runs = {
            "circulate": lambda: office.circulate(this),
            "grant": lambda: office.grant(this, approval.Vote(self._other, 1, text)),
            "deny": lambda: office.deny(this, self._other, text),
            "withdraw": lambda: office.withdraw(this),
            "snapshot": lambda: unstructure(office.snapshot(this)),
        }
        return Call(name, {"id": id, "text": text}, runs[name])

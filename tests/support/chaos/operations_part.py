"""The shipped machine in the program under faults: every command, chosen at random."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opslifecycle import (
    CompletionCursorConsumer,
    OperationId,
    OperationKind,
    OperationProgressUpdate,
    OperationResult,
    OperationSpec,
    Registry,
    RunId,
    SessionId,
    SqliteStore,
    unstructure,
)

from tests.support.builders import HANDLE
from tests.support.chaos.answering import Answering, Call, weighted
from tests.support.chaos.pipe import Reporter

MAX_COMPLETED = 60
LIVE_MAX = 12
_WAIT_SECONDS = 30.0
_WEIGHTS = {
    "start": 6, "progress": 4, "complete": 4, "peer_ready": 2, "fail": 2, "cancel": 2, "abort": 1,
    "request_retire": 1, "mark_retired": 1, "rollback": 1, "snapshot": 3, "register": 1,
}  # fmt: skip
_KINDS = {"background_tool_op": 5, "mob_member_child": 3, "background_tool_capacity_slot": 1}
#: For records that may be gone: an id is never used again, so it names one record for ever.
_LATE = {name: weight for name, weight in _WEIGHTS.items() if name != "register"}


class OperationsPart:
    """One registry of operations, from its opening to its end."""

    name = "operations"

    def __init__(
        self, store: SqliteStore, reporter: Reporter, threads: ThreadPoolExecutor, seed: int
    ) -> None:
        self._registry = Registry(max_completed=MAX_COMPLETED, store=store)
        self._reporter = reporter
        self._answering = Answering(self.name, reporter, threads)
        self._chance = random.Random(seed)
        self._session = SessionId.new()
        self._ended: list[str] = []
        self._numbers = 0
        reporter.say("opened", part=self.name, **self.told())
        self._ended = [str(each.id) for each in self._registry.list_operations()]

    def told(self) -> dict[str, Any]:
        """Return everything that the registry answers about itself."""
        registry = self._registry
        feed = registry.completion_feed()
        cursors = {
            each.value: registry.completion_cursor(each) for each in CompletionCursorConsumer
        }
        return {
            "records": [unstructure(each) for each in registry.list_operations()],
            "feed": unstructure(feed.list_since(0)),
            "epoch": str(feed.epoch_id),
            "cursors": cursors,
            "broken": [str(each) for each in registry.broken_invariants()],
        }

    def round(self) -> None:
        """Call some commands at once, or one of those that concern the whole registry."""
        kind = weighted(
            self._chance,
            {"commands": 60, "collect": 2, "terminate": 1, "advance": 6, "tell": 3, "wait": 6},
        )
        getattr(self, f"_{kind}")()

    def close(self) -> None:
        """End in good order."""
        self._registry.close()

    # Rounds -------------------------------------------------------------------------------------

    def _live(self) -> list[str]:
        return [str(each.id) for each in self._registry.list_operations(terminal=False)]

    def _commands(self) -> None:
        live = self._live()
        self._chance.shuffle(live)
        calls = []
        for _ in range(self._chance.randint(1, 6)):
            if len(live) < LIVE_MAX // 2 or (len(live) < LIVE_MAX and self._chance.random() < 0.3):
                calls.append(self._register(str(OperationId.new())))
            elif self._ended and self._chance.random() < 0.15:
                id = self._chance.choice(self._ended[-40:])
                if id not in live and all(id != each.facts["id"] for each in calls):
                    calls.append(self._command(weighted(self._chance, _LATE), id))
            elif live:
                calls.append(self._command(weighted(self._chance, _WEIGHTS), live.pop()))
        self._answering.at_once(calls)

    def _collect(self) -> None:
        def collected() -> Any:
            return [
                [str(id), unstructure(outcome)]
                for id, outcome in self._registry.collect_completed()
            ]

        self._answering.call(Call("collect", {}, collected))

    def _terminate(self) -> None:
        text = self._text()
        run = lambda: self._registry.terminate_owner(text)  # noqa: E731
        self._answering.call(Call("terminate", {"text": text}, run))

    def _advance(self) -> None:
        consumer = self._chance.choice(list(CompletionCursorConsumer))
        watermark = self._registry.completion_feed().watermark
        cursor = max(0, watermark + self._chance.randint(-3, 1))
        run = lambda: self._registry.advance_completion_cursor(consumer, cursor)  # noqa: E731
        facts = {"consumer": consumer.value, "cursor": cursor, "watermark": watermark}
        self._answering.call(Call("advance", facts, run))

    def _tell(self) -> None:
        self._reporter.say("told", part=self.name, **self.told())

    def _wait(self) -> None:
        """Wait for some operations, have them end at once, and say what the waits have returned."""
        ids = self._live()[: self._chance.randint(1, 3)]
        slot = OperationKind.BACKGROUND_TOOL_CAPACITY_SLOT
        slots = {str(each.id) for each in self._registry.list_operations(kind=slot)}
        members = [OperationId(each) for each in ids if each not in slots]
        if not members:
            return
        waiting = self._registry.wait_all(RunId.new(), members)
        watch = self._registry.register_watcher(members[0])
        ended = self._answering.at_once([self._command("cancel", str(each)) for each in members])
        if not all(ended):
            waiting.cancel()
            watch.cancel()
            return

        def waited() -> Any:
            found = waiting.result(_WAIT_SECONDS).outcomes
            return [[str(id), unstructure(outcome)] for id, outcome in found]

        def watched() -> Any:
            return [[str(members[0]), unstructure(watch.result(_WAIT_SECONDS))]]

        self._answering.call(Call("waited", {"ids": [str(each) for each in members]}, waited))
        self._answering.call(Call("waited", {"ids": [str(members[0])]}, watched))

    # Commands -----------------------------------------------------------------------------------

    def _text(self) -> str:
        self._numbers += 1
        return f"{self._session} {self._numbers}"

    def _register(self, id: str) -> Call:
        kind = weighted(self._chance, _KINDS)
        spec = OperationSpec(
            OperationId(id), OperationKind(kind), self._session, f"work {id}", "chaos"
        )
        self._ended.append(id)
        run = lambda: self._registry.register_operation(spec)  # noqa: E731
        return Call("register", {"id": id, "kind": kind}, run)

    def _command(self, name: str, id: str) -> Call:
        if name == "register":
            return self._register(id)
        registry, this, text = self._registry, OperationId(id), self._text()
        runs = {
            "start": lambda: registry.provisioning_succeeded(this),
            "progress": lambda: registry.report_progress(this, OperationProgressUpdate(text)),
            "peer_ready": lambda: registry.peer_ready(this, HANDLE),
            "complete": lambda: registry.complete_operation(
                this, OperationResult(this, text, False, 1, 2)
            ),
            "fail": lambda: registry.fail_operation(this, text),
            "abort": lambda: registry.abort_provisioning(this, text),
            "cancel": lambda: registry.cancel_operation(this, text),
            "request_retire": lambda: registry.request_retire(this),
            "mark_retired": lambda: registry.mark_retired(this),
            "rollback": lambda: registry.rollback_unreturned_operation(this),
            "snapshot": lambda: unstructure(registry.snapshot(this)),
        }
        return Call(name, {"id": id, "text": text}, runs[name])

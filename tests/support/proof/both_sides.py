"""A registry and the interpreter of the file, side by side: asked the same, and compared."""

from __future__ import annotations

import asyncio
import inspect
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine
from opslifecycle import CompletionCursorConsumer, OpsLifecycleError
from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.state import Answer, Call, State

from tests.support.proof.machines import edited
from tests.support.proof.state_mapper import StateMapper

IDS = tuple(f"{number:02}" for number in range(50))
PROGRAM = edited()
#: The parameters that each method takes which creates a record.
TAKEN = {str(n): list(map(str, words)) for n, words in PROGRAM.machine.create.methods.items()}
#: What happened in all runs together: each call accepted, each guard that refused one.
HAPPENED: Counter[str] = Counter()

#: A call, and what the interpreter answers to it in a state.
Asked = tuple[Call, Callable[[State], Answer]]


class BothSides(RuleBasedStateMachine):
    """What is asked of both, and everything that can be seen of them."""

    scenario: Scenario
    mapper: StateMapper
    state: State
    registry: Any
    folder: tempfile.TemporaryDirectory[str]
    runner: asyncio.Runner | None
    watches: dict[str, Any]
    waits: dict[int, Any]

    def _ask(
        self, call: Call, answer_of: Callable[[State], Answer], given: list[Any] | None = None,
        *, thread: bool = False,
    ) -> None:  # fmt: skip
        answer = answer_of(self.state)
        if given is None:
            given = self._given(call)
        ask = getattr(self.registry, call.method)
        found = self._call(lambda: ask(*given), thread=thread)
        self._same(call, answer, found)
        if answer.state is not None:
            self.state = answer.state
        self._look()

    def _given(self, call: Call) -> list[Any]:
        types = {n: t for a in (PROGRAM.create, *PROGRAM.actions) for n, t in a.params.items()}
        given: list[Any] = [self.mapper.ids[call.id]] if call.id is not None else []
        for name, value in call.arguments:
            if name in TAKEN.get(call.method, [name]):
                given.append(self.mapper.real(types[name], value))
        return given

    def _call(self, ask: Callable[[], Any], *, thread: bool = False) -> Any:
        """What a call gives, or the error that it is refused with; from another thread if asked."""
        found: list[Any] = []

        def run() -> None:
            try:
                answer = ask()
                if inspect.iscoroutine(answer):
                    assert self.runner is not None
                    answer = self.runner.run(answer)
                found.append(answer)
            except OpsLifecycleError as error:
                found.append(error)

        if thread and self.runner is None:
            worker = threading.Thread(target=run)
            worker.start()
            worker.join()
        else:
            run()
        (result,) = found
        return result

    def _same(self, call: Call, answer: Answer, found: Any) -> None:
        self._count(call, answer)
        if answer.refusal is None:
            assert not isinstance(found, OpsLifecycleError), (call, found)
            return
        assert type(found).__name__ == answer.refusal.error, (call, found, answer)
        assert (found.guard or "") == answer.refusal.guard
        if call.id is not None and hasattr(found, "id"):
            assert found.id == self.mapper.ids[call.id]

    def _count(self, call: Call, answer: Answer | None = None) -> None:
        refusal = answer.refusal if answer is not None else None
        HAPPENED["accepted" if refusal is None else "refused"] += 1
        HAPPENED[call.method if refusal is None else refusal.guard or refusal.error] += 1

    def _look(self) -> None:
        """Everything that can be seen is what the interpreter says."""
        state, mapper, registry = self.state, self.mapper, self.registry
        layout = list(PROGRAM.symbols.entity_fields)
        for id, plain in zip(IDS, state.records, strict=True):
            snapshot = registry.snapshot(mapper.ids[id])
            assert (snapshot is None) is (plain is None), id
            if snapshot is None or plain is None:
                continue
            assert snapshot.status.value == plain[1]
            assert snapshot.peer_ready is plain[layout.index("peer_ready")]
            assert snapshot.progress_count == plain[layout.index("progress_count")]
            outcome = plain[layout.index("terminal_outcome")]
            assert type(snapshot.terminal_outcome).__name__ == (
                "NoneType" if outcome is None else outcome[0]
            )
            assert snapshot.watcher_count == (1 if state.watched[IDS.index(id)] else 0)
        assert self._seen_feed() == self._expected_feed()
        batch = registry.completion_feed().list_since(0)
        place = self.scenario.interpreter.registry_place
        assert batch.watermark == state.registry[place("watermark")]
        assert batch.dropped_through == state.registry[place("dropped_through")]
        cursors = [registry.completion_cursor(each) for each in CompletionCursorConsumer]
        assert tuple(cursors) == state.cursors
        self._look_at_waits()
        assert registry.broken_invariants() == []

    def _seen_feed(self) -> list[Any]:
        entries = self.registry.completion_feed().list_since(0).entries
        return [(row.seq, row.operation_id) for row in entries]

    def _expected_feed(self) -> list[Any]:
        seq = list(PROGRAM.symbols.row_fields).index("seq")
        return [(row[seq], self.mapper.ids[row[-1]]) for row in self.state.rows]

    def _look_at_waits(self) -> None:
        for id, watch in list(self.watches.items()):
            assert watch.done() is not self.state.watched[IDS.index(id)]
            if watch.done():
                del self.watches[id]
        for key, wait in list(self.waits.items()):
            assert wait.done() is (self.state.barriers[key] == ())
            if wait.done():
                del self.waits[key]

    def _close(self) -> None:
        self._call(self.registry.close)

    def teardown(self) -> None:
        if hasattr(self, "registry"):
            self._close()
            self.folder.cleanup()
            if self.runner is not None:
                self.runner.close()

"""The whole registry against the interpreter of the file: up to 50 operations, restarts included.

A step is a number and an operation, and what it does follows from the state of the interpreter, so
a failure prints as a program that can be run as it is.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    rule,
    run_state_machine_as_test,
)
from opslifecycle import (
    AsyncRegistry,
    ChannelClosedError,
    CompletionCursorConsumer,
    MemoryStore,
    Registry,
    RunId,
    SqliteStore,
    Store,
)
from opslifecycle.shell.retention import Retention
from opslifecycle.sync.barriers import Barriers
from opslifecycle.sync.watchers import Watchers
from opslifecycle_codegen.analysis.scenario_rules import CRASH
from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS
from opslifecycle_codegen.modelcheck.interpreter import Interpreter
from opslifecycle_codegen.modelcheck.properties import Properties
from opslifecycle_codegen.modelcheck.scenarios import Scenario, default_scenario
from opslifecycle_codegen.modelcheck.state import Answer, Call, State
from opslifecycle_codegen.modelcheck.values import Values

from tests.support.proof.both_sides import HAPPENED, IDS, PROGRAM, Asked, BothSides
from tests.support.proof.state_mapper import StateMapper
from tests.support.scale import whole_or

if TYPE_CHECKING:
    from tests.support.postgres.databases import Database

STEPS_MIN = 2_000
_REGISTRIES = itertools.count()
METHODS = {str(n): [str(m) for m in each.methods] for n, each in PROGRAM.machine.actions.items()}


def _answering(answer: Callable[..., Answer], call: Call, *more: str) -> Asked:
    return call, lambda state: answer(state, call, *more)


def _stays(answer: Answer) -> bool:
    """Whether something was accepted that neither ends nor erases what it is about."""
    effects = {effect for _, given in answer.effects for effect in given}
    return answer.state is not None and not answer.ended and "erase" not in effects


class RegistryAndFile(BothSides):
    """A registry, and the interpreter that says what it has to do."""

    #: A schema on a server, for those that are to use one.
    database: Database | None = None

    @initialize(
        kind=st.sampled_from(["none", "memory", "sqlite"]),
        tasks=st.booleans(),
        max_completed=st.integers(1, 4),
        max_concurrent=st.one_of(st.none(), st.integers(1, 12)),
    )
    def begin(self, kind: str, tasks: bool, max_completed: int, max_concurrent: int | None) -> None:
        self.given: dict[str, Any] = {
            "max_completed": max_completed,
            "max_concurrent": max_concurrent,
        }
        interpreter = Interpreter(PROGRAM, IDS, 3, self.given)
        properties = Properties(interpreter)
        values = Values(PROGRAM, interpreter.evaluator, IDS, 2, {})
        # Specs of one operation; those of the others differ by the id in front.
        one = Values(PROGRAM, interpreter.evaluator, IDS[:1], 2, {})
        self.specs = one.of(PROGRAM.create.params["spec"], "spec", looked=True)
        interpreter.ends.keep_with(values.kept)
        self.scenario = Scenario(
            "", default_scenario(PROGRAM), interpreter, properties, values, (), (), ()
        )
        self.mapper = StateMapper(self.scenario)
        self.state: State = interpreter.initial()
        self.folder = tempfile.TemporaryDirectory()
        memory = MemoryStore()
        stores: dict[str, Callable[[], Store | None]] = {
            "none": lambda: None,
            "memory": lambda: memory,
            "sqlite": lambda: SqliteStore(
                Path(self.folder.name) / "store.db", durability="process"
            ),
        }
        if self.database is not None:
            kind, name = "postgres", f"r{next(_REGISTRIES)}"
            stores[kind] = partial(self.database.store, name)
        self.store, self.durable = stores[kind], kind != "none"
        self.runner = asyncio.Runner() if tasks else None
        self.registry = self._open()
        self.runs = [RunId.new() for _ in range(3)]
        self.watches: dict[str, Any] = {}
        self.waits: dict[int, Any] = {}
        self.last: Asked | None = None

    def _open(self) -> Any:
        """A registry for threads, or one for tasks."""
        kind = Registry if self.runner is None else AsyncRegistry
        return kind(store=self.store(), **self.given)

    # Steps --------------------------------------------------------------------------------------

    @rule(at=st.integers(0, 49), picks=st.lists(st.integers(0, 9999), min_size=4, max_size=12))
    def ask_about_one(self, at: int, picks: list[int]) -> None:
        """Something about one operation: mostly what is accepted, and ends it seldom."""
        id = self._known(at) if at % 2 else IDS[at]
        for pick in picks:
            calls = self._calls_of(id, pick)
            answers = [(each, each[1](self.state)) for each in calls]
            accepted = [each for each, answer in answers if answer.state is not None]
            if not accepted and pick % 4:
                # Where nothing is possible, one refusal in four is enough.
                id = self._elsewhere(pick)
                continue
            staying = [each for each, answer in answers if _stays(answer)]
            if pick % 16 == 0:
                among = calls
            elif pick % 16 == 3 and self.last is not None:
                # Callers repeat themselves.
                among = [self.last]
            elif pick % 16 < 6:
                among = accepted or calls
            else:
                among = staying or accepted or calls
            self.last = among[pick // 16 % len(among)]
            self._ask(*self.last, thread=pick // 16 % 2 == 1)
            if not accepted:
                id = self._elsewhere(pick)

    def _elsewhere(self, pick: int) -> str:
        """An operation about which more may be possible; a fence is lifted first."""
        fenced = self.state.registry[self.scenario.interpreter.registry_place("owner_retired")]
        if fenced and pick % 16 == 1:
            self._restart()
        is_ended = self.scenario.interpreter.ends.is_ended
        live = [each[0] for each in self.state.records if each is not None and not is_ended(each)]
        return str(live[pick % len(live)]) if live else IDS[pick % len(IDS)]

    @rule(at=st.integers(0, 49), picks=st.lists(st.integers(0, 9999), min_size=1, max_size=3))
    def ask_about_one_shortly(self, at: int, picks: list[int]) -> None:
        """As above, so that steps about one operation are the most frequent ones."""
        self.ask_about_one(at, picks)

    @rule(at=st.integers(0, 49), picks=st.lists(st.integers(0, 9999), min_size=2, max_size=6))
    def ask_in_tasks_at_once(self, at: int, picks: list[int]) -> None:
        """Tasks that begin one after another: with a store, the same commit decides them all."""
        if self.runner is None:
            self.ask_about_one(at, picks)
            return
        id = self._known(at)
        asked: list[tuple[Call, Answer]] = []
        for pick in picks:
            calls = self._calls_of(id, pick)
            accepted = [each for each in calls if each[1](self.state).state is not None]
            among = accepted or calls
            call, answer_of = among[pick // 8 % len(among)]
            answer = answer_of(self.state)
            self.state = self.state if answer.state is None else answer.state
            asked.append((call, answer))
        awaited = [getattr(self.registry, call.method)(*self._given(call)) for call, _ in asked]

        async def together() -> list[Any]:
            return await asyncio.gather(*awaited, return_exceptions=True)

        for (call, answer), found in zip(asked, self.runner.run(together()), strict=True):
            self._same(call, answer, found)
        HAPPENED["tasks at once"] += 1
        self._look()

    @rule(
        ats=st.lists(st.integers(0, 49), min_size=1, max_size=5),
        picks=st.lists(st.integers(0, 9999), min_size=5, max_size=5),
    )
    def ask_in_a_transaction(self, ats: list[int], picks: list[int]) -> None:
        """Commands that happen together; one that is refused is the last, and undoes the others."""
        asked: list[Call] = []
        state, answer = self.state, None
        for at, pick in zip(ats, picks, strict=False):
            calls = self._calls_of(self._known(at), pick)
            accepted = [each for each in calls if each[1](state).state is not None]
            among = calls if pick % 5 == 0 else accepted or calls
            call, answer_of = among[pick // 8 % len(among)]
            asked.append(call)
            answer = answer_of(state)
            if answer.state is None:
                break
            state = answer.state
        assert answer is not None
        if self.runner is None:
            found = self._call(lambda: self._transact(asked))
        else:
            found = self._call(lambda: self._transact_in_a_task(asked))
        self._same(asked[-1], answer, found)
        HAPPENED["transactions" if answer.refusal is None else "refused transactions"] += 1
        if answer.refusal is None:
            self.state = state
            for call in asked[:-1]:
                self._count(call)
        else:
            assert found.command_index == len(asked) - 1
        self._look()

    def _transact(self, asked: list[Call]) -> None:
        with self.registry.transaction() as transaction:
            for call in asked:
                getattr(transaction, call.method)(*self._given(call))

    async def _transact_in_a_task(self, asked: list[Call]) -> None:
        async with self.registry.transaction() as transaction:
            for call in asked:
                await getattr(transaction, call.method)(*self._given(call))

    def _calls_of(self, id: str, pick: int) -> list[Asked]:
        """Everything that may be asked about one operation, registering it included."""
        interpreter, values = self.scenario.interpreter, self.scenario.values
        made = (id, *self.specs[pick % len(self.specs)][1:])
        calls: list[Asked] = []
        for method, limit, stored in (
            ("register_operation", None, None),
            ("register_operation_with_admission_limit", pick % 9, None),
            ("register_resumable_operation", None, "call"),
        ):
            given = (("spec", made), ("max_concurrent", limit), ("call", stored))
            call = Call(method, None, given)
            calls.append(_answering(interpreter.create, call))
        for action in PROGRAM.actions:
            arguments = next(values.arguments(action.params))
            for method in METHODS[action.name]:
                call = Call(method, id, arguments)
                calls.append(_answering(interpreter.act, call, action.name))
        call = Call("rollback_unreturned_operation", id)
        return [*calls, _answering(interpreter.rollback, call)]

    @rule(at=st.integers(0, 49))
    def register_without_room(self, at: int) -> None:
        _, with_limit_0, *_ = self._calls_of(IDS[at], 0)
        self._ask(*with_limit_0)

    @rule(at=st.integers(0, 49))
    def watch(self, at: int) -> None:
        id = self._known(at)
        answer = self.scenario.interpreter.watch(self.state, Call("register_watcher", id))
        found = self._call(lambda: self.registry.register_watcher(self.mapper.ids[id]))
        self._same(Call("register_watcher", id), answer, found)
        if answer.state is not None:
            self.state = answer.state
            self.watches[id] = found

    @rule(key=st.integers(0, 2), ats=st.lists(st.integers(0, 49), max_size=5))
    def wait_for_all(self, key: int, ats: list[int]) -> None:
        asked = tuple(self._known(at) for at in ats)
        if len(asked) != 3:
            asked = tuple(dict.fromkeys(asked))
        call = Call("wait_all", None, (("key", key), ("ids", asked)))
        answer = self.scenario.interpreter.wait_for_all(self.state, call)
        wait = self.registry.wait_all(self.runs[key], [self.mapper.ids[id] for id in asked])
        if answer.state is None:
            self._same(call, answer, self._call(lambda: wait.result(0)))
            return
        self._count(call)
        if answer.state.barriers[key] == self.state.barriers[key]:
            assert [id for id, _ in wait.result(0).outcomes] == [self.mapper.ids[i] for i in asked]
        else:
            self.waits[key] = wait
        self.state = answer.state

    def _known(self, at: int) -> str:
        """An operation that there is, most of the time."""
        known = [record[0] for record in self.state.records if record is not None]
        known = known[-4:]  # the latest few, so that things happen to the same one
        return known[at % len(known)] if known and at % 10 else IDS[at]

    @rule(consumer=st.sampled_from(CompletionCursorConsumer), cursor=st.integers(0, 9))
    def advance(self, consumer: CompletionCursorConsumer, cursor: int) -> None:
        watermark = self.state.registry[self.scenario.interpreter.registry_place("watermark")]
        cursor %= watermark + 2
        call = Call("advance_completion_cursor", None,
                    (("consumer", consumer.value), ("cursor", cursor)))  # fmt: skip
        answer = self.scenario.interpreter.advance(self.state, call)
        self._ask(call, lambda s: answer, [consumer, cursor])

    @rule(what=st.integers(0, 19))
    def ask_about_all(self, what: int) -> None:
        """Something that changes many, seldom enough that there are many to change."""
        interpreter = self.scenario.interpreter
        if self.state.registry[interpreter.registry_place("owner_retired")] and what >= 4:
            self._restart()
        elif what < 4:
            call = Call("collect_completed", None)
            self._ask(call, lambda state: interpreter.collect(state, call))
        elif what < 6:
            self._end_all("terminate_owner")
        elif what < 9 and self.durable:
            self._restart()
        elif what == 9 and self.durable:
            # Nothing but a restart lifts the fence, so one follows soon.
            self._end_all("retire_owner")
        elif what == 10 and self.durable:
            call = Call("seal_owner", None)
            self._ask(call, lambda state: interpreter.bulk(state, call))

    def teardown(self) -> None:
        """End as an owner does: sealed, then retired, with a refusal after each."""
        try:
            if hasattr(self, "last"):
                self._retire()
        finally:
            super().teardown()

    def _retire(self) -> None:
        unused = (id for id, each in zip(IDS, self.state.records, strict=True) if each is None)
        call, registration = Call("seal_owner", None), self._calls_of(next(unused, IDS[0]), 0)[0]
        self._ask(call, lambda state: self.scenario.interpreter.bulk(state, call))
        self._ask(*registration)
        self._end_all("retire_owner")
        self._ask(*registration)

    def _end_all(self, method: str) -> None:
        interpreter = self.scenario.interpreter
        call = Call(method, None, (("reason", "x"),))
        self._ask(call, lambda state: interpreter.bulk(state, call))

    def _restart(self) -> None:
        """The process ends in good order; what was live is recovered as interrupted."""
        self._close()
        for id, watch in self.watches.items():
            if self.state.watched[IDS.index(id)]:
                with pytest.raises(ChannelClosedError):
                    watch.result(0)
        for wait in self.waits.values():
            assert wait.done()
        self.watches.clear()
        self.waits.clear()
        self.registry = self._open()
        self._count(Call(CRASH, None))
        numbered = self.registry.capture()["state"]["next_completion_seq"]
        place = self.scenario.interpreter.registry_place("next_completion_seq")
        found = [each for each in self._recovered() if each.registry[place] == numbered]
        assert found, f"numbers go on from {numbered}"
        self.state = found[0]
        self._look()

    def _recovered(self) -> Iterator[State]:
        """What the next process may find.

        A number that only an operation took which is never written may be given again (contract,
        section 12), so recovery may number from any of those.
        """
        interpreter, state = self.scenario.interpreter, self.state
        sequence = list(PROGRAM.symbols.entity_fields).index("sequence")
        place = interpreter.registry_place("next_completion_seq")
        given = [record[sequence] or 0 for record in state.records if record is not None]
        last = state.registry[place]
        watermark = state.registry[interpreter.registry_place("watermark")]
        for number in range(last, max([*given, watermark]) - 1, -1):
            registry = (*state.registry[:place], number, *state.registry[place + 1 :])
            answer = interpreter.crash(state._replace(registry=registry), Call(CRASH, None))
            assert answer.state is not None
            yield answer.state


TestRegistryAndFile = RegistryAndFile.TestCase
TestRegistryAndFile.settings = settings(
    max_examples=int(os.environ.get("OPSLIFECYCLE_EXAMPLES", whole_or(150, 25))),
    derandomize="OPSLIFECYCLE_EXAMPLES" not in os.environ,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.nightly
def test_a_registry_on_a_server_does_what_the_file_says(postgres: Database) -> None:
    class OnServer(RegistryAndFile):
        database = postgres

    few = settings(
        max_examples=whole_or(60, 6),
        derandomize=True,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(OnServer, settings=few)


def test_enough_has_happened() -> None:
    """At least half of the steps were accepted, and everything happened at least once."""
    accepted, refused = HAPPENED["accepted"], HAPPENED["refused"]
    print(f"{accepted + refused} steps, {accepted / (accepted + refused):.0%} accepted")
    assert accepted + refused >= whole_or(STEPS_MIN, STEPS_MIN // 8)
    assert accepted >= refused
    expected = [*(m for methods in METHODS.values() for m in methods), *PROGRAM.machine.guards]
    expected += [LEGAL_STATUS, CRASH, "tasks at once", "transactions", "refused transactions"]
    missing = [each for each in expected if each not in HAPPENED]
    assert missing == []


@pytest.mark.parametrize(
    ("owner", "method"),
    [
        (Retention, "evict"),
        (Barriers, "count"),
        # They take the longest to find.
        pytest.param(Watchers, "close", marks=pytest.mark.nightly),
        pytest.param(Barriers, "fail_member", marks=pytest.mark.nightly),
    ],
)
def test_a_shell_that_forgets_something_is_noticed(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    monkeypatch.setattr(owner, method, lambda *arguments: [])
    few = settings(
        TestRegistryAndFile.settings, phases=[Phase.generate], database=None, max_examples=1_000
    )
    with pytest.raises((AssertionError, TimeoutError)):
        run_state_machine_as_test(RegistryAndFile, settings=few)

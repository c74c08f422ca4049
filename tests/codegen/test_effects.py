"""Effects that a machine declares: after the commit, in order, at least once, then marked."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from opslifecycle import (
    InvalidValueError,
    MemoryStore,
    PersistenceError,
    SqliteStore,
    StoreDamagedError,
)
from opslifecycle.shell import commits
from opslifecycle.shell.messages import Lanes, OutboxEntry, OutboxMessage, retry_seconds
from opslifecycle.stores.base import Commit
from opslifecycle_codegen.cli.main import main

from tests.support.codegen.projects import assert_clean, edit, package, project
from tests.support.waiting import eventually, until
from tests.support.warm import python

MACHINE = Path(__file__).parent / "parcel.yaml"


@pytest.fixture(scope="module")
def parcels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = project(tmp_path_factory.mktemp("parcels"), MACHINE)
    assert_clean(folder)
    sys.path.insert(0, str(folder / "src"))
    yield importlib.import_module("parcel")
    sys.path.remove(str(folder / "src"))


class Heard:
    """A handler that remembers its calls; `wait_for` waits until there are so many."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str, str, int]] = []
        self.failures = 0
        self._more = threading.Condition()

    def __call__(self, call: Any) -> None:
        with self._more:
            if self.failures:
                self.failures -= 1
                raise ZeroDivisionError
            snapshot = call.snapshot
            self.calls.append(
                (call.number, call.effect.value, snapshot.status.value, snapshot.stops)
            )
            self._more.notify_all()

    def wait_for(self, count: int) -> list[tuple[int, str, str, int]]:
        with self._more:
            assert self._more.wait_for(lambda: len(self.calls) >= count, 30)
            return self.calls[:count]


def journey(registry: Any, parcels: Any) -> Any:
    id = parcels.ParcelId.new()
    registry.accept(id, "here")
    registry.move(id)
    registry.move(id)
    registry.deliver(id)
    return id


JOURNEY = [
    (1, "print_label", "accepted", 0),
    (2, "tell_receiver", "travelling", 1),
    (3, "tell_receiver", "travelling", 2),
    (4, "tell_receiver", "delivered", 2),
]


@pytest.mark.parametrize("kept", [False, True])
def test_they_come_in_order_with_what_was_then(parcels: Any, kept: bool) -> None:
    heard = Heard()
    store = MemoryStore() if kept else None
    with parcels.ParcelRegistry(store=store, on_effect=heard) as registry:
        id = journey(registry, parcels)
        assert heard.wait_for(4) == JOURNEY
        with pytest.raises(parcels.WrongPlaceError):
            registry.move(id)
        lost = parcels.ParcelId.new()
        registry.accept(lost, "there")
        registry.lose(lost)
        assert [each[1] for each in heard.wait_for(7)[4:]] == [
            "print_label", "tell_receiver", "pay_damages"
        ]  # fmt: skip


@pytest.mark.parametrize("kept", [False, True])
def test_the_watches_of_that_moment_are_counted(parcels: Any, kept: bool) -> None:
    store = MemoryStore() if kept else None
    with parcels.ParcelRegistry(store=store) as registry:
        id = parcels.ParcelId.new()
        registry.accept(id, "here")
        watches = [registry.watch(id) for _ in range(2)]
        registry.move(id)
        watches.pop()
        registry.deliver(id)
        counts = [call.snapshot.watcher_count for call in registry.pending_effects()]
        assert counts == [0, 2, 0]
        assert watches[0].done()


def test_what_was_not_delivered_is_delivered_by_the_next_process(
    parcels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "DEFERRED_SECONDS", 0.01)
    path, heard = tmp_path / "store.db", Heard()
    with parcels.ParcelRegistry(store=SqliteStore(path)) as registry:
        journey(registry, parcels)
        assert [call.number for call in registry.pending_effects()] == [1, 2, 3, 4]
        document = registry.capture()
    with parcels.ParcelRegistry(store=SqliteStore(path), on_effect=heard) as registry:
        assert heard.wait_for(4) == JOURNEY
    with parcels.ParcelRegistry(store=SqliteStore(path), on_effect=heard) as registry:
        assert registry.pending_effects() == ()
        registry.accept(parcels.ParcelId.new(), "again")
        # Numbers go on, so that a handler can tell a call that comes twice.
        assert heard.wait_for(5)[4] == (5, "print_label", "accepted", 0)
    restored = parcels.ParcelRegistry.restore(document)
    assert [call.number for call in restored.pending_effects()] == [1, 2, 3, 4]


def test_a_handler_that_fails_is_called_again_and_order_is_kept(
    parcels: Any, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    heard.failures = 2
    with parcels.ParcelRegistry(on_effect=heard) as registry:
        journey(registry, parcels)
        assert heard.wait_for(4) == JOURNEY
    assert caplog.text.count("effect 1 (print_label) will be tried again") == 2


def test_a_failed_commit_has_no_effects(parcels: Any) -> None:
    class Failing(MemoryStore):
        fails = False

        def append(self, commit: Commit) -> None:
            if self.fails:
                raise PersistenceError("disk", "full")
            super().append(commit)

    store, heard = Failing(), Heard()
    with parcels.ParcelRegistry(store=store, on_effect=heard) as registry:
        id = parcels.ParcelId.new()
        store.fails = True
        with pytest.raises(PersistenceError):
            registry.accept(id, "here")
        store.fails = False
        registry.accept(id, "here")
        registry.move(id)
        assert heard.wait_for(2) == JOURNEY[:2]


def test_a_handler_may_be_a_coroutine_function(parcels: Any) -> None:
    async def scenario() -> list[int]:
        numbers: list[int] = []
        done = asyncio.Event()

        async def handle(call: Any) -> None:
            await asyncio.sleep(0)
            numbers.append(call.number)
            if len(numbers) == 2:
                done.set()

        opening = parcels.AsyncParcelRegistry.open(store=MemoryStore(), on_effect=handle)
        async with await opening as registry:
            id = parcels.ParcelId.new()
            await registry.accept(id, "here")
            await registry.move(id)
            await asyncio.wait_for(done.wait(), 30)
        return numbers

    assert asyncio.run(scenario()) == [1, 2]

    async def closing() -> None:
        """A plain registry in a loop: closing does not wait for what only this loop could do."""

        async def slow(call: Any) -> None:
            await asyncio.sleep(0.05)

        with parcels.ParcelRegistry(on_effect=slow) as registry:
            registry.accept(parcels.ParcelId.new(), "here")

    asyncio.run(asyncio.wait_for(closing(), 30))

    async def handle(call: Any) -> None: ...

    with pytest.raises(InvalidValueError, match="needs a running event loop"):
        parcels.ParcelRegistry(on_effect=handle)
    with pytest.raises(InvalidValueError, match="expected a function"):
        parcels.ParcelRegistry(on_effect=3)


def test_what_was_delivered_is_erased_once(parcels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Remembering(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.erased: list[str] = []

        def append(self, commit: Commit) -> None:
            super().append(commit)
            self.erased += commit.erased

    store, heard = Remembering(), Heard()
    with parcels.ParcelRegistry(store=store, on_effect=heard) as registry:
        registry.accept(parcels.ParcelId.new(), "here")
        heard.wait_for(1)
        until(lambda: not registry.pending_effects())
        # With the commits of others, if there are any.
        for _ in range(3):
            registry.accept(parcels.ParcelId.new(), "there")
        assert "effect-1" in store.erased
        heard.wait_for(4)
    # What is left goes when it is closed.
    assert store.erased == [f"effect-{number}" for number in (1, 2, 3, 4)]
    monkeypatch.setattr(commits, "DEFERRED_SECONDS", 0.01)
    store = Remembering()
    with parcels.ParcelRegistry(store=store, on_effect=heard) as registry:
        # Or after a while, if nothing comes.
        for count in (1, 2):
            registry.accept(parcels.ParcelId.new(), "by itself")
            until(lambda count=count: len(store.erased) >= count)  # type: ignore[misc]
    assert store.erased == ["effect-1", "effect-2"]


def test_a_message_that_fails_is_left_alone_for_longer_and_longer() -> None:
    assert [retry_seconds(failures) for failures in (1, 2, 3, 4)] == [0.1, 0.2, 0.4, 0.8]
    assert retry_seconds(100) == retry_seconds(10_000) == 300.0


def test_closing_does_not_wait_for_the_next_try(parcels: Any) -> None:
    failed = threading.Event()

    def fail(call: Any) -> None:
        failed.set()
        raise ZeroDivisionError

    store = MemoryStore()
    with parcels.ParcelRegistry(store=store, on_effect=fail) as registry:
        registry.accept(parcels.ParcelId.new(), "here")
        assert failed.wait(30)
    assert [call.number for call in registry.pending_effects()] == [1]
    with parcels.ParcelRegistry(store=store) as registry:
        assert [call.number for call in registry.pending_effects()][:1] == [1]


@pytest.mark.parametrize(
    "error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit]
)
def test_nothing_that_a_handler_raises_ends_delivery(
    parcels: Any, error: type[BaseException]
) -> None:
    raised: list[int] = []
    delivered: SimpleQueue[int] = SimpleQueue()

    def handle(message: Any) -> None:
        if not raised:
            raised.append(message.number)
            raise error
        delivered.put(message.number)

    with parcels.ParcelRegistry(on_effect=handle) as registry:
        registry.accept(parcels.ParcelId.new(), "here")
        assert delivered.get(timeout=30) == 1


class _SilentError(Exception):
    """An error whose own text fails."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_error_without_a_text_is_counted_and_holds_up_no_other_record(parcels: Any) -> None:
    delivered: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def handle(message: Any) -> None:
        if message.snapshot.address == "stuck":
            raise _SilentError
        delivered.put((message.snapshot.address, message.effect.value))

    with parcels.ParcelRegistry(on_effect=handle) as registry:
        for address in ("stuck", "other"):
            id = parcels.ParcelId.new()
            registry.accept(id, address)
        assert delivered.get(timeout=30) == ("other", "print_label")
        until(lambda: registry.pending_effects()[0].attempt > 2)


class _FullDiskFilter(logging.Filter):
    """A filter of a program's logs that fails."""

    def filter(self, record: logging.LogRecord) -> bool:
        raise OSError("no space left on device")


def test_a_log_that_fails_ends_no_delivery(parcels: Any) -> None:
    delivered: SimpleQueue[int] = SimpleQueue()
    failing = _FullDiskFilter()

    def handle(message: Any) -> None:
        delivered.put(message.attempt)
        raise ConnectionError("no line")

    logger = logging.getLogger("opslifecycle.outbox")
    logger.addFilter(failing)
    try:
        with parcels.ParcelRegistry(on_effect=handle) as registry:
            registry.accept(parcels.ParcelId.new(), "here")
            assert [delivered.get(timeout=30) for _ in range(3)] == [1, 2, 3]
    finally:
        logger.removeFilter(failing)


def test_a_message_that_fails_holds_up_only_its_own_record(parcels: Any) -> None:
    delivered: SimpleQueue[tuple[str, str]] = SimpleQueue()
    stuck = parcels.ParcelId.new()
    release = threading.Event()

    def handle(message: Any) -> None:
        if message.snapshot.id == stuck and not release.is_set():
            raise ConnectionError("no line")
        delivered.put((message.snapshot.address, message.effect.value))

    with parcels.ParcelRegistry(on_effect=handle) as registry:
        registry.accept(stuck, "stuck")
        registry.move(stuck)
        other = parcels.ParcelId.new()
        registry.accept(other, "other")
        registry.move(other)
        assert delivered.get(timeout=30) == ("other", "print_label")
        assert delivered.get(timeout=30) == ("other", "tell_receiver")
        release.set()
        assert delivered.get(timeout=30) == ("stuck", "print_label")
        assert delivered.get(timeout=30) == ("stuck", "tell_receiver")


def test_a_message_says_which_action_it_follows_and_with_what(parcels: Any) -> None:
    store = MemoryStore()
    id = parcels.ParcelId.new()
    with parcels.ParcelRegistry(store=store) as registry:
        registry.accept(id, "here")
        registry.move(id)
        first, second = registry.pending_effects()
    for opened in range(2):
        assert (first.action, dict(first.arguments)) == (
            parcels.ParcelAction.CREATE, {"id": id, "address": "here"}
        ), opened  # fmt: skip
        assert (second.action, dict(second.arguments)) == (parcels.ParcelAction.MOVE, {"id": id})
        with parcels.ParcelRegistry(store=store) as registry:
            first, second = registry.pending_effects()[:2]


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Parcels whose labels are printed twice at most."""
    base = tmp_path_factory.mktemp("impatient")
    machine = base / "impatient.yaml"
    text = MACHINE.read_text(encoding="utf-8").replace("machine: parcel", "machine: impatient")
    machine.write_text(text, encoding="utf-8")
    label = "print_label: {summary: Print what is to be stuck onto it."
    edit(machine, f"{label}}}", f"{label}, attempts: 2}}")
    folder = project(base / "project", machine)
    sys.path.insert(0, str(folder / "src"))
    yield importlib.import_module("impatient")
    sys.path.remove(str(folder / "src"))


def test_a_message_becomes_a_dead_letter_and_can_be_retried_or_discarded(impatient: Any) -> None:
    store = MemoryStore()
    attempts: SimpleQueue[tuple[int, int]] = SimpleQueue()

    def fail(message: Any) -> None:
        if message.effect.value == "print_label":
            raise ConnectionError("out of paper")
        attempts.put((message.number, message.attempt))

    with impatient.ParcelRegistry(store=store, on_effect=fail) as registry:
        for address in ("one", "two"):
            id = impatient.ParcelId.new()
            registry.accept(id, address)
            registry.move(id)
        # The later messages of their records go on.
        assert {attempts.get(timeout=30)[0], attempts.get(timeout=30)[0]} == {2, 4}
        until(lambda: len(registry.dead_letters()) == 2)
        assert registry.pending_effects() == ()
    with impatient.ParcelRegistry(store=store) as registry:
        first, second = registry.dead_letters()
        assert (first.message.number, first.attempts) == (1, 2)
        assert first.error == "ConnectionError: out of paper"
        with pytest.raises(InvalidValueError, match="there is no dead letter 2"):
            registry.retry_dead_letter(2)
        registry.retry_dead_letter(1)
        registry.discard_dead_letter(second.message.number)
        assert registry.dead_letters() == ()
        assert [each.number for each in registry.pending_effects()][:1] == [1]
    printed: SimpleQueue[int] = SimpleQueue()
    with impatient.ParcelRegistry(store=store, on_effect=lambda m: printed.put(m.number)):
        assert printed.get(timeout=30) == 1


def test_a_message_that_ends_its_process_becomes_a_dead_letter(
    impatient: Any, tmp_path: Path
) -> None:
    """The first delivery is not counted beforehand; each by a later process is."""
    path = tmp_path / "parcels.db"
    script = (
        "import os, sys, time; sys.path.insert(0, sys.argv[1]); from impatient import *\n"
        "from opslifecycle import SqliteStore\n"
        "registry = ParcelRegistry(store=SqliteStore(sys.argv[2]),"
        " on_effect=lambda message: os._exit(9))\n"
        "if sys.argv[3:]: registry.accept(ParcelId.new(), 'here')\n"
        "time.sleep(60)\n"
    )
    source = str(Path(impatient.__file__).parents[1])
    for more in (["first"], [], []):
        command = [sys.executable, "-c", script, source, str(path), *more]
        done = subprocess.run(command, capture_output=True, timeout=50, check=False)
        assert done.returncode == 9, done.stderr
    heard = Heard()
    with impatient.ParcelRegistry(store=SqliteStore(path), on_effect=heard) as registry:
        (letter,) = registry.dead_letters()
        assert (letter.attempts, letter.error) == (
            2, "the process ended while the message was delivered"
        )  # fmt: skip
        # The later message of its record goes on: recovery has ended what was interrupted.
        assert heard.wait_for(1)[0][1] == "tell_receiver"
        registry.retry_dead_letter(letter.message.number)
        until(lambda: "print_label" in [each[1] for each in heard.calls])


def test_a_message_that_an_earlier_process_left_is_counted_before_its_delivery(
    impatient: Any, tmp_path: Path
) -> None:
    store = MemoryStore()
    with impatient.ParcelRegistry(store=store) as registry:
        registry.accept(impatient.ParcelId.new(), "here")
    stored: SimpleQueue[str] = SimpleQueue()

    def handle(message: Any) -> None:
        # Recovery has ended the record, which makes a second message; the first is erased by then.
        if message.number == 1:
            stored.put(store._records["effect-1"])

    with impatient.ParcelRegistry(store=store, on_effect=handle) as registry:
        assert '"attempts":1,"error":"the process ended' in stored.get(timeout=30)
        until(lambda: not registry.pending_effects())


def test_each_try_waits_longer_and_other_records_go_on() -> None:
    """By an injected clock: seconds since the message was first due."""

    def entry(number: int, record: str) -> OutboxEntry:
        message: OutboxMessage[Any, Any, Any] = OutboxMessage(number, None, None, {}, None)
        return OutboxEntry(message, record, 25, "")

    lanes, failing, behind, other = Lanes(), entry(1, "a"), entry(2, "a"), entry(3, "b")
    for each in (failing, behind, other):
        lanes.add(each, 0.0)
    now, waits = 0.0, []
    for _ in range(14):
        assert lanes.take(now) is failing
        if lanes.take(now) is other:
            lanes.leave(other)
        failing.fail(OSError("no"))
        lanes.put_back(failing, now)
        wait = lanes.wait_seconds(now)
        assert wait is not None
        assert lanes.take(now + wait * 0.99) is None
        waits.append(round(wait, 6))
        now += wait
    assert waits[:5] == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert waits[-2:] == [300.0, 300.0]
    assert lanes.take(now) is failing
    lanes.leave(failing)
    assert lanes.take(now) is behind


def test_an_asynchronous_handler_may_close_the_registry(parcels: Any) -> None:
    async def scenario() -> None:
        closed = asyncio.Event()

        async def handle(message: Any) -> None:
            await registry.close()
            closed.set()

        registry = parcels.AsyncParcelRegistry(on_effect=handle)
        await registry.accept(parcels.ParcelId.new(), "here")
        await asyncio.wait_for(closed.wait(), 30)

    asyncio.run(scenario())


def test_closing_after_the_loop_has_stopped_in_a_handler_does_not_hang(parcels: Any) -> None:
    begun = threading.Event()

    async def handle(message: Any) -> None:
        begun.set()
        await asyncio.sleep(3600)

    async def scenario() -> Any:
        registry = parcels.AsyncParcelRegistry(on_effect=handle)
        await registry.accept(parcels.ParcelId.new(), "here")
        await eventually(begun.is_set)
        return registry

    loop = asyncio.new_event_loop()
    try:
        registry = loop.run_until_complete(scenario())
        closing = threading.Thread(target=registry._executor.close, daemon=True)
        closing.start()
        closing.join(30)
        assert not closing.is_alive()
        assert [each.number for each in registry.pending_effects()] == [1]
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_a_handler_of_its_parent(parcels: Any) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def handle(message: Any) -> None:
        begun.set()
        go_on.wait(30)

    with parcels.ParcelRegistry(on_effect=handle) as registry:
        registry.accept(parcels.ParcelId.new(), "here")
        assert begun.wait(30)
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            registry.close()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        go_on.set()
        assert os.waitstatus_to_exitcode(status) == 0


def test_closing_waits_for_the_call_in_progress(parcels: Any) -> None:
    begun, ended = threading.Event(), threading.Event()

    def slow(call: Any) -> None:
        begun.set()
        time.sleep(0.1)
        ended.set()

    with parcels.ParcelRegistry(on_effect=slow) as registry:
        registry.accept(parcels.ParcelId.new(), "here")
        assert begun.wait(30)
    assert ended.is_set()
    assert registry.pending_effects() == ()


def test_closing_without_a_store_leaves_the_loop_running(parcels: Any) -> None:
    begun, release = threading.Event(), threading.Event()

    def handle(call: Any) -> None:
        begun.set()
        assert release.wait(30)

    async def scenario() -> None:
        registry = parcels.AsyncParcelRegistry(on_effect=handle)
        await registry.accept(parcels.ParcelId.new(), "here")
        assert await asyncio.to_thread(begun.wait, 30)
        closing = asyncio.ensure_future(registry.close())
        await asyncio.sleep(0.01)
        assert not closing.done()
        release.set()
        await closing

    asyncio.run(scenario())


def test_a_lost_registry_leaves_no_thread(parcels: Any) -> None:
    before, heard = set(threading.enumerate()), Heard()
    registry = parcels.ParcelRegistry(on_effect=heard)
    registry.accept(parcels.ParcelId.new(), "here")
    heard.wait_for(1)
    (thread,) = set(threading.enumerate()) - before
    del registry
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()


def test_a_handler_may_close_the_registry(parcels: Any) -> None:
    closed = threading.Event()

    def close(call: Any) -> None:
        registry.close()
        closed.set()

    registry = parcels.ParcelRegistry(on_effect=close)
    registry.accept(parcels.ParcelId.new(), "here")
    assert closed.wait(30)


def test_a_handler_does_not_keep_its_process_from_ending(parcels: Any) -> None:
    program = (
        "import threading, parcel\n"
        "begun = threading.Event()\n"
        "registry = parcel.ParcelRegistry(on_effect=lambda call: (begun.set(), begun.wait(), "
        "threading.Event().wait()))\n"
        "registry.accept(parcel.ParcelId.new(), 'here')\n"
        "begun.wait()\n"
    )
    where = Path(parcels.__file__).parents[1]
    subprocess.run([sys.executable, "-c", program], cwd=where, check=True, timeout=30)


def test_what_is_not_delivered_is_migrated_too(tmp_path: Path) -> None:
    folder = project(tmp_path, MACHINE)

    def printed(program: str) -> list[str]:
        program = f"from parcel import *; import opslifecycle\n{program}"
        done = python("-c", program, cwd=folder / "src")
        assert done.returncode == 0, done.stdout
        return done.stdout.splitlines()

    store = "store=opslifecycle.SqliteStore('parcels.db')"
    printed(
        f"with ParcelRegistry({store}) as parcels:\n"
        "    id = ParcelId.new()\n"
        "    parcels.accept(id, 'here'); parcels.move(id); parcels.deliver(id)\n"
    )
    machine = folder / "machine/parcel.yaml"
    edit(machine, "version: 1", VERSION_2)
    edit(machine, "  stops: {type: int", "  halts: {type: int")
    edit(machine, "{parcel.stops: parcel.stops + 1}", "{parcel.halts: parcel.halts + 1}")
    edit(machine, "stops: parcel.stops", "stops: parcel.halts")
    assert main(["--project", str(folder), "generate"]) == 0
    assert printed(
        f"with ParcelRegistry({store}) as parcels:\n"
        "    for call in parcels.pending_effects():\n"
        "        print(call.number, call.effect.value, call.snapshot.stops)\n"
    ) == ["1 print_label 0", "2 tell_receiver 1", "3 tell_receiver 1"]


VERSION_2 = """version: 2
migrations:
  2:
    reason: They halt there.
    renames: {fields: {stops: halts}}
"""


def test_what_messages_say_is_locked_and_migrated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(tmp_path, MACHINE)
    machine = folder / "machine/parcel.yaml"

    def generated() -> int:
        return main(["--project", str(folder), "generate"])

    def printed(program: str) -> list[str]:
        program = f"from parcel import *; import opslifecycle\n{program}"
        done = python("-c", program, cwd=folder / "src")
        assert done.returncode == 0, done.stdout
        return done.stdout.splitlines()

    store = "store=opslifecycle.SqliteStore('parcels.db')"
    printed(
        f"with ParcelRegistry({store}) as parcels:\n"
        "    id = ParcelId.new()\n"
        "    parcels.accept(id, 'here'); parcels.move(id)\n"
    )
    edit(machine, "  move:\n", "  carry:\n")
    edit(machine, "params: {id: ParcelId, address: str}", "params: {id: ParcelId, place: str}")
    edit(machine, "accept: [id, address]", "accept: [id, place]")
    edit(machine, "initial: address", "initial: place")
    text = machine.read_text(encoding="utf-8")
    machine.write_text(text.replace("tell_receiver", "write_receiver"), encoding="utf-8")
    capsys.readouterr()
    assert generated() == 2
    told = capsys.readouterr().err
    for lost in (
        "the outbox's actions loses move",
        "the outbox's effects loses tell_receiver",
        "arguments.create loses the field address",
    ):
        assert lost in told
    edit(
        machine,
        "version: 1",
        "version: 2\nmigrations:\n  2:\n    reason: They are carried.\n    renames:\n"
        "      actions: {move: carry}\n      effects: {tell_receiver: write_receiver}\n"
        "      arguments.create: {address: place}\n",
    )
    assert generated() == 0
    assert printed(
        f"with ParcelRegistry({store}) as parcels:\n"
        "    for call in parcels.pending_effects():\n"
        "        print(call.effect.value, call.action.value, sorted(call.arguments))\n"
    )[:2] == ["print_label create ['id', 'place']", "write_receiver carry ['id']"]


def test_a_message_of_an_earlier_version_says_what_to_do(parcels: Any, tmp_path: Path) -> None:
    store = MemoryStore()
    with parcels.ParcelRegistry(store=store) as registry:
        registry.accept(parcels.ParcelId.new(), "here")
    text = store._records["effect-1"]
    store._records["effect-1"] = text.replace('"action":"create",', "")
    with pytest.raises(StoreDamagedError, match="open the store once with that version"):
        parcels.ParcelRegistry(store=store)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_coroutine_handler_reaches_the_loop_and_delivery_goes_on(
    parcels: Any, error: type[BaseException]
) -> None:
    raised: list[int] = []
    delivered: list[int] = []
    loop = asyncio.new_event_loop()

    async def handle(message: Any) -> None:
        if not raised:
            raised.append(message.number)
            raise error
        delivered.append(message.number)

    async def begin() -> Any:
        registry = parcels.ParcelRegistry(on_effect=handle)
        registry.accept(parcels.ParcelId.new(), "here")
        return registry

    async def interrupted() -> None:
        await asyncio.sleep(30)

    try:
        registry = loop.run_until_complete(begin())
        waiting = loop.create_task(interrupted())
        with pytest.raises(error):
            loop.run_until_complete(waiting)
        waiting.cancel()
        loop.run_until_complete(asyncio.wait_for(eventually(lambda: delivered), 30))
        assert delivered == raised == [1]
        registry.close()
    finally:
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def test_an_action_may_be_called_as_the_creation_is(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "examples/shipping/machine/shipment.yaml"
    named = ("  deliver: {summary", "  create: {summary")
    freight = package(tmp_path, source, "freight", named)
    with freight.ShipmentRegistry() as registry:
        id = freight.ShipmentId.new()
        registry.order(id, 100)
        (first,) = registry.changes().list_since(0).entries
    assert first.action is freight.ShipmentAction._CREATE
    assert freight.INSPECTION.begins == ("reserving", "_create")
    assert ("on_the_way", "delivered", "create") in freight.INSPECTION.transitions

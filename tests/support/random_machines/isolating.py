"""Machines examined in a process of their own: one that dies or hangs is a finding as well."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from attrs import define, field, frozen

from tests.support.random_machines.building import Tree
from tests.support.random_machines.examining import Examination
from tests.support.random_machines.verdicts import FaultError, Tally
from tests.support.random_machines.versions import Versions

#: One machine is examined in far less, also where several processes share a core.
SECONDS_MAX = 180
#: A process imports the compiler and its tools before its first machine.
_START_SECONDS_MAX = 300
#: A machine by its number, and what it has.
Source = Callable[[int], tuple[Tree, frozenset[str]]]
#: The source of machines that are examined by their next versions, and how many each has.
VERSIONS, _EDITS = "versions", 6
_CONTEXT = multiprocessing.get_context("spawn")


@frozen
class Failure:
    """A machine with a fault, by its source and number."""

    source: str
    number: int
    kind: str
    message: str
    #: Whether the process that examined it came to its end by itself.
    survived: bool = True

    def __str__(self) -> str:
        return f"--{self.source} --number {self.number}: {self.message}"


@frozen
class Chunk:
    """Some machines of one source, one after another."""

    source: str
    make: Source
    numbers: Sequence[int]


@define
class Findings:
    """What was counted, and what was found."""

    tally: Tally = field(factory=Tally)
    failures: list[Failure] = field(factory=list)


@define(eq=False)
class _Worker:
    """A process at work on a chunk, and how far it is."""

    chunk: Chunk
    process: Any
    connection: Connection
    number: int
    begun: bool = False
    since: float = field(factory=time.monotonic)
    tally: Tally = field(factory=Tally)
    ended: bool = False

    def failure(self, kind: str, message: str) -> Failure:
        """The failure of the machine that it was examining."""
        return Failure(self.chunk.source, self.number, kind, f"{kind}: {message}", survived=False)


def examined(
    chunks: Iterator[Chunk], *, until: float, processes: int, seconds_max: float = SECONDS_MAX
) -> Findings:
    """Examine chunk after chunk until a time of the monotonic clock, or until there are no more."""
    found = Findings()
    workers: dict[Any, _Worker] = {}
    try:
        while True:
            while len(workers) < processes and time.monotonic() < until:
                chunk = next(chunks, None)
                if chunk is None:
                    break
                worker = _begun(chunk, until)
                workers[worker.connection] = worker
            if not workers:
                return found
            for ready in wait(list(workers), timeout=1):
                _receive(workers[ready], found)
            for worker in list(workers.values()):
                allowed = seconds_max if worker.begun else _START_SECONDS_MAX
                if not worker.ended and time.monotonic() - worker.since > allowed:
                    message = f"it was examined for more than {allowed:g} seconds"
                    found.failures.append(worker.failure("an examination hangs", message))
                    worker.ended = True
                if worker.ended:
                    del workers[worker.connection]
                    found.tally.add(worker.tally)
                    _end(worker)
    finally:
        for worker in workers.values():
            _end(worker)


def _begun(chunk: Chunk, until: float) -> _Worker:
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_work, args=(chunk, until, theirs), daemon=True)
    process.start()
    # So that a process which dies leaves no writer behind: the pipe ends with it.
    theirs.close()
    return _Worker(chunk, process, ours, chunk.numbers[0])


def _receive(worker: _Worker, found: Findings) -> None:
    """Take one message of a worker, or notice that it has died."""
    try:
        message = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join(10)
        status = f"its process ended with {worker.process.exitcode}"
        found.failures.append(worker.failure("an examination dies", status))
        worker.ended = True
        return
    match message:
        case ("begins", number):
            worker.number, worker.begun, worker.since = number, True, time.monotonic()
        case ("examined", failures, tally):
            worker.tally = tally
            found.failures += failures
        case _:
            worker.ended = True


def _end(worker: _Worker) -> None:
    """Have nothing of a worker left, the processes that it has begun included."""
    if worker.process.pid is not None:
        try:
            os.killpg(worker.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            worker.process.kill()
    worker.process.join()
    worker.connection.close()


def _work(chunk: Chunk, until: float, connection: Connection) -> None:
    """Examine the machines of a chunk, and tell of each (in a process of its own)."""
    # A group of processes that the parent can kill as a whole.
    os.setsid()
    examination = Examination(thorough=True)
    for number in chunk.numbers:
        if time.monotonic() > until and number != chunk.numbers[0]:
            break
        connection.send(("begins", number))
        failures = list(_failures(chunk, number, examination))
        connection.send(("examined", failures, examination.tally))
    connection.send(("ends",))


def examine(
    source: str, number: int, tree: Tree, features: frozenset[str], examination: Examination
) -> None:
    """Examine a machine as its source has it; raises FaultError for what is wrong."""
    if source == VERSIONS:
        Versions(tree, number, examination.tally).run(_EDITS)
    else:
        examination.of(tree, features)


def _failures(chunk: Chunk, number: int, examination: Examination) -> Sequence[Failure]:
    try:
        tree, features = chunk.make(number)
        examine(chunk.source, number, tree, features, examination)
    except FaultError as error:
        return [Failure(chunk.source, number, error.kind, str(error))]
    except Exception:
        # A fault of the examination itself must not hide what the other machines show.
        kind = "the examination crashes"
        text = f"{kind}: {traceback.format_exc(limit=-4)}"
        return [Failure(chunk.source, number, kind, text)]
    return []

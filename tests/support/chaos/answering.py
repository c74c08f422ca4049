"""Calling commands in the program under faults, and saying what each call came to."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import frozen
from opslifecycle import (
    InternalError,
    OpsLifecycleError,
    OwnershipLostError,
    PersistenceError,
    RegistryClosedError,
)

from tests.support.chaos.pipe import Reporter


class OverError(Exception):
    """The registry refuses every further command: another one has to be opened."""


@frozen
class Call:
    """One command: what is said of it, and the function that carries it out."""

    command: str
    facts: dict[str, Any]
    run: Callable[[], Any]


class Answering:
    """Calls commands of one registry, one after another or several at once."""

    def __init__(self, part: str, reporter: Reporter, threads: ThreadPoolExecutor) -> None:
        self._part = part
        self._reporter = reporter
        self._threads = threads

    def call(self, call: Call) -> tuple[bool, Any]:
        """Call a command; returns whether it was accepted, and its answer."""
        number = self._reporter.attempt(self._part, call.command, **call.facts)
        try:
            answer = call.run()
        except (RegistryClosedError, OwnershipLostError) as error:
            self._say("over", number, error)
            raise OverError from error
        except (PersistenceError, InternalError) as error:
            self._say("failed", number, error)
            return False, None
        except OpsLifecycleError as error:
            self._say("refused", number, error)
            return False, None
        # The very next thing after the return.
        self._reporter.say("ok", n=number, answer=answer)
        return True, answer

    def at_once(self, calls: Sequence[Call]) -> list[bool]:
        """Call commands from several threads, so that they share commits; waits for all."""
        futures = [self._threads.submit(self.call, each) for each in calls]
        for future in futures:
            future.exception()
        return [future.result()[0] for future in futures]

    def _say(self, what: str, number: int, error: Exception) -> None:
        self._reporter.say(what, n=number, error=type(error).__name__, text=str(error))


def weighted(chance: random.Random, weights: dict[str, int]) -> str:
    """Return one of the names, those with greater weights more often."""
    return chance.choices(list(weights), list(weights.values()))[0]

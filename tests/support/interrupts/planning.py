"""Which executions of bytecodes are interrupted, each in a world of its own.

A call executes the same bytecode with the same callers again and again: in the rounds of a loop,
and in threads and event loops that work for many calls. What an interrupt can leave behind differs
between the first round, in which nothing is done yet, and a later one, in which a part is; and
between a registry that is alone and one with a store. Therefore the first and the second execution
with the same callers are interrupted once in each kind of world, by the first examination that has
them. A method of the registry is itself among the callers, so that no two methods share a bytecode
that a caller's thread executes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, field, frozen

from tests.support.interrupts.injecting import INTERRUPTS, Aimed, Injection, Listing, Target

#: How many executions of a bytecode with the same callers are interrupted.
_OCCURRENCES = 2
#: How often a call is made for a target. Threads may execute other bytecodes than they did before.
_ATTEMPTS = 3


class InterruptError(AssertionError):
    """Something that does not hold after an interrupt."""


@frozen
class Examination:
    """What is interrupted, by a name."""

    name: str
    #: Makes a world, makes a call in it with the injection, and looks at what holds then.
    attempt: Callable[[Injection], None]
    #: What kind of world that is. Examinations of one share what has been interrupted.
    world: str = ""
    #: What it is interrupted by; by default each kind in turn, so that neighbours differ.
    kinds: tuple[type[BaseException], ...] = INTERRUPTS


@define
class Report:
    """What has come of an examination."""

    name: str
    #: How many bytecodes a call executes.
    bytecodes: int = 0
    #: How many calls were interrupted, and how many targets were not met.
    interrupted: int = 0
    missed: int = 0
    failures: list[InterruptError] = field(factory=list)

    def check(self) -> None:
        """Raise the first failure."""
        for each in self.failures:
            raise each
        assert self.bytecodes > 20, self

    def __str__(self) -> str:
        if self.failures:
            lines = [f"FAILED {self.name}", *map(str, self.failures)]
            return "\n    ".join(lines)
        missed = f", {self.missed} targets not met" * bool(self.missed)
        return f"passed {self.name}: {self.interrupted} of {self.bytecodes}{missed}"


@define
class Examiner:
    """Carries examinations out, and knows what earlier ones have interrupted."""

    #: Of how many targets one is interrupted.
    step: int = 1
    #: How often a call is made to find out its bytecodes, because threads vary.
    listings: int = 1
    #: After how many failures an examination ends.
    failures_max: int = 1
    _done: dict[str, set[Target]] = field(factory=dict, init=False)

    def carry_out(self, examination: Examination) -> Report:
        """Interrupt an examination's call before one target after another."""
        report = Report(examination.name)
        done = self._done.setdefault(examination.world, set())
        found = Counter[Target]()
        for _ in range(self.listings):
            listing = Listing()
            if not self._tried(examination, listing, report):
                return report
            report.bytecodes = max(report.bytecodes, len(listing.stacks))
            found.update(_targets(listing))
        # What another thread or a timer causes now and then, a call that waits for it always has.
        usual = [each for each, count in found.items() if 2 * count > self.listings]
        left = [each for each in usual[:: self.step] if each not in done]
        for number, target in enumerate(left):
            kind = examination.kinds[number % len(examination.kinds)]
            if self._is_met(examination, target, kind, report):
                done.add(target)
            if len(report.failures) >= self.failures_max:
                break
        return report

    def _is_met(
        self, examination: Examination, target: Target, kind: type[BaseException], report: Report
    ) -> bool:
        for attempt in range(_ATTEMPTS):
            injection = Aimed(target=target, kind=kind, is_slow=attempt > 0)
            if not self._tried(examination, injection, report) or injection.place is not None:
                report.interrupted += 1
                return True
        report.missed += 1
        return False

    def _tried(self, examination: Examination, injection: Injection, report: Report) -> bool:
        try:
            with _named(examination, injection):
                examination.attempt(injection)
        except InterruptError as error:
            report.failures.append(error)
            return False
        return True


def _targets(listing: Listing) -> Iterator[Target]:
    seen = Counter[object]()
    for stack in listing.stacks:
        seen[stack] += 1
        if seen[stack] <= _OCCURRENCES:
            yield Target(stack, seen[stack])


@contextmanager
def _named(examination: Examination, injection: Injection) -> Iterator[None]:
    """Say of an error where the interrupt came."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and not isinstance(error, INTERRUPTS):
            raise
        place = injection.place or "nowhere"
        kind = injection.kind.__name__
        raise InterruptError(f"{examination.name}, {kind} at {place}: {error!r}") from error

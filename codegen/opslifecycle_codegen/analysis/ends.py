"""Stage 3, analyze: the steps of every terminal action, declared ones and those of features.

In order: the sequence number, the machine's own steps, the feed entry, notified waiters, eviction,
discarded records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from opslifecycle_codegen.analysis import placement
from opslifecycle_codegen.analysis.changes import Changes
from opslifecycle_codegen.analysis.timers import PLANNED
from opslifecycle_codegen.analysis.transitions import NEVER, fed_end
from opslifecycle_codegen.base.diagnostics import Location
from opslifecycle_codegen.ir.expr import And, Arithmetic, Expression, Field, Name, Root, number
from opslifecycle_codegen.ir.program import Assignment, EndStep
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.times import NOW, now
from opslifecycle_codegen.ir.types import BOOL, ENTITY, INT, REGISTRY, Type
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.words import Expr

Compile = Callable[[Expr, Scope, Type], Expression]


class Ends:
    """Analyses the steps of a terminal action."""

    def __init__(
        self, machine: model.Machine, symbols: Symbols, changes: Changes, compiled: Compile
    ) -> None:
        self._machine = machine
        self._symbols = symbols
        self._changes = changes
        self._compile = compiled
        self._record = Name(ENTITY, Root.RECORD, str(machine.entity))
        self._registry = Name(REGISTRY, Root.REGISTRY, "registry")
        names: dict[str, Expression] = {
            NOW: now(), "registry": self._registry, str(machine.entity): self._record
        }  # fmt: skip
        self._scope = Scope(symbols, names)

    def steps(self) -> tuple[EndStep, ...]:
        """Return the steps in order."""
        return (
            *self._numbered(),
            *map(self._own, self._machine.on_terminal),
            *self._fed(),
            *self._notified(),
            *([PLANNED] if self._machine.after else []),
            *self._evicted(),
            *self._discarded(),
        )

    def of_a_transition(self, *, fed: bool, announces: bool) -> tuple[EndStep, ...]:
        """Return the steps of an action that finishes no record.

        Args:
            fed: Whether it enters the feed.
            announces: Whether it leads to a milestone, for which waits are over.
        """
        return (
            *(self._numbered() if fed else ()),
            *(self._appended(self._test(self._when())) if fed else ()),
            *(self._notified() if announces else ()),
            *(self._evicted() if fed else ()),
        )

    def _when(self) -> Expr | None:
        return self._machine.feed.when if self._machine.feed is not None else None

    def _own(self, step: command_model.Step) -> EndStep:
        updates = self._changes.updates(step.update, self._scope)
        return EndStep(self._test(step.if_), updates, self._changes.effects(step.effects))

    def _test(self, test: Expr | None) -> Expression | None:
        return self._compile(test, self._scope, BOOL) if test is not None else None

    def _placed(
        self, names: Sequence[str], mark: Location, test: Expr | None = None,
        updates: tuple[Assignment, ...] = (),
    ) -> EndStep:  # fmt: skip
        effects = self._changes.effects(placement.effect_names(names, mark))
        return EndStep(self._test(test), updates, effects)

    def _counter(self, name: str, feed: model.Feed) -> Field:
        return Field(INT, self._registry, name, mark=feed.mark)

    def _numbered(self) -> Iterator[EndStep]:
        feed = self._machine.feed
        if feed is None:
            return
        counter = self._counter(str(feed.counter), feed)
        type = self._symbols.entity_fields["sequence"]
        sequence = Field(type, self._record, "sequence", mark=feed.mark)
        following = Arithmetic(INT, "+", counter, number(1), mark=feed.mark)
        updates = Assignment(counter, following), Assignment(sequence, counter)
        yield self._placed([], feed.mark, updates=updates)

    def _fed(self) -> Iterator[EndStep]:
        """Append a finished record, unless the feed leaves its action out."""
        action = fed_end(self._machine, self._symbols, self._record)
        if action is None:
            yield from self._appended(self._test(self._when()))
        elif action != NEVER:
            own = self._test(self._when())
            yield from self._appended(action if own is None else And(BOOL, (own, action)))

    def _appended(self, test: Expression | None) -> Iterator[EndStep]:
        feed = self._machine.feed
        if feed is not None:
            counter = self._counter(str(feed.counter), feed)
            updates = (Assignment(self._counter("watermark", feed), counter),)
            effects = self._changes.effects(placement.effect_names(["append_to_feed"], feed.mark))
            yield EndStep(test, updates, effects)

    def _notified(self) -> Iterator[EndStep]:
        machine = self._machine
        names = [
            *(["count_in_barriers"] if machine.barrier is not None else []),
            *(["wake_watchers"] if machine.watch is not None else []),
        ]
        if names:
            yield self._placed(names, machine.mark)

    def _evicted(self) -> Iterator[EndStep]:
        feed, retention = self._machine.feed, self._machine.retention
        if feed is not None and retention is not None:
            yield self._placed(["evict_oldest"], retention.mark, feed.when)

    def _discarded(self) -> Iterator[EndStep]:
        test = self._machine.discard_when
        if test is not None:
            yield self._placed(["erase"], test.mark, test)

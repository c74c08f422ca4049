"""Stage 3, analyze: place features, before commands are analysed (ADR 0018).

A machine declares that it has a watch, a barrier, a feed, a retention. This module places the
resulting fields, guards and effects in its commands; `ends` places those of terminal actions.
Users cannot put them in a wrong place, and every later stage reads one form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import evolve

from opslifecycle_codegen.analysis import history, timers, transitions
from opslifecycle_codegen.base.diagnostics import Diagnostics, Location
from opslifecycle_codegen.ir.built_ins import BUILT_IN_EFFECTS, LEGAL_STATUS
from opslifecycle_codegen.ir.feeds import feeds_transitions
from opslifecycle_codegen.ir.migrations import RECORD, REGISTRY
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.words import Expr, GuardUse, Name, Text, TypeExpr

EVICT_RECORDS, EVICT_ENTRIES = "records", "entries"


def placed(machine: model.Machine, diagnostics: Diagnostics) -> model.Machine:
    """Return the machine with its features placed; report declarations that conflict with them."""
    return _Placement(machine, diagnostics).run()


def declared_updates(machine: model.Machine) -> Iterator[Text]:
    """Yield the targets of all declared updates."""
    yield from machine.create.update
    for action in machine.actions.values():
        yield from action.declared_updates()
    for step in machine.on_terminal:
        yield from step.update
    for bulk in machine.bulk.values():
        yield from bulk.update
    if machine.rollback is not None:
        yield from machine.rollback.update


class _Placement:
    def __init__(self, machine: model.Machine, diagnostics: Diagnostics) -> None:
        self._machine = machine
        self._diagnostics = diagnostics
        self._entity = str(machine.entity)

    def run(self) -> model.Machine:
        self._noted = {
            **transitions.placed_fields(self._machine, self._diagnostics),
            **timers.placed_fields(self._machine, self._diagnostics),
        }
        self._refuse_built_in_effects()
        self._refuse_tests_of_legality()
        self._refuse_updates_of_the_feed()
        self._refuse_features_without_a_feed()
        return evolve(
            self._machine,
            guards={n: g for n, g in self._machine.guards.items() if n != LEGAL_STATUS},
            global_guards=_without_legality(self._machine.global_guards),
            create=evolve(
                self._machine.create, guards=_without_legality(self._machine.create.guards)
            ),
            rollback=self._rollback(),
            erase=self._erase(),
            fields=self._fields(),
            values={
                **self._machine.values,
                **history.placed_value(self._machine, self._diagnostics),
            },
            registry=self._registry(),
        )

    # What is refused ----------------------------------------------------------------------------

    def _declared_effects(self) -> Iterator[Name]:
        machine = self._machine
        yield from machine.create.effects
        for status in machine.statuses.members.values():
            yield from (*status.exit, *status.entry)
        for action in machine.actions.values():
            yield from action.declared_effects()
        for step in machine.on_terminal:
            yield from step.effects
        if machine.rollback is not None:
            yield from machine.rollback.effects
        if machine.erase is not None:
            yield from machine.erase.effects

    def _refuse_built_in_effects(self) -> None:
        for name in self._declared_effects():
            if name in BUILT_IN_EFFECTS:
                message = f"{name} is built in: the compiler places it"
                hint = f"declare {BUILT_IN_EFFECTS[name]}"
                self._diagnostics.add(name.mark, "built-in-effect", message, hint)

    def _refuse_tests_of_legality(self) -> None:
        for name in self._machine.guards:
            if name == LEGAL_STATUS:
                message = f"{LEGAL_STATUS} is the test that the compiler makes of every action"
                hint = "declare its error under illegal_transition"
                self._diagnostics.add(name.mark, "legality", message, hint)
        others = [*self._machine.global_guards, *self._machine.create.guards]
        others += self._machine.watch.guards if self._machine.watch is not None else []
        for check in others:
            if check == LEGAL_STATUS:
                message = (
                    f"{LEGAL_STATUS} has a meaning only for actions, the rollback and the erasing"
                )
                self._diagnostics.add(check.mark, "legality", message)

    def _refuse_updates_of_the_feed(self) -> None:
        owned = {f"{self._entity}.{name}" for name in self._noted}
        if self._machine.feed is not None:
            owned |= {f"{self._entity}.sequence"}
            owned |= {f"registry.{name}" for name in counters(self._machine.feed)}
        for target in declared_updates(self._machine):
            if target in owned:
                of_timer = str(target).partition(".")[2] in timers.since_fields(self._machine)
                owner = "the timers" if of_timer else "the feed"
                message = f"{target} belongs to {owner}: the compiler updates it"
                self._diagnostics.add(target.mark, "owned-field", message)

    def _refuse_features_without_a_feed(self) -> None:
        machine = self._machine
        retention = machine.retention
        if retention is not None and machine.feed is None:
            message = "retention needs a feed"
            self._diagnostics.add(retention.mark, "missing-feed", message)
        if retention is not None and retention.evict not in (EVICT_RECORDS, EVICT_ENTRIES):
            message = f"{str(retention.evict)!r} cannot be evicted"
            hint = f"expected {EVICT_RECORDS} (with their entries) or {EVICT_ENTRIES}"
            self._diagnostics.add(retention.evict.mark, "unknown-name", message, hint)
        if retention is not None and retention.archive is not None:
            self._refuse_an_archive_of_nothing(retention, retention.archive)
        if machine.cursors is not None and machine.feed is None:
            self._diagnostics.add(machine.cursors.mark, "missing-feed", "cursors need a feed")

    def _refuse_an_archive_of_nothing(
        self, retention: model.Retention, archive: model.Archive
    ) -> None:
        if retention.evict != EVICT_RECORDS:
            message = f"an archive has evicted records, and this machine evicts {retention.evict}"
            hint = f"write `evict: {EVICT_RECORDS}`"
            self._diagnostics.add(archive.mark, "wrong-shape", message, hint)
        if self._machine.recovery is None:
            message = "an archive is in the store, and nothing is stored without `recovery`"
            self._diagnostics.add(archive.mark, "missing-key", message, "add `recovery`")

    # Features -----------------------------------------------------------------------------------

    def _rollback(self) -> command_model.Rollback | None:
        rollback, machine = self._machine.rollback, self._machine
        if rollback is None:
            return None
        effects = [
            *(["fail_barriers"] if machine.barrier is not None else []),
            *(["close_watchers"] if machine.watch is not None else []),
            *(["cancel_timers"] if machine.after else []),
            "erase",
        ]
        placed_too = effect_names(effects, rollback.mark)
        return evolve(rollback, effects=[*rollback.effects, *placed_too])

    def _erase(self) -> command_model.Erase | None:
        erase = self._machine.erase
        if erase is None:
            return None
        return evolve(erase, effects=[*erase.effects, *effect_names(["erase"], erase.mark)])

    def _fields(self) -> dict[Name, model.EntityField]:
        feed, fields = self._machine.feed, dict(self._machine.fields)
        if feed is None:
            return {**fields, **self._noted}
        declared = fields.get(Name("sequence", feed.mark))
        type = TypeExpr("int | None", feed.mark)
        if declared is None:
            fields[Name("sequence", feed.mark)] = model.EntityField(mark=feed.mark, type=type)
        elif declared.type != type or declared.initial is not None:
            message = "sequence belongs to the feed: its type is `int | None`, with no value"
            self._diagnostics.add(declared.mark, "owned-field", message)
        return {**fields, **self._noted}

    def _registry(self) -> dict[Name, model.RegistryField]:
        feed, fields = self._machine.feed, dict(self._machine.registry)
        if feed is None:
            return fields
        for name, summary in counters(feed).items():
            declared = fields.get(Name(name, feed.mark))
            if declared is None:
                fields[Name(name, feed.mark)] = model.RegistryField(
                    mark=feed.mark, type=TypeExpr("int", feed.mark),
                    initial=Expr("0", feed.mark), summary=Text(summary, feed.mark),
                )  # fmt: skip
            elif (declared.type, declared.initial) != ("int", "0") or declared.recovered_as:
                message = f"{name} belongs to the feed: it is an `int` whose initial value is 0"
                self._diagnostics.add(declared.mark, "owned-field", message)
        return fields


def placed_names(machine: model.Machine) -> dict[str, set[str]]:
    """Return the stored fields of a machine's features: of a record, and of the registry."""
    feed, found = machine.feed, set(timers.since_fields(machine))
    if feed is None:
        return {RECORD: found, REGISTRY: set()}
    noted = {str(name) for name in machine.fields if name.startswith(transitions.field_name(""))}
    noted = noted if feeds_transitions(machine) else set()
    return {RECORD: {*found, *noted, "sequence"}, REGISTRY: {*counters(feed)}}


def effect_names(names: Sequence[str], mark: Location) -> list[Name]:
    """Return the effects of a feature."""
    return [Name(name, mark) for name in names]


def counters(feed: model.Feed) -> dict[str, str]:
    """Return the registry fields of a feed, each with its summary."""
    return {
        str(feed.counter): "The last sequence number that was assigned.",
        "watermark": "The sequence number of the last feed entry.",
        "dropped_through": "The sequence number of the last feed entry that was evicted.",
    }


def _without_legality(checks: Sequence[GuardUse]) -> list[GuardUse]:
    """Return the checks without rejected ones, so that an error is reported once."""
    return [check for check in checks if check != LEGAL_STATUS]

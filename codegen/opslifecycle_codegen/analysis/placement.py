"""Stage 3, analyze: features put where they belong, before anything is checked or compiled.

A machine says that it has a watch, a barrier, a feed, a retention; what follows for its actions is
placed here, as guards, updates and effects of the machine itself. So there is no wrong place for
them, every later stage sees one form, and what a user writes cannot contradict them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from attrs import evolve

from opslifecycle_codegen.base.diagnostics import Diagnostics, Location
from opslifecycle_codegen.ir.built_ins import BUILT_IN_EFFECTS, LEGAL_STATUS
from opslifecycle_codegen.source import model
from opslifecycle_codegen.source.words import Expr, Name, Text, TypeExpr

EVICT_RECORDS, EVICT_ENTRIES = "records", "entries"


def placed(machine: model.Machine, diagnostics: Diagnostics) -> model.Machine:
    """Return the machine with its features placed, and report what stands in their way."""
    return _Placement(machine, diagnostics).run()


def declared_updates(machine: model.Machine) -> Iterator[Text]:
    """Yield the targets of every update that a machine declares."""
    yield from machine.create.update
    for action in machine.actions.values():
        yield from action.update
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
        self._refuse_built_in_effects()
        self._refuse_tests_of_legality()
        self._refuse_updates_of_the_feed()
        self._refuse_features_without_a_feed()
        return evolve(
            self._machine,
            guards=self._guards(),
            global_guards=_without_legality(self._machine.global_guards),
            create=evolve(
                self._machine.create, guards=_without_legality(self._machine.create.guards)
            ),
            default_guards=self._with_legality(self._machine.default_guards),
            actions={name: self._action(each) for name, each in self._machine.actions.items()},
            rollback=self._rollback(),
            erase=self._erase(),
            fields=self._fields(),
            registry=self._registry(),
            on_terminal=self._ends(),
        )

    # What is refused ----------------------------------------------------------------------------

    def _declared_effects(self) -> Iterator[Name]:
        machine = self._machine
        yield from machine.create.effects
        for action in machine.actions.values():
            yield from action.effects
        for step in machine.on_terminal:
            yield from step.effects
        if machine.rollback is not None:
            yield from machine.rollback.effects
        if machine.erase is not None:
            yield from machine.erase.effects

    def _refuse_built_in_effects(self) -> None:
        for name in self._declared_effects():
            if name in BUILT_IN_EFFECTS:
                message = f"{name} is no effect of a machine: the compiler places it"
                hint = f"declare {BUILT_IN_EFFECTS[name]}"
                self._diagnostics.add(name.mark, "built-in-effect", message, hint)

    def _refuse_tests_of_legality(self) -> None:
        for name, guard in self._machine.guards.items():
            if name == LEGAL_STATUS:
                message = f"{LEGAL_STATUS} is the test that the compiler makes of every action"
                hint = "say under illegal_transition what it refuses with"
                self._diagnostics.add(name.mark, "legality", message, hint)
            for text in (guard.when, *guard.let.values()):
                if _mentions_sources(text):
                    message = f"{name} tests `from` itself: the compiler does, for every action"
                    hint = f"take the test out; {LEGAL_STATUS} in a list of checks places it"
                    self._diagnostics.add(text.mark, "legality", message, hint)
        others = [*self._machine.global_guards, *self._machine.create.guards]
        others += self._machine.watch.guards if self._machine.watch is not None else []
        for check in others:
            if check == LEGAL_STATUS:
                message = (
                    f"{LEGAL_STATUS} has a meaning only for actions, the rollback and the erasing"
                )
                self._diagnostics.add(check.mark, "legality", message)

    def _refuse_updates_of_the_feed(self) -> None:
        if self._machine.feed is None:
            return
        owned = {f"{self._entity}.sequence"}
        owned |= {f"registry.{name}" for name in self._counters(self._machine.feed)}
        for target in declared_updates(self._machine):
            if target in owned:
                message = f"{target} belongs to the feed: the compiler updates it"
                self._diagnostics.add(target.mark, "owned-field", message)

    def _refuse_features_without_a_feed(self) -> None:
        machine = self._machine
        retention = machine.retention
        if retention is not None and machine.feed is None:
            message = "retention needs a feed"
            self._diagnostics.add(retention.mark, "missing-feed", message)
        if retention is not None and retention.evict not in (EVICT_RECORDS, EVICT_ENTRIES):
            message = f"{str(retention.evict)!r} cannot be evicted"
            hint = f"there are {EVICT_RECORDS} (with their entries) and {EVICT_ENTRIES}"
            self._diagnostics.add(retention.evict.mark, "unknown-name", message, hint)
        if machine.cursors is not None and machine.feed is None:
            self._diagnostics.add(machine.cursors.mark, "missing-feed", "cursors need a feed")

    # Legality -----------------------------------------------------------------------------------

    def _guards(self) -> dict[Name, model.Guard]:
        refusal = self._machine.illegal_transition
        when = Expr(f"{self._entity}.status in action.from_statuses", refusal.mark, precise=False)
        legal = model.Guard(mark=refusal.mark, when=when, error=refusal)
        return {**self._machine.guards, Name(LEGAL_STATUS, refusal.mark): legal}

    def _with_legality(self, checks: Sequence[Name]) -> list[Name]:
        """The checks with the test of the status: where named, else once the record exists."""
        if LEGAL_STATUS in checks:
            return list(checks)
        place = len(checks)
        for at, check in enumerate(checks):
            guard = self._machine.guards.get(check)
            if guard is not None and self._ensures_existence(guard):
                place = at + 1
                break
        mark = checks[place - 1].mark if checks else self._machine.illegal_transition.mark
        return [*checks[:place], Name(LEGAL_STATUS, mark), *checks[place:]]

    def _ensures_existence(self, guard: model.Guard) -> bool:
        tree = _tree(guard.when)
        conjunction = isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And)
        parts = tree.values if conjunction and isinstance(tree, ast.BoolOp) else [tree]
        exists = f"{self._entity} is not None"
        return any(part is not None and ast.unparse(part) == exists for part in parts)

    # Features -----------------------------------------------------------------------------------

    def _action(self, action: model.Action) -> model.Action:
        if action.guards is None:
            return action
        return evolve(action, guards=self._with_legality(action.guards))

    def _rollback(self) -> model.Rollback | None:
        rollback, machine = self._machine.rollback, self._machine
        if rollback is None:
            return None
        effects = [
            *(["fail_barriers"] if machine.barrier is not None else []),
            *(["close_watchers"] if machine.watch is not None else []),
            "erase",
        ]
        checks = None if rollback.guards is None else self._with_legality(rollback.guards)
        return evolve(
            rollback, guards=checks, effects=[*rollback.effects, *_names(effects, rollback.mark)]
        )

    def _erase(self) -> model.Erase | None:
        erase = self._machine.erase
        if erase is None:
            return None
        checks = None if erase.guards is None else self._with_legality(erase.guards)
        effects = [*erase.effects, *_names(["erase"], erase.mark)]
        return evolve(erase, guards=checks, effects=effects)

    def _counters(self, feed: model.Feed) -> dict[str, str]:
        """Return the fields of the registry that a feed has, each with its summary."""
        return {
            str(feed.counter): "The last sequence number that was assigned.",
            "watermark": "The sequence number of the last feed entry.",
            "dropped_through": "The sequence number of the last feed entry that was evicted.",
        }

    def _fields(self) -> dict[Name, model.EntityField]:
        feed, fields = self._machine.feed, dict(self._machine.fields)
        if feed is None:
            return fields
        declared = fields.get(Name("sequence", feed.mark))
        type = TypeExpr("int | None", feed.mark)
        if declared is None:
            fields[Name("sequence", feed.mark)] = model.EntityField(mark=feed.mark, type=type)
        elif declared.type != type or declared.initial is not None:
            message = "sequence belongs to the feed: its type is `int | None`, with no value"
            self._diagnostics.add(declared.mark, "owned-field", message)
        return fields

    def _registry(self) -> dict[Name, model.RegistryField]:
        feed, fields = self._machine.feed, dict(self._machine.registry)
        if feed is None:
            return fields
        for name, summary in self._counters(feed).items():
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

    def _ends(self) -> list[model.Step]:
        """Return what happens at every end, in order.

        The sequence number, the machine's own steps, the feed, those who wait, what leaves.
        """
        machine, feed = self._machine, self._machine.feed
        steps: list[model.Step] = []
        if feed is not None:
            counter = f"registry.{feed.counter}"
            numbered = {counter: f"{counter} + 1", f"{self._entity}.sequence": counter}
            steps.append(_step(feed.mark, numbered))
        steps += machine.on_terminal
        if feed is not None:
            fed = {"registry.watermark": f"registry.{feed.counter}"}
            steps.append(_step(feed.mark, fed, ["append_to_feed"], feed.when))
        waits = [
            *(["count_in_barriers"] if machine.barrier is not None else []),
            *(["wake_watchers"] if machine.watch is not None else []),
        ]
        if waits:
            steps.append(_step(machine.mark, {}, waits))
        if feed is not None and machine.retention is not None:
            steps.append(_step(machine.retention.mark, {}, ["evict_oldest"], feed.when))
        if machine.discard_when is not None:
            steps.append(_step(machine.discard_when.mark, {}, ["erase"], machine.discard_when))
        return steps


def _step(
    mark: Location,
    update: Mapping[str, str],
    effects: Sequence[str] = (),
    test: Expr | None = None,
) -> model.Step:
    return model.Step(
        mark=mark, if_=test, effects=_names(effects, mark),
        update={Text(target, mark): Expr(value, mark) for target, value in update.items()},
    )  # fmt: skip


def _without_legality(checks: Sequence[Name]) -> list[Name]:
    """Return the checks without what was refused, so that one mistake is reported once."""
    return [check for check in checks if check != LEGAL_STATUS]


def _names(names: Sequence[str], mark: Location) -> list[Name]:
    return [Name(name, mark) for name in names]


def _mentions_sources(text: Expr) -> bool:
    tree = _tree(text)
    return tree is not None and any(
        isinstance(node, ast.Attribute)
        and node.attr == "from_statuses"
        and isinstance(node.value, ast.Name)
        and node.value.id == "action"
        for node in ast.walk(tree)
    )


def _tree(text: Expr) -> ast.expr | None:
    """The syntax tree of an expression; None for one that is reported where it is compiled."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None

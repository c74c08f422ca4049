"""A registry and the interpreter of its machine, asked the same and compared."""

from __future__ import annotations

import contextlib
import itertools
from functools import partial
from types import ModuleType
from typing import Any

from opslifecycle import InternalError, ManualClock, OpsLifecycleError, RegistryClosedError, Store
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.ir.views import BY_ID
from opslifecycle_codegen.modelcheck.functions import Function
from opslifecycle_codegen.modelcheck.state import Answer, Refusal, State

from tests.support.random_machines.exploring import Asked, Exploration
from tests.support.random_machines.shown import Message, TimerlessClock, Views
from tests.support.random_machines.unique_keys import held, samples
from tests.support.random_machines.values import Values
from tests.support.random_machines.verdicts import FaultError

#: Errors that nothing which the compiler accepts may raise.
_CRASHES = (TypeError, AttributeError, LookupError, NameError, ValueError, ArithmeticError)


class Side:
    """One registry; `apply` asks it what the interpreter was asked, and compares everything."""

    def __init__(
        self, program: Program, package: ModuleType, values: Values, exploration: Exploration,
        views: Views, store: Store | None = None, *, clock: ManualClock | None = None,
    ) -> None:  # fmt: skip
        self.program = program
        self.values = values
        self._exploration = exploration
        self._views = views
        self._watches: dict[str, list[Any]] = {}
        self._waits: dict[int, list[Any]] = {}
        #: What should have been handed to the program.
        self.effects: list[Message] = []
        self.closed = False
        self._package = package
        self._own = {str(name) for name in program.machine.effects}
        given = dict(exploration.settings)
        if program.recovery is not None:
            given["store"] = store
        self._clock = clock or TimerlessClock(0)
        if views.timed:
            given["clock"] = self._clock
        try:
            self.registry = self._opened(package, given)
        except Exception as error:
            raise FaultError("a registry cannot be opened", f"{error!r}") from error

    def _opened(self, package: ModuleType, given: dict[str, Any]) -> Any:
        return getattr(package, self._views.public.registry)(**given)

    # Calls --------------------------------------------------------------------------------------

    def apply(self, before: State, asked: Asked, answer: Answer) -> None:
        """Ask one call; raises FaultError unless its answer is the interpreter's."""
        time = max(before.time, asked.call.time or 0)
        self._clock.advance(milliseconds=time - self._clock.wall_ms())
        found = self._found(asked)
        if isinstance(found, InternalError | RegistryClosedError):
            raise FaultError("a registry fails", f"{asked.call}: {found!r}")
        if isinstance(found, OpsLifecycleError):
            self._same_refusal(asked, answer.refusal, found)
            return
        if answer.refusal is not None:
            raise FaultError("accepted", f"{asked.call}, which is refused with {answer.refusal}")
        assert answer.state is not None
        self._legal(before, asked, answer.state)
        self._same_value(asked, answer, found)
        self.effects += self.messages(answer, asked)
        if asked.kind == "watch":
            self._watches.setdefault(str(asked.call.id), []).append(found)
        if asked.kind == "barrier":
            self._waits.setdefault(dict(asked.call.arguments)["key"], []).append(found)

    def _found(self, asked: Asked) -> Any:
        try:
            found = self._called(asked)
            if asked.kind == "barrier" and found.done():
                found.result(0)
        except OpsLifecycleError as error:
            return error
        except Exception as error:
            raise FaultError("a call crashes", f"{asked.call}: {error!r}") from error
        return found

    def _called(self, asked: Asked) -> Any:
        return self.values.call(self.registry, asked.call.method, asked.arguments)

    def _same_refusal(self, asked: Asked, wanted: Refusal | None, found: Any) -> None:
        if wanted is None:
            raise FaultError("refused", f"{asked.call}, which is accepted: {found!r}")
        fields = tuple(self.values.plain(getattr(found, name)) for name in type(found).field_names)
        seen = (type(found).__name__, fields, found.guard or "")
        if seen != (wanted.error, wanted.fields, wanted.guard):
            raise FaultError("refused otherwise", f"{asked.call}: {seen}, not {tuple(wanted)}")

    def _same_value(self, asked: Asked, answer: Answer, found: Any) -> None:
        wanted = found
        if asked.kind == "advance":
            wanted = answer.value
        elif asked.returns:
            found, wanted = self.values.plain(found), answer.value
        elif asked.kind == "collect":
            found, wanted = tuple(self.values.plain(id) for id, _ in found), answer.value
        elif asked.kind == "for all" and isinstance(found, list):
            found = tuple(self.values.plain(getattr(each, "id", each)) for each in found)
            wanted = answer.value
        if found != wanted:
            raise FaultError("another value", f"{asked.call}: {found}, not {wanted}")

    def _legal(self, before: State, asked: Asked, after: State) -> None:
        """What holds of every transition: it begins where the action is legal, never at an end."""
        ended = self._exploration.interpreter.ends.is_ended
        for old, new in zip(before.records, after.records, strict=True):
            if old is not None and new is not None and ended(old) and old != new:
                raise FaultError("an ended record changes", f"{asked.call}: {old} to {new}")
        if asked.kind != "action":
            return
        command = next(each for each in self.program.actions if each.name == asked.action)
        old = next(r for r in before.records if r is not None and r[0] == asked.call.id)
        if old[1] not in command.from_statuses:
            raise FaultError("an illegal transition", f"{asked.call} from {old[1]}")

    def messages(self, answer: Answer, asked: Asked | None = None) -> list[Message]:
        """What is to be handed to the program after a call, or after recovery."""
        found: list[Message] = []
        for id, effects in answer.effects:
            action, arguments = self._named(id, asked)
            found += [Message(e, id, action, arguments) for e in effects if e in self._own]
        return found

    def _named(self, id: str, asked: Asked | None) -> tuple[str, dict[str, Any]]:
        """The action that a message names, and its arguments."""
        recovery = self.program.recovery
        if asked is None:
            assert recovery is not None
            assert recovery.command is not None
            return recovery.command.action, {"id": id}
        given = dict(asked.call.arguments)
        if asked.kind == "create":
            actions = {each.name for each in self.program.actions}
            return "_create" if "create" in actions else "create", given
        if asked.kind == "for all":
            bulk = {each.command.name: each.action for each in self.program.bulk}
            return bulk[asked.call.method], {"id": id, **given}
        return asked.action or asked.call.method, {"id": id, **given}

    # Views --------------------------------------------------------------------------------------

    def look(self, state: State) -> None:
        """Compare everything that can be seen of a state."""
        try:
            self._look(state)
        except OpsLifecycleError as error:
            raise FaultError("a read fails", repr(error)) from error
        except _CRASHES as error:
            raise FaultError("a read crashes", repr(error)) from error

    def _look(self, state: State) -> None:
        range_ = self._exploration.out_of_range(state)
        if range_ is not None:
            raise FaultError("an integer out of its range", range_)
        machine, registry = self.program.machine, self.registry
        records = {r[0]: r for r in state.records if r is not None}
        for real in self.values.ids:
            id = self.values.plain(real)
            record = records.get(id)
            self._same_snapshot(real, record, state)
            self._same_classifiers(real, record, state)
            if record is None or id in self._exploration.ids:
                self._same_permissions(real, state)
        if machine.feed is not None:
            self._same_feed(state)
        if machine.cursors is not None:
            get = getattr(registry, str(machine.cursors.get))
            consumers = getattr(__import__(type(registry).__module__.split(".")[0]),
                                str(machine.cursors.consumer))  # fmt: skip
            self._same("cursors", tuple(get(each) for each in consumers), state.cursors)
        if machine.listing is not None:
            self._same_listing(list(records.values()))
        for key in self.program.unique:
            for wanted in samples(key, self.values):
                found = getattr(registry, key.name)(*wanted)
                plain = tuple(map(self.values.plain, wanted))
                holder = held(self.program, key, list(records.values()), plain)
                self._same_list(
                    f"the holder of {key.name}", [] if found is None else [found],
                    [] if holder is None else [holder],
                )  # fmt: skip
        self._same_waits(state)
        if self._own:
            self._same_effects()
        self._same_invariants(state)

    def _same(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            raise FaultError(what, f"{found}, not {wanted}")

    def _same_effects(self) -> None:
        """What is to be handed to the program: each effect, with the record that it is of."""
        found = []
        for message, wanted in itertools.zip_longest(
            self.registry._pending_effects(), self.effects
        ):
            if message is None or wanted is None:
                raise FaultError("effects", f"{message}, not {wanted}")
            # What identifies the record may be left out of its snapshot.
            id = self.values.plain(message.snapshot.id) if self._views.shows_id else wanted.id
            arguments = {n: self.values.plain(v) for n, v in message.arguments.items()}
            found.append(Message(message.effect.value, id, message.action.value, arguments))
        self._same("effects", found, self.effects)

    def _same_snapshot(self, id: Any, record: Any, state: State) -> None:
        snapshot = getattr(self.registry, str(self.program.machine.snapshot.method))(id)
        if record is None or snapshot is None:
            self._same("snapshot", snapshot, record)
            return
        watched = dict(zip(self._exploration.ids, state.watched, strict=True))
        pending = bool(self._pending(record[0]))
        self._same(f"pending watch of {record[0]}", pending, watched[record[0]])
        for name, wanted in self._shown(record).items():
            self._same(f"snapshot: {name}", self.values.plain(getattr(snapshot, name)), wanted)

    def _pending(self, id: str) -> int:
        return sum(1 for watch in self._watches.get(id, []) if not watch.done())

    def _shown(self, record: Any) -> dict[str, Any]:
        """The fields of a record's snapshot."""
        names = {self._views.entity: record, "watcher_count": self._pending(record[0])}
        return {name: function(dict(names)) for name, function in self._views.snapshot.items()}

    def _same_classifiers(self, id: Any, record: Any, state: State) -> None:
        for name, (function, rule) in self._views.classifiers.items():
            for number in range(2):
                given = {n: self.values.sample(t, number) for n, t in rule.params.items()}
                names = {"registry": state.registry, self._views.entity: record,
                         "id": self.values.plain(id)}  # fmt: skip
                names |= {n: self.values.plain(v) for n, v in given.items()}
                of = [id] if rule.of_record else []
                found = self.values.call(self.registry, name, [*of, *given.values()])
                self._same(f"classifier: {name}", self.values.plain(found), function(names))

    def _same_permissions(self, id: Any, state: State) -> None:
        """The permission of each action is the result of its call."""
        if self.values.plain(id) not in self._exploration.ids:
            return
        for permission in self.registry._allowed(id):
            answers = self._exploration.acts_in(
                state, self.values.plain(id), permission.action, self._clock.wall_ms()
            )
            if permission.refusal is not None:
                wrong = [a for a in answers if a.refusal is None]
            else:
                wrong = [a for a in answers if a.refusal and not permission.depends_on]
            if wrong:
                raise FaultError("allowed", f"{permission} of {id}, but {wrong[0]}")

    def _same_feed(self, state: State) -> None:
        machine = self.program.machine
        assert machine.feed is not None
        names = list(self.program.symbols.row_fields)
        batch = getattr(self.registry, str(machine.feed.method))().list_since(0)
        entries = [self.values.texts(names, entry) for entry in batch.entries]
        self._same("feed", entries, [tuple(row[: len(names)]) for row in state.rows])
        numbers = [entry.seq for entry in batch.entries]
        if numbers != sorted(set(numbers)):
            raise FaultError("feed", f"sequence numbers {numbers}")
        place = self._exploration.interpreter.registry_place
        self._same("watermark", batch.watermark, state.registry[place("watermark")])
        dropped = state.registry[place("dropped_through")]
        self._same("dropped through", batch.dropped_through, dropped)

    def _same_listing(self, records: list[Any]) -> None:
        machine, views = self.program.machine, self._views
        assert machine.listing is not None
        method = getattr(self.registry, str(machine.listing.method))
        named = [{views.entity: record, "watcher_count": 0} for record in records]
        named.sort(key=lambda names: [key(names) for key in views.order])
        self._same_list("listing", method(), [names[views.entity] for names in named])
        types = {name: type for name, type, _ in self.program.views.filters}
        for name, function in views.filters.items():
            wanted = self.values.sample(types[name].required, 0)
            plain = self.values.plain(wanted)
            kept = [names[views.entity] for names in named if function(names) == plain]
            self._same_list(f"listing by {name}", method(**{name: wanted}), kept)
        if self.program.views.pages is not None:
            self._same_pages(method, named)

    def _same_pages(self, method: Any, named: list[Any]) -> None:
        """Read the records page by page: in the listing's own order, and in each declared one."""
        pages, views = self.program.views.pages, self._views
        assert pages is not None
        kind = getattr(self._package, public_names(self.program.machine).order)
        for order in [None, *kind]:
            named.sort(key=lambda names: names[views.entity][0])
            keys = views.order
            if order is not None:
                keys = [] if order.value == BY_ID else [views.orders[order.value]]
            named.sort(key=partial(_sort_key, keys))
            found: list[Any] = []
            page = method(limit=1, order_by=order)
            while page:
                found += page
                page = method(limit=1, order_by=order, after=page.cursor)
            what = f"pages by {order}"
            self._same_list(what, found, [names[views.entity] for names in named])
            self._same_list(
                f"{what}, descending", method(order_by=order, descending=True),
                [names[views.entity] for names in reversed(named)],
            )  # fmt: skip
        types = {name: tree.type for name, tree in pages.orders}
        for side, bounds in ((1, pages.above), (-1, pages.below)):
            for name, order in bounds.items():
                key = views.orders[order]
                for bound in {key(names) for names in named}:
                    kept = [n for n in named if (key(n) > bound if side > 0 else key(n) < bound)]
                    kept.sort(key=lambda names: names[views.entity][0])
                    kept.sort(key=partial(_sort_key, [key]))
                    real = self.values.real(types[order], bound)
                    found = method(**{name: real}, order_by=kind(order))
                    self._same_list(f"the bound {name}", found, [n[views.entity] for n in kept])

    def _same_list(self, what: str, found: list[Any], records: list[Any]) -> None:
        shown = [self._shown(record) for record in records]
        names = self._views.snapshot
        seen = [{n: self.values.plain(getattr(each, n)) for n in names} for each in found]
        self._same(what, seen, shown)

    def _same_waits(self, state: State) -> None:
        outcome = list(self.program.symbols.entity_fields).index("terminal_outcome")
        records = {r[0]: r for r in state.records if r is not None}
        for id in self._exploration.ids:
            record = records.get(id)
            for watch in self._watches.get(id, []):
                if record is not None and record[outcome] is not None and watch.done():
                    # A watch of an earlier record of the same id has its own outcome.
                    found = self._outcome(watch)
                    if found is None:
                        raise FaultError("watch", f"of {id} gives nothing")
        for key, waits in self._waits.items():
            active = sum(1 for wait in waits if not wait.done())
            self._same(f"barriers of {key}", active, len(state.barriers[key]))

    def _outcome(self, watch: Any) -> Any:
        try:
            return self.values.plain(watch.result(0))
        except OpsLifecycleError as error:
            return type(error).__name__

    def _same_invariants(self, state: State) -> None:
        broken = self._exploration.properties.broken_by(state)
        declared = [str(name) for name in self.program.machine.invariants]
        if not declared:
            return
        found = self.registry._broken_invariants()
        wanted = broken if broken in declared else None
        self._same("broken invariants", next(iter(found), None), wanted)

    def close(self) -> None:
        """Close the registry."""
        self.closed = True
        try:
            self.registry._close()
        except Exception as error:
            raise FaultError("a registry cannot be closed", repr(error)) from error

    def abandon(self) -> None:
        """Close a registry that may have failed, whatever it says."""
        with contextlib.suppress(Exception):
            if not self.closed:
                self.registry._close()


def _sort_key(keys: list[Function], names: dict[str, Any]) -> list[Any]:
    return [key(names) for key in keys]

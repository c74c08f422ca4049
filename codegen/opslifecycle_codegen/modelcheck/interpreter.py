"""A machine's rules, carried out as the file says them: slow, and obvious.

What the generated code does is compared with this, state by state. So it shares the reading and the
checking of machine files with the compiler, and nothing that turns them into code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from opslifecycle_codegen.analysis.scenario_rules import CRASH_DISCARDING
from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.ir.types import ACTION, ENTITY, INT, REGISTRY, Type
from opslifecycle_codegen.modelcheck.evaluate import Evaluator, Function, Names
from opslifecycle_codegen.modelcheck.guards import Clauses, Guard, Refused, Update, first_refusal
from opslifecycle_codegen.modelcheck.layouts import ACTION_FIELDS, Layouts
from opslifecycle_codegen.modelcheck.state import Answer, Call, Draft, State
from opslifecycle_codegen.modelcheck.terminal_effects import Ends


@frozen
class _Action:
    guards: tuple[Guard, ...]
    updates: tuple[Update, ...]
    fields: tuple[Any, ...]
    to: str
    terminal: bool
    outcome: Function | None
    stamps: tuple[int, ...]
    effects: tuple[str, ...]


class Interpreter:
    """Answers calls on states of one machine, with so many ids and barrier keys."""

    def __init__(
        self, program: Program, ids: tuple[str, ...], keys: int, settings: Mapping[str, Any]
    ) -> None:
        self.program = program
        self.ids = ids
        self.keys = keys
        self._settings = settings
        self.layouts = Layouts(program)
        self.evaluator = Evaluator(self.layouts)
        self._places = {id: place for place, id in enumerate(ids)}
        machine, symbols = program.machine, program.symbols
        self._entity = str(machine.entity)
        self._clauses = clauses = Clauses(program, self.evaluator)
        self._id_type = symbols.entity_fields["id"]
        self.ends = Ends(program, self.evaluator, clauses, self._places)
        self._fields = list(symbols.entity_fields)
        self._actions = {each.name: self._action(each) for each in program.actions}
        self._create()
        self._features()

    # Reading the machine ------------------------------------------------------------------------

    def _types(
        self, params: Mapping[str, Type], *, record: bool = True, action: bool = True
    ) -> dict[str, Type]:
        types = {"registry": REGISTRY, **params}
        if record:
            types |= {"id": self._id_type, self._entity: ENTITY}
        of_action = {f"action.{name}": type for name, type in ACTION_FIELDS.items()}
        return {**types, "action": ACTION, **of_action} if record and action else types

    def _action(self, command: Command) -> _Action:
        machine, symbols = self.program.machine, self.program.symbols
        declared = next(each for name, each in machine.actions.items() if name == command.name)
        types = self._types(command.params)
        names = declared.guards if declared.guards is not None else machine.default_guards
        terminal = command.to in symbols.status_groups["terminal"]
        outcome = None
        if declared.outcome is not None:
            wanted = symbols.entity_fields["terminal_outcome"]
            outcome = self.evaluator.function(declared.outcome, types, wanted)
        return _Action(
            self._clauses.guards([str(n) for n in names], types),
            self._clauses.updates(declared.update, types),
            (command.label, command.from_statuses, command.idempotent_in),
            command.to, terminal, outcome, self.ends.stamped(command.name),
            tuple(str(effect) for effect in declared.effects),
        )  # fmt: skip

    def _create(self) -> None:
        declared = self.program.machine.create
        params = self.program.create.params
        types = self._types(params, action=False)
        self._create_id = self.evaluator.function(declared.id, params, self._id_type, whole=True)
        self._create_guards = self._clauses.guards([str(n) for n in declared.guards], types)
        self._create_updates = self._clauses.updates(declared.update, types)
        fields = self.program.symbols.entity_fields
        self._starts = {
            list(fields).index(str(name)): self.evaluator.function(
                field.initial,
                {**params, "id": self._id_type, "registry": REGISTRY},
                fields[str(name)],
            )
            for name, field in self.program.machine.fields.items()
            if field.initial is not None
        }

    def _features(self) -> None:
        machine = self.program.machine
        clauses, plain = self._clauses, self._types({}, record=False)
        self._always = clauses.guards([], plain)
        self._bulk = {
            str(name): (
                self.evaluator.function(each.unless, plain) if each.unless is not None else None,
                self._actions[str(each.do)],
                clauses.updates(each.update, plain),
            )
            for name, each in machine.bulk.items()
        }
        self._recovering_with = tuple(
            (str(name), self.evaluator.function(text, {})({}))
            for name, text in (machine.recovery.with_.items() if machine.recovery else ())
        )
        types, watched = self._types({}), self._types({}, action=False)
        #: The guards and updates of the commands that take one record away.
        self._removing: dict[str, tuple[tuple[Guard, ...], tuple[Update, ...]]] = {}
        for declared in (machine.rollback, machine.erase):
            if declared is not None:
                names = machine.default_guards if declared.guards is None else declared.guards
                guards = clauses.guards([str(n) for n in names], types)
                update = getattr(declared, "update", {})
                self._removing[str(declared.method)] = guards, clauses.updates(update, types)
        if machine.watch is not None:
            checks = [str(name) for name in machine.watch.guards]
            self._watch_guards = clauses.guards(checks, watched, global_guards=False)
        if machine.cursors is not None:
            enum = Type("enum", str(machine.cursors.consumer))
            cursor = {**plain, "consumer": enum, "cursor": INT}
            self._beyond = clauses.refused(machine.cursors.beyond, cursor)
            self._consumers = self.layouts.places(Type("counts", inner=enum))
            self._watermark = self.registry_place("watermark")
        self._barrier_checks: list[tuple[str, Refused]] = []
        if machine.barrier is not None:
            self._barrier_checks = [
                (str(name), clauses.refused(refusal, {**plain, "id": self._id_type}))
                for each in machine.barrier.guards
                for name, refusal in each.items()
            ]

    # States -------------------------------------------------------------------------------------

    def initial(self) -> State:
        """Return the state of a new registry."""
        machine, symbols = self.program.machine, self.program.symbols
        starts = {
            str(name): self.evaluator.function(
                field.initial, {}, symbols.registry_fields[str(name)]
            )({})
            for name, field in machine.registry.items()
        }
        registry = tuple(
            self._settings[name] if name in self._settings else starts[name]
            for name in symbols.registry_fields
        )
        enum = symbols.cursor_enum
        cursors = tuple(0 for _ in self.layouts.members(enum)) if enum else ()
        nothing = tuple(None for _ in self.ids)
        keys: tuple[tuple[Any, ...], ...] = tuple(() for _ in range(self.keys))
        return State(registry, nothing, (), (), cursors, keys, tuple(False for _ in self.ids))

    def setting(self, name: str) -> Any:
        """Return what a setting is in this scenario."""
        return self._settings[name]

    def registry_place(self, name: str) -> int:
        """Return where a field of the registry stands in a state."""
        return list(self.program.symbols.registry_fields).index(name)

    # Commands -----------------------------------------------------------------------------------

    def _names(self, state: State, id: str, arguments: tuple[tuple[str, Any], ...]) -> Names:
        place = self._places.get(id)
        record = state.records[place] if place is not None else None
        return {"registry": state.registry, "id": id, self._entity: record, **dict(arguments)}

    def create(self, state: State, call: Call) -> Answer:
        """Create a record."""
        id = self._create_id(dict(call.arguments))
        names = self._names(state, id, call.arguments)
        refusal = first_refusal(self._create_guards, names)
        if refusal is not None:
            return Answer(None, refusal)
        draft = Draft(state)
        fields: list[Any] = [None] * len(self._fields)
        fields[0], fields[1] = id, str(self.program.machine.create.to)
        for place, start in self._starts.items():
            fields[place] = start(names)
        for place in self.ends.stamped("created"):
            fields[place] = 0
        made = list(self.ends.made(fields))
        record = self.ends.update(draft, self._create_updates, names, made)
        draft.records[self._places[id]] = record
        effects = tuple(str(effect) for effect in self.program.machine.create.effects)
        self.ends.carry_out(draft, id, record, effects)
        return Answer(draft.state(), effects=((id, effects),))

    def act(self, state: State, call: Call, name: str) -> Answer:
        """Compile one action on one record."""
        action, id = self._actions[name], call.id
        assert id is not None
        names = self._names(state, id, call.arguments)
        names["action"] = action.fields
        for field, fact in zip(ACTION_FIELDS, action.fields, strict=True):
            names[f"action.{field}"] = fact
        refusal = first_refusal(action.guards, names)
        if refusal is not None:
            return Answer(None, refusal)
        draft = Draft(state)
        record = names[self._entity]
        record, effects = self._acted(draft, action, names, record)
        self.ends.carry_out(draft, id, record, effects)
        return Answer(
            draft.state(), effects=((id, effects),), ended=(id,) if action.terminal else ()
        )

    def _acted(
        self, draft: Draft, action: _Action, names: Names, record: Any
    ) -> tuple[Any, tuple[str, ...]]:
        """Return what an action does to a record, and the effects that follow."""
        fields = list(self.ends.update(draft, action.updates, names, list(record)))
        for place in action.stamps:
            fields[place] = 0
        if not action.terminal:
            if action.to:
                fields[1] = action.to
            effects = action.effects
        else:
            # An outcome sees the record as its action has left it.
            ended = {**names, "registry": tuple(draft.registry), self._entity: tuple(fields)}
            outcome = action.outcome(ended) if action.outcome is not None else action.to
            fields, more = self.ends.end(draft, fields, action.to, outcome)
            effects = (*action.effects, *more)
        changed = tuple(fields)
        draft.records[self._places[changed[0]]] = changed
        return changed, effects

    def bulk(self, state: State, call: Call) -> Answer:
        """Return a command that ends every live record, in the order of their ids."""
        unless, action, updates = self._bulk[call.method]
        names = {"registry": state.registry, **dict(call.arguments)}
        if unless is not None and unless(names):
            return Answer(state, value=())
        draft = Draft(state)
        self.ends.update(draft, updates, names, [])
        return self._end_all(draft, action, call.arguments)

    def _end_all(
        self, draft: Draft, action: _Action, arguments: tuple[tuple[str, Any], ...]
    ) -> Answer:
        live = sorted(r[0] for r in draft.records if r is not None and not self.ends.is_ended(r))
        changed = []
        for id in live:
            record = draft.records[self._places[id]]
            names = {
                "registry": tuple(draft.registry), "id": id, self._entity: record,
                **dict(arguments),
            }  # fmt: skip
            changed.append((id, *self._acted(draft, action, names, record)))
        for id, record, effects in changed:
            self.ends.carry_out(draft, id, record, effects)
        effects_of = tuple((id, effects) for id, _, effects in changed)
        return Answer(draft.state(), effects=effects_of, ended=tuple(live), value=tuple(live))

    def rollback(self, state: State, call: Call) -> Answer:
        """Erase a live record, as if it had never been created."""
        return self._remove(state, call, self.program.rollback)

    def erase(self, state: State, call: Call) -> Answer:
        """Erase one finished record; its feed entry stays."""
        return self._remove(state, call, self.program.erase)

    def _remove(self, state: State, call: Call, command: Command | None) -> Answer:
        assert call.id is not None
        assert command is not None
        guards, updates = self._removing[command.name]
        names = self._names(state, call.id, ())
        names |= {"action.label": command.label, "action.from_statuses": command.from_statuses}
        refusal = first_refusal(guards, names)
        if refusal is not None:
            return Answer(None, refusal)
        draft = Draft(state)
        record = self.ends.update(draft, updates, names, list(names[self._entity]))
        self.ends.carry_out(draft, call.id, record, command.effects)
        return Answer(draft.state(), effects=((call.id, command.effects),))

    def collect(self, state: State, call: Call) -> Answer:
        """Return the outcomes of the finished records, oldest first, and erase them."""
        refusal = first_refusal(self._always, {"registry": state.registry})
        if refusal is not None:
            return Answer(None, refusal)
        draft = Draft(state)
        for id in state.ended:
            self.ends.erase(draft, id)
        return Answer(draft.state(), value=state.ended)

    def advance(self, state: State, call: Call) -> Answer:
        """Return the advance of a cursor, which never falls."""
        names = {"registry": state.registry, **dict(call.arguments)}
        refusal = first_refusal(self._always, names)
        if refusal is None and names["cursor"] > state.registry[self._watermark]:
            refusal = self._beyond.given(names)
        if refusal is not None:
            return Answer(None, refusal)
        draft, place = Draft(state), self._consumers[names["consumer"]]
        draft.cursors[place] = max(draft.cursors[place], names["cursor"])
        if self.program.retention is not None and self.program.retention.held_by_cursors:
            self.ends.evict(draft)
        return Answer(draft.state(), value=draft.cursors[place])

    # Waits --------------------------------------------------------------------------------------

    def watch(self, state: State, call: Call) -> Answer:
        """Return a watch of one record; of an ended one it is answered at once."""
        assert call.id is not None
        names = self._names(state, call.id, ())
        refusal = first_refusal(self._watch_guards, names)
        if refusal is not None:
            return Answer(None, refusal)
        draft = Draft(state)
        if not self.ends.is_ended(names[self._entity]):
            draft.watched[self._places[call.id]] = True
        return Answer(draft.state())

    def wait_for_all(self, state: State, call: Call) -> Answer:
        """Return a barrier over some ids; over ended ones alone it is satisfied at once."""
        arguments = dict(call.arguments)
        key, asked = arguments["key"], arguments["ids"]
        refusal = first_refusal(self._always, {"registry": state.registry})
        if refusal is None:
            refusal = self._barrier_refusal(state, key, asked)
        if refusal is not None:
            return Answer(None, refusal)
        unfinished = [id for id in asked if not self.ends.is_ended(self._record(state, id))]
        draft = Draft(state)
        if unfinished:
            draft.barriers[key] = (*draft.barriers[key], (tuple(sorted(unfinished)),))
        return Answer(draft.state())

    def _barrier_refusal(self, state: State, key: int, asked: tuple[str, ...]) -> Any:
        """Return what a barrier is refused with, its checks in the order of the machine."""
        declared = self.program.machine.barrier
        assert declared is not None
        for check, refused in self._barrier_checks:
            repeated = [id for at, id in enumerate(asked) if id in asked[:at]]
            unknown = [id for id in asked if self._record(state, id) is None]
            if check == "busy":
                holds = len(state.barriers[key]) < declared.active_per_key_max
                of: list[str] = [] if holds else [""]
            else:
                of = repeated if check == "repeated" else unknown
            if of:
                return refused.given({"registry": state.registry, "id": of[0]})
        return None

    def _record(self, state: State, id: str) -> Any:
        place = self._places.get(id)
        return None if place is None else state.records[place]

    def drop_watch(self, state: State, call: Call) -> Answer:
        """Nobody wants a watch any longer."""
        assert call.id is not None
        draft = Draft(state)
        draft.watched[self._places[call.id]] = False
        return Answer(draft.state())

    def drop_barrier(self, state: State, call: Call) -> Answer:
        """Nobody wants a barrier any longer."""
        arguments = dict(call.arguments)
        draft, key = Draft(state), arguments["key"]
        draft.barriers[key] = draft.barriers[key][:-1]
        return Answer(draft.state())

    # Recovery -----------------------------------------------------------------------------------

    def crash(self, state: State, call: Call) -> Answer:
        """Return the end of the process, and what the next one makes of what was kept."""
        recovery = self.program.machine.recovery
        assert recovery is not None
        draft = self.ends.recovered(state)
        draft.barriers = [() for _ in draft.barriers]
        draft.watched = [False for _ in draft.watched]
        if call.method == CRASH_DISCARDING:
            live = [r[0] for r in draft.records if r is not None and not self.ends.is_ended(r)]
            now = draft.state()
            for id in live:
                answer = self.rollback(now, Call(CRASH_DISCARDING, id))
                assert answer.state is not None
                now = answer.state
            return Answer(now, value=())
        if recovery.do is None:
            return Answer(draft.state(), value=())
        return self._end_all(draft, self._actions[str(recovery.do)], self._recovering_with)

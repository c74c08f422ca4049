"""The interpreter: applies a machine's rules as the file declares them, slowly and plainly.

Generated code is compared with it, state by state. It shares parsing and analysis with the
compiler, and nothing that produces code.
"""

from __future__ import annotations

from collections.abc import Mapping

from opslifecycle_codegen.analysis.scenario_rules import CRASH_DISCARDING
from opslifecycle_codegen.ir.program import Choice, Command, Program, returning
from opslifecycle_codegen.ir.times import NOW
from opslifecycle_codegen.modelcheck.acting import Acting, Action
from opslifecycle_codegen.modelcheck.evaluate import Evaluator
from opslifecycle_codegen.modelcheck.functions import Function, Names
from opslifecycle_codegen.modelcheck.guards import (
    Clauses,
    Guard,
    Refused,
    first_refusal,
)
from opslifecycle_codegen.modelcheck.layouts import Layouts
from opslifecycle_codegen.modelcheck.state import (
    Answer,
    Arguments,
    Call,
    Draft,
    Fields,
    Refusal,
    State,
    Value,
    at_time,
)
from opslifecycle_codegen.modelcheck.terminal_effects import TerminalEffects


class Interpreter:
    """Applies calls to states of one machine, for a fixed number of ids and barrier keys.

    Stamped fields are 0, so that states which differ in nothing else are one; in a `dated`
    interpreter they show the times of calls.
    """

    def __init__(
        self, program: Program, ids: tuple[str, ...], keys: int, settings: Mapping[str, Value],
        *, dated: bool = False,
    ) -> None:  # fmt: skip
        self.program = program
        self.ids = ids
        self.keys = keys
        self._settings = settings
        self.layouts = Layouts(program)
        self.evaluator = Evaluator(program, self.layouts, dated=dated)
        self._places = {id: place for place, id in enumerate(ids)}
        self._entity = str(program.machine.entity)
        self._clauses = clauses = Clauses(program, self.evaluator)
        ends = TerminalEffects(program, self.evaluator, clauses, self._places, dated=dated)
        self.ends = ends
        self._fields = list(program.symbols.entity_fields)
        self._acting = Acting(program, self.evaluator, clauses, self.ends, self._places)
        self._actions = {each.name: self._acting.action(each) for each in program.actions}
        #: What actions and methods over several return; as functions once they are needed.
        self._returns = {name: tree for name, _, tree in returning(program)}
        self._returning: dict[str, Function] = {}
        self._create()
        self._features()

    # Reading the machine ------------------------------------------------------------------------

    def _create(self) -> None:
        program, function = self.program, self.evaluator.function
        self._create_id = function(program.create_id, whole=True)
        self._create_guards = self._clauses.guards(program.create.guards)
        create = program.create
        self._create_updates = self._clauses.updates((*create.updates, *create.notes))
        self._create_steps = self._clauses.steps(create.steps)
        self._starts = {
            self._fields.index(name): function(tree) for name, tree in program.initial.items()
        }

    def _features(self) -> None:
        program, clauses, function = self.program, self._clauses, self.evaluator.function
        self._bulk = {
            each.command.name: (
                function(each.unless) if each.unless is not None else None,
                self._actions.get(each.action),
                clauses.updates(each.updates),
            )
            for each in program.bulk
        }
        recovering = program.recovery.command if program.recovery is not None else None
        given = recovering.given if recovering is not None else {}
        #: The arguments of the action of recovery.
        self.recovering_with = tuple((name, function(tree)({})) for name, tree in given.items())
        #: The guards and updates of the commands that remove one record.
        self._removing = {
            command.name: (clauses.guards(command.guards), clauses.updates(command.updates))
            for command in (program.rollback, program.erase)
            if command is not None
        }
        self._collect_guards = _guards_of(clauses, program.collect)
        self._watch_guards = _guards_of(clauses, program.watch)
        self._cursor_guards = _guards_of(clauses, program.cursors)
        self._barrier_guards: tuple[Guard, ...] = ()
        self._barrier_refusals: list[tuple[str, Refused]] = []
        if program.barrier is not None:
            self._barrier_guards = clauses.guards(program.barrier.first)
            self._barrier_refusals = [
                (check, clauses.refused(refusal)) for check, refusal in program.barrier.refusals
            ]

    # States -------------------------------------------------------------------------------------

    def initial(self) -> State:
        """Return the state of a new registry."""
        symbols, function = self.program.symbols, self.evaluator.function
        starts = {n: function(tree)({}) for n, tree in self.program.registry_initial.items()}
        registry = tuple(
            self._settings[name] if name in self._settings else starts[name]
            for name in symbols.registry_fields
        )
        enum = symbols.cursor_enum
        cursors = tuple(0 for _ in self.layouts.members(enum)) if enum else ()
        nothing = tuple(None for _ in self.ids)
        keys: tuple[tuple[Fields, ...], ...] = tuple(() for _ in range(self.keys))
        return State(registry, nothing, (), (), cursors, keys, tuple(False for _ in self.ids))

    def setting(self, name: str) -> Value:
        """Return the value of a setting in this scenario."""
        return self._settings[name]

    def registry_place(self, name: str) -> int:
        """Return the index of a field of the registry in a state."""
        return list(self.program.symbols.registry_fields).index(name)

    # Commands -----------------------------------------------------------------------------------

    def _names(self, state: State, id: str, arguments: Arguments) -> Names:
        place = self._places.get(id)
        record = state.records[place] if place is not None else None
        return {
            NOW: state.time, "registry": state.registry, "id": id, self._entity: record,
            **dict(arguments),
        }  # fmt: skip

    def create(self, state: State, call: Call) -> Answer:
        """Create a record."""
        state = at_time(state, call)
        id = self._create_id({NOW: state.time, **dict(call.arguments)})
        names = self._names(state, id, call.arguments)
        names[f"{self._entity}s"] = [each for each in state.records if each is not None]
        refusal = first_refusal(self._create_guards, names)
        if refusal is not None:
            return Answer(None, refusal)
        draft = Draft(state)
        fields: list[Value] = [None] * len(self._fields)
        fields[0], fields[1] = id, self.program.create.to
        for place, start in self._starts.items():
            fields[place] = start(names)
        self.ends.stamp(draft, fields, self.ends.stamped("created"))
        made = list(self.ends.made(fields))
        record = self.ends.update(draft, self._create_updates, names, made)
        fields, more = self.ends.follow(draft, self._create_steps, list(record))
        record = draft.records[self._places[id]] = tuple(fields)
        effects = (*self.program.create.effects, *more)
        self.ends.apply_effects(draft, id, record, effects)
        return Answer(draft.state(), effects=((id, effects),))

    def act(self, state: State, call: Call, name: str, asked: str = "") -> Answer:
        """Apply an action to one record; a method over several actions says what was asked."""
        state = at_time(state, call)
        action, id = self._actions[name], call.id
        assert id is not None
        names = self._names(state, id, call.arguments)
        refusal = first_refusal(action.guards, names)
        if refusal is not None:
            return Answer(None, refusal)
        draft = Draft(state)
        record = names[self._entity]
        way = action.taken(names)
        record, effects = self._acting.acted(draft, way, names, record)
        value = self._returned(asked or name, draft, {**names, self._entity: record})
        self.ends.apply_effects(draft, id, record, effects)
        ended = (id,) if way.terminal else ()
        return Answer(draft.state(), effects=((id, effects),), ended=ended, value=value)

    def _returned(self, asked: str, draft: Draft, names: Names) -> Value:
        """Return what a call returns of the record that it has changed; None if nothing."""
        tree = self._returns.get(asked)
        if tree is None:
            return None
        if asked not in self._returning:
            # Not before, because what it reads tells no states apart.
            self._returning[asked] = self.evaluator.function(tree)
        return self._returning[asked]({**names, "registry": tuple(draft.registry)})

    def choose(self, state: State, call: Call, choice: Choice) -> Answer:
        """Apply the first of several actions that is legal to one record."""
        record = self.record(state, str(call.id))
        chosen = choice.chosen("" if record is None else record[1])
        return self.act(state, call, chosen.name, choice.name)

    def bulk(self, state: State, call: Call) -> Answer:
        """Apply a command of the whole registry, which may end every live record, by their ids."""
        state = at_time(state, call)
        unless, action, updates = self._bulk[call.method]
        names = {NOW: state.time, "registry": state.registry, **dict(call.arguments)}
        if unless is not None and unless(names):
            return Answer(state, value=())
        draft = Draft(state)
        self.ends.update(draft, updates, names, [])
        if action is None:
            return Answer(draft.state(), value=())
        return self._end_all(draft, action, call.arguments, self.ends.live(draft))

    def _end_all(
        self, draft: Draft, action: Action, arguments: Arguments, live: list[str]
    ) -> Answer:
        changed = []
        for id in live:
            record = draft.records[self._places[id]]
            assert record is not None
            names = {
                NOW: draft.time, "registry": tuple(draft.registry), "id": id,
                self._entity: record, **dict(arguments),
            }  # fmt: skip
            changed.append((id, *self._acting.acted(draft, action.taken(names), names, record)))
        for id, record, effects in changed:
            self.ends.apply_effects(draft, id, record, effects)
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
        state = at_time(state, call)
        guards, updates = self._removing[command.name]
        names = self._names(state, call.id, ())
        refusal = first_refusal(guards, names)
        if refusal is not None:
            return Answer(None, refusal)
        draft = Draft(state)
        record = self.ends.update(draft, updates, names, list(names[self._entity]))
        self.ends.apply_effects(draft, call.id, record, command.effects)
        return Answer(draft.state(), effects=((call.id, command.effects),))

    def collect(self, state: State, call: Call) -> Answer:
        """Return the outcomes of the finished records, oldest first, and erase them."""
        state = at_time(state, call)
        names = {NOW: state.time, "registry": state.registry}
        refusal = first_refusal(self._collect_guards, names)
        if refusal is not None:
            return Answer(None, refusal)
        draft = Draft(state)
        for id in state.ended:
            self.ends.erase(draft, id)
        return Answer(draft.state(), value=state.ended)

    def advance(self, state: State, call: Call) -> Answer:
        """Advance a cursor, which never decreases."""
        state = at_time(state, call)
        names = {NOW: state.time, "registry": state.registry, **dict(call.arguments)}
        refusal = first_refusal(self._cursor_guards, names)
        if refusal is not None:
            return Answer(None, refusal)
        consumers = self.layouts.members(self.program.symbols.cursor_enum)
        draft, place = Draft(state), consumers.index(names["consumer"])
        draft.cursors[place] = max(draft.cursors[place], names["cursor"])
        if self.program.retention is not None and self.program.retention.held_by_cursors:
            self.ends.evict(draft)
        return Answer(draft.state(), value=draft.cursors[place])

    # Waits --------------------------------------------------------------------------------------

    def watch(self, state: State, call: Call) -> Answer:
        """Watch one record; the watch of one that has an outcome is resolved at once."""
        assert call.id is not None
        names = self._names(state, call.id, ())
        refusal = first_refusal(self._watch_guards, names)
        if refusal is not None:
            return Answer(None, refusal)
        draft = Draft(state)
        if not self.ends.is_announced(names[self._entity]):
            draft.watched[self._places[call.id]] = True
        return Answer(draft.state())

    def wait_for_all(self, state: State, call: Call) -> Answer:
        """Create a barrier over some ids; one over records with an outcome alone is satisfied."""
        arguments = dict(call.arguments)
        key, asked = arguments["key"], arguments["ids"]
        refusal = first_refusal(self._barrier_guards, {"registry": state.registry})
        if refusal is None:
            refusal = self._barrier_refusal(state, key, asked)
        if refusal is not None:
            return Answer(None, refusal)
        unfinished = [id for id in asked if not self._is_announced(state, id)]
        draft = Draft(state)
        if unfinished:
            draft.barriers[key] = (*draft.barriers[key], (tuple(sorted(unfinished)),))
        return Answer(draft.state())

    def _barrier_refusal(self, state: State, key: int, asked: tuple[str, ...]) -> Refusal | None:
        """Return the rejection of a barrier, its checks in the order of the machine."""
        declared = self.program.machine.barrier
        assert declared is not None
        for check, refused in self._barrier_refusals:
            repeated = [id for at, id in enumerate(asked) if id in asked[:at]]
            unknown = [id for id in asked if self.record(state, id) is None]
            if check == "busy":
                holds = len(state.barriers[key]) < declared.active_per_key_max
                of: list[str] = [] if holds else [""]
            else:
                of = repeated if check == "repeated" else unknown
            if of:
                return refused.given({"registry": state.registry, "id": of[0]})
        return None

    def _is_announced(self, state: State, id: str) -> bool:
        record = self.record(state, id)
        assert record is not None
        return self.ends.is_announced(record)

    def record(self, state: State, id: str) -> Fields | None:
        """Return the record of an id in a state."""
        place = self._places.get(id)
        return None if place is None else state.records[place]

    def drop_watch(self, state: State, call: Call) -> Answer:
        """Drop a watch: its last handle is gone."""
        assert call.id is not None
        draft = Draft(state)
        draft.watched[self._places[call.id]] = False
        return Answer(draft.state())

    def drop_barrier(self, state: State, call: Call) -> Answer:
        """Drop a barrier: its last handle is gone."""
        arguments = dict(call.arguments)
        draft, key = Draft(state), arguments["key"]
        draft.barriers[key] = draft.barriers[key][:-1]
        return Answer(draft.state())

    # Recovery -----------------------------------------------------------------------------------

    def crash(self, state: State, call: Call) -> Answer:
        """End the process, and recover the stored records in the next one."""
        state = at_time(state, call)
        recovery = self.program.recovery
        assert recovery is not None
        draft = self.ends.recovered(state)
        draft.barriers = [() for _ in draft.barriers]
        draft.watched = [False for _ in draft.watched]
        if call.method == CRASH_DISCARDING:
            now = draft.state()
            for id in self.ends.live(draft):
                answer = self.rollback(now, Call(CRASH_DISCARDING, id))
                assert answer.state is not None
                now = answer.state
            return Answer(now, value=())
        if recovery.command is None:
            return Answer(draft.state(), value=())
        action = self._actions[recovery.command.action]
        interrupted = self.ends.interrupted(draft)
        return self._end_all(draft, action, self.recovering_with, interrupted)


def _guards_of(clauses: Clauses, command: Command | None) -> tuple[Guard, ...]:
    return clauses.guards(command.guards) if command is not None else ()

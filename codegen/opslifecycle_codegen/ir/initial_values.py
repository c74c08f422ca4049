"""The origin of each field's initial value, and whether a store holds the field."""

from __future__ import annotations

from enum import Enum

from attrs import evolve, frozen

from opslifecycle_codegen.ir.expr import NOTHING, Expression, Field, Name, Root, nodes_of, replaced
from opslifecycle_codegen.ir.naming import parameter
from opslifecycle_codegen.ir.program import Program, updates_of
from opslifecycle_codegen.ir.types import Type


class Origin(Enum):
    """The origin of an initial value."""

    #: None until an update sets it.
    NONE = "none"
    #: A constant expression, the same for every record.
    LITERAL = "literal"
    #: An expression of given fields that never change, which the constructor recomputes.
    DERIVED = "derived"
    #: An argument of the constructor, which a store holds.
    GIVEN = "given"


@frozen
class Start:
    """The initial value of one field."""

    name: str
    type: Type
    origin: Origin
    #: Whether an action or an end updates it.
    updated: bool
    #: The initial value: in terms of the authority for a given field, else of the constructor.
    #: A stamped field has none.
    first: Expression
    stamp: bool = False

    @property
    def parameter(self) -> str:
        """The parameter of the constructor."""
        return parameter(self.name)


def starts_of(program: Program) -> list[Start]:
    """Return the initial values of all fields in order; an undeclared outcome is last."""
    updated = updated_fields(program)
    sources = _sources(program, updated)
    starts = [
        _start(program, str(name), str(name) in updated, sources) for name in program.machine.fields
    ]
    if "terminal_outcome" not in program.machine.fields:
        type = program.symbols.entity_fields["terminal_outcome"]
        starts.append(Start("terminal_outcome", type, Origin.NONE, False, NOTHING))
    return starts


def given(program: Program) -> list[Start]:
    """Return the fields that the constructor of a record takes besides the id: stamps first."""
    found = [start for start in starts_of(program) if start.origin is Origin.GIVEN]
    return [each for each in found if each.stamp] + [each for each in found if not each.stamp]


def _start(program: Program, name: str, updated: bool, sources: dict[str, str]) -> Start:
    type = program.symbols.entity_fields[name]
    if next(f for n, f in program.machine.fields.items() if n == name).stamped == "created":
        return Start(name, type, Origin.GIVEN, updated, NOTHING, stamp=True)
    first = program.initial.get(name)
    if first is None or first == NOTHING:
        return Start(name, type, Origin.NONE, updated, NOTHING)
    read = {node.name for node in nodes_of(first) if isinstance(node, Name)}
    if not read:
        return Start(name, type, Origin.LITERAL, updated, first)
    is_source = name in sources.values()
    if not updated and not is_source and read <= {*sources, "id"}:

        def kept(node: Expression) -> Expression:
            if isinstance(node, Name) and node.root is Root.PARAMETER:
                return evolve(node, name=sources[node.name])
            return node

        return Start(name, type, Origin.DERIVED, updated, replaced(first, kept))
    return Start(name, type, Origin.GIVEN, updated, first)


def _sources(program: Program, updated: set[str]) -> dict[str, str]:
    """Return the parameters that fields hold unchanged, each with the first such field."""
    found: dict[str, str] = {}
    for name, first in program.initial.items():
        if not isinstance(first, Name) or first.root is not Root.PARAMETER:
            continue
        param, type = first.name, program.create.params[first.name]
        if type == program.symbols.entity_fields[name] and name not in updated:
            found.setdefault(param, name)
    return found


def stored_id(program: Program, entity: str) -> Expression | None:
    """Return the id of a record in terms of its stored fields; None if they do not contain it.

    Args:
        program: The machine.
        entity: The name of a record in expressions.
    """
    stored = {start.name for start in given(program)}
    sources = _sources(program, updated_fields(program))
    read = {node.name for node in nodes_of(program.create_id) if isinstance(node, Name)}
    if not read or not {sources.get(name) for name in read} <= stored:
        return None

    def kept(node: Expression) -> Expression:
        if isinstance(node, Name):
            return Field(node.type, Name(node.type, Root.RECORD, entity), sources[node.name])
        return node

    return replaced(program.create_id, kept)


def is_updated(program: Program, name: str) -> bool:
    """Return whether a field is updated after its record is created."""
    return name in updated_fields(program)


def updated_fields(program: Program) -> set[str]:
    """Return the fields that are updated after their record is created."""
    commands = [program.create, *program.actions, program.rollback]
    updates = [u for command in commands if command is not None for u in updates_of(command)]
    updates += [update for step in program.on_terminal for update in step.updates]
    found = {update.target.name for update in updates if update.of_record}
    fields = program.machine.fields.items()
    return found | {str(name) for name, f in fields if f.stamped not in (None, "created")}

"""Lowering of the ratchet tests: what the machine says, cell by cell, with sample payloads."""

from __future__ import annotations

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.state import has_stamps
from opslifecycle_codegen.emit.unique import KeyLowering
from opslifecycle_codegen.ir.initial_values import given
from opslifecycle_codegen.ir.naming import command_method, setting
from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.ir.public_names import PublicNames
from opslifecycle_codegen.ir.sampled import Sampled
from opslifecycle_codegen.ir.several import DICT, SET
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import Type, decimal_notation


def cells(program: Program, sampled: Sampled, names: PublicNames) -> list[tuple[str, str, str]]:
    """Return every real status and action: illegal ones, and legal ones that take the samples.

    Of `rollback` and `erase`, the statuses in which they are illegal.
    """
    rows = []
    groups = program.symbols.status_groups
    for status in [*groups["live"], *groups["terminal"]]:
        for action in program.actions:
            target = sampled.targets.get((status, action.name))
            if target is not None:
                rows.append((status.upper(), action.name, f"{names.status}.{target.upper()}"))
            elif status not in action.from_statuses:
                rows.append((status.upper(), action.name, "None"))
        rows += [
            (status.upper(), _removal(command), "None")
            for command in _removals(program)
            if status not in command.from_statuses
        ]
    return rows


def done(program: Program) -> list[tuple[str, str]]:
    """Return the statuses and actions of which a rejection says that it was done already."""
    return [
        (status.upper(), action.name)
        for action in program.actions
        for status in action.idempotent_in
    ]


def _removals(program: Program) -> list[Command]:
    return [each for each in (program.rollback, program.erase) if each is not None]


def _removal(command: Command) -> str:
    """Return the name of a removal, which is that of no action."""
    return f"{command.name} (removal)"


def calls(program: Program, width: int) -> list[tuple[str, list[str]]]:
    """Return a call of each action of the authority, with samples."""
    rows = []
    for action in program.actions:
        decide = command_method(action.name, program.symbols.registry_fields)
        samples = [sample(type, program.symbols) for type in action.params.values()]
        call = layout.called(f"authority.{decide}", [Code("id"), *samples])
        rows.append((action.name, layout.statement("return ", call, "", indent=12, width=width)))
    for command in _removals(program):
        decide = command_method(command.name, program.symbols.registry_fields)
        call = layout.called(f"authority.{decide}", [Code("id")])
        lines = layout.statement("return ", call, "", indent=12, width=width)
        rows.append((_removal(command), lines))
    return rows


def record_keys(program: Program, width: int) -> list[str]:
    """Return lines that enter the sample record as the holder of its unique keys."""
    keys = KeyLowering(program.unique, "record", width, "authority")
    return [f"    {line}" for line in keys.claimed(depth=1)]


def record_sample(program: Program, names: PublicNames, width: int) -> list[str]:
    """Return lines that make a record."""
    arguments = [
        Code("id"),
        *([Code("1")] if has_stamps(program) else []),
        *(sample(each.type, program.symbols) for each in given(program)),
    ]
    made = layout.called(names.record, arguments)
    return layout.statement("record = ", made, "", indent=4, width=width)


def authority_sample(program: Program, names: PublicNames, width: int) -> list[str]:
    """Return the statement that returns an authority with sample settings."""
    symbols = program.symbols
    arguments = [
        Code(f"{setting(name)}={sample(symbols.registry_fields[name], symbols).text}")
        for name in program.machine.settings
    ]
    made = layout.called(names.authority, arguments)
    return layout.statement("return ", made, "", indent=4, width=width)


def sample(type: Type, symbols: Symbols) -> Code:
    """Return the code of some value of a type."""
    simple = {
        "datetime": "_dt.datetime(2026, 1, 31, tzinfo=_dt.UTC)", "timedelta": "_dt.timedelta(1)",
        "bool": "True", "float": "1.0", "str": '"text"', "name": '"word"',
        "optional": "None",
    }  # fmt: skip
    if type.kind == "int":
        least, most = type.range
        return Code(str(min(max(1, least), most)))
    if type.kind == "bytes" and type.limits is not None:
        return Code('b"data"' if (type.limits.max_length or 0) >= 4 else 'b""')
    if type.kind == "decimal":
        least, most = type.range
        return Code(f'_dec.Decimal("{decimal_notation(min(max(1, least), most), type.places)}")')
    if type.several and type.inner is not None:
        one = [sample(type.inner, symbols)]
        if type.kind == DICT and type.key is not None:
            item = layout.behind(f"{sample(type.key, symbols).text}: ", one[0])
            return layout.called("_rt.FrozenDict", [layout.set_of([item])])
        if type.kind == SET:
            return layout.called("frozenset", [layout.set_of(one)])
        return layout.called("", one)
    if type.kind == "str" and type.limits is not None:
        text = type.limits.example or "text"[: type.limits.max_length]
        return Code(layout.quoted(text))
    if type.kind in simple:
        return Code(simple[type.kind])
    if type.kind == "id":
        return Code(f"{type.name}.new()")
    if type.kind == "enum":
        first = next(iter(symbols.enums[type.name].members.values()))
        return Code(f"{type.name}.{first.constant}")
    if type.kind == "foreign":
        # Anything that passes for one: the authority reads nothing of it.
        return Code(f"MagicMock(spec={type.name})")
    if type.kind == "union":
        variant = next(iter(symbols.unions[type.name].variants))
        return sample(Type("variant", variant), symbols)
    fields = symbols.records[type.name].fields.values()
    given = [f for f in fields if not f.type.optional and f.declared.default is None]
    return layout.called(type.name, [sample(field.type, symbols) for field in given])

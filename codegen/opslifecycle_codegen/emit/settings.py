"""Lowering of settings: what the constructors of registries take."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.emit.types import check_lines
from opslifecycle_codegen.ir.program import Program


@frozen
class SettingView:
    """A setting: the parameter of a constructor, and the lines that check it."""

    parameter: str
    checks: list[str]


def setting_views(program: Program) -> list[SettingView]:
    """Return the constructor's parameters, in the order of the machine."""
    fields = program.symbols.registry_fields
    stored = program.recovery is not None
    hidden = "type" in program.machine.settings
    views = []
    for name, declared in program.machine.settings.items():
        type = fields[name]
        constant = f"DEFAULT_{name.upper()}" if declared.default is not None else "None"
        default = "_rt.UNSET" if stored else constant
        checks = check_lines(str(name), str(name), type, indent=8, hidden=hidden)
        if stored:
            given = f"{name} is not _rt.UNSET" + (
                f" and {name} is not None" if type.optional else ""
            )
            inner = check_lines(str(name), str(name), type.required, indent=12, hidden=hidden)
            checks = [f"        if {given}:", *inner]
        views.append(SettingView(f"{name}: {type.python} = {default}", checks))
    return views


def setting_defaults(program: Program) -> list[tuple[str, int]]:
    """Return the constants that hold the defaults of settings, each with its value."""
    return [
        (f"DEFAULT_{name.upper()}", declared.default)
        for name, declared in program.machine.settings.items()
        if declared.default is not None
    ]

"""Lowering of settings: what the constructors of registries take."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.types import check_lines
from opslifecycle_codegen.ir.naming import setting
from opslifecycle_codegen.ir.program import Program


@frozen
class SettingView:
    """A setting: its parameter, the lines that check it, the authority's argument."""

    name: str
    inside: str
    parameter: str
    checks: list[str]
    chosen: list[str]
    argument: str


def setting_views(program: Program, width: int) -> list[SettingView]:
    """Return the constructor's parameters, in the order of the machine."""
    fields = program.symbols.registry_fields
    stored = program.recovery is not None
    hidden = "type" in program.machine.settings
    views = []
    for name, declared in program.machine.settings.items():
        type = fields[name]
        constant = f"DEFAULT_{name.upper()}" if declared.default is not None else "None"
        default = "_rt.UNSET" if stored else constant
        inside = setting(name)
        floored = f"max({declared.at_least}, {inside})" if declared.at_least else inside
        checks = check_lines(str(name), str(name), type, indent=8, hidden=hidden)
        if stored:
            given = f"{name} is not _rt.UNSET" + (
                f" and {name} is not None" if type.optional else ""
            )
            inner = check_lines(str(name), str(name), type.required, indent=12, hidden=hidden)
            checks = [f"        if {given}:", *inner]
        views.append(
            SettingView(
                name=str(name),
                inside=f"{inside}: {type.python}",
                parameter=f"{name}: {type.python} = {default}",
                checks=checks,
                chosen=layout.call(
                    f"{inside} = _rt.setting",
                    [layout.quoted(name), inside, "state", constant, type.python],
                    "",
                    indent=8,
                    width=width,
                ),
                argument=f"{inside}={floored}",
            )
        )
    return views

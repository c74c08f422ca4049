"""Templates of the user's project: additional outputs of the same machine.

They run in a sandbox on plain data: names, texts, lists and mappings.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import PurePosixPath

import jinja2
import jinja2.sandbox

from opslifecycle_codegen.base.diagnostics import Finding, InvalidMachineError, Location
from opslifecycle_codegen.emit.diagram import mermaid
from opslifecycle_codegen.emit.environment import Context
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import Program, tested_ways

SUFFIX = ".j2"


def rendered(
    sources: Mapping[PurePosixPath, str], output: PurePosixPath, program: Program, digest: str
) -> dict[PurePosixPath, str]:
    """Return the outputs of templates by path; raises InvalidMachineError for template errors."""
    environment = jinja2.sandbox.SandboxedEnvironment(
        loader=jinja2.DictLoader({path.name: text for path, text in sources.items()}),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    context = _context(program, digest)
    files, findings = {}, []
    for path in sources:
        try:
            text = environment.get_template(path.name).render(context)
        except jinja2.TemplateSyntaxError as error:
            findings.append(_finding(path, error.lineno, str(error.message)))
        except Exception as error:
            findings.append(_finding(path, _line_of(error), f"{type(error).__name__}: {error}"))
        else:
            files[output / path.name.removesuffix(SUFFIX)] = text
    if findings:
        raise InvalidMachineError(findings)
    return files


def _finding(path: PurePosixPath, line: int, message: str) -> Finding:
    return Finding(Location(str(path), line, 1), message, "template-error")


def _line_of(error: BaseException) -> int:
    """Return the line of a failure in a template, the innermost one."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith("<")
    ]
    return (lines or [1])[-1] or 1


def _context(program: Program, digest: str) -> Context:
    machine, symbols = program.machine, program.symbols
    groups = symbols.status_groups
    statuses = symbols.enums[symbols.status_enum].members
    return {
        "machine": str(machine.machine),
        "version": machine.version,
        "entity": str(machine.entity),
        "summary": str(machine.summary),
        "digest": digest,
        "statuses": [
            {
                "name": name,
                "summary": str(statuses[name].summary),
                "terminal": name in groups["terminal"],
                "milestone": name in groups.get("milestone", ()),
            }
            for name in (*groups["live"], *groups["terminal"])
        ],
        "actions": [
            {
                "name": action.name,
                "label": action.label,
                "summary": str(action.summary),
                "from": list(action.from_statuses),
                "targets": [
                    {"to": way.to or None, "when": notation(test) if test is not None else None}
                    for test, way in tested_ways(action)
                ],
                "params": {name: str(type) for name, type in action.params.items()},
                "defaults": {name: notation(tree) for name, tree in action.defaults.items()},
                "guards": [check.guard for check in action.guards],
                "idempotent_in": list(action.idempotent_in),
                "deferred": action.deferred,
            }
            for action in program.actions
        ],
        "enums": {
            name: [{"name": m.wire, "summary": str(m.summary)} for m in info.members.values()]
            for name, info in symbols.enums.items()
        },
        "mermaid": "\n".join(mermaid(program)),
    }

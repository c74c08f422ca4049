"""Pictures of a machine: Mermaid as text, and SVG drawn by Graphviz."""

from __future__ import annotations

import html
import shutil
import subprocess
from pathlib import Path

from opslifecycle_codegen.base.config import InvalidConfigError
from opslifecycle_codegen.ir.program import Command, Program


def mermaid(program: Program) -> list[str]:
    """The lines of a Mermaid state diagram."""
    return ["stateDiagram-v2", *(f"    {line}" for line in _mermaid_lines(program))]


def _mermaid_lines(program: Program) -> list[str]:
    groups = program.symbols.status_groups
    lines = ["classDef terminal font-weight:bold,stroke-width:3px"]
    for status in _statuses(program):
        properties = _properties(program, status)
        if properties:
            lines.append("<br>".join([f"{status}: {status}", *properties]))
    lines.append(f"[*] --> {program.create.to}: {_label(program, program.create)}")
    for (source, to), labels in _edges(program).items():
        lines.append(f"{source} --> {to}: {'<br>'.join(labels)}")
    lines += [f"{status} --> [*]" for status in groups["terminal"]]
    if groups["terminal"]:
        lines.append(f"class {','.join(groups['terminal'])} terminal")
    ends = _ends(program)
    if ends:
        lines += [f"note right of {groups['terminal'][0]}", *(f"    {e}" for e in ends), "end note"]
    return lines


def _statuses(program: Program) -> list[str]:
    groups = program.symbols.status_groups
    return [*groups["live"], *groups["terminal"]]


def _properties(program: Program, status: str) -> list[str]:
    """The declared properties of a status, as words."""
    info = program.symbols.enums[program.symbols.status_enum]
    values = info.members[status].values
    return [
        f"{name} {values[name].strip(chr(34)).rpartition('.')[2].lower()}"
        for name in info.properties
        if name != "terminal"
    ]


def _edges(program: Program) -> dict[tuple[str, str], list[str]]:
    """What leads from one status to another."""
    edges: dict[tuple[str, str], list[str]] = {}
    for action in program.actions:
        for status in action.from_statuses:
            edges.setdefault((status, action.to or status), []).append(_label(program, action))
    return edges


def _label(program: Program, command: Command) -> str:
    """The name of a command, with the guards that not every command has, and its effects."""
    usual = {str(name) for name in (*program.machine.always_first, *program.machine.checks)}
    guards = [check.guard for check in command.checks if check.guard not in usual]
    label = command.name
    if guards:
        label += f" [{', '.join(guards)}]"
    if command.effects:
        label += f" / {', '.join(command.effects)}"
    if command.deferred:
        label += " (deferred)"
    return label


def _ends(program: Program) -> list[str]:
    """What every end does besides, a line for each step."""
    lines = []
    for step, declared in zip(program.on_terminal, program.machine.on_terminal, strict=True):
        if step.effects:
            test = f"if {declared.if_}: " if declared.if_ is not None else ""
            lines.append(f"{test}{', '.join(step.effects)}")
    return ["every end:", *lines] if lines else []


def draw(program: Program, target: Path) -> None:
    """Draw a machine as SVG; raises InvalidConfigError without Graphviz."""
    dot = shutil.which("dot")
    if dot is None:
        message = "--svg needs Graphviz (its command dot); without it, print Mermaid: diagram"
        raise InvalidConfigError(message)
    source = "\n".join(_graph(program)).encode("utf-8")
    done = subprocess.run([dot, "-Tsvg"], input=source, capture_output=True, check=False)
    if done.returncode != 0:
        raise InvalidConfigError(f"dot failed: {done.stderr.decode('utf-8', 'replace').strip()}")
    target.write_bytes(done.stdout)


def _graph(program: Program) -> list[str]:
    terminal = program.symbols.status_groups["terminal"]
    lines = [
        f'digraph "{program.machine.machine}" {{',
        '  rankdir=LR; fontname="Helvetica"; nodesep=0.4; ranksep=0.9;',
        '  node [shape=box, style=rounded, fontname="Helvetica", fontsize=12];',
        '  edge [fontname="Helvetica", fontsize=10];',
        '  "" [shape=circle, style=filled, fillcolor=black, width=0.15, label=""];',
    ]
    for status in _statuses(program):
        rows = [f"<b>{html.escape(status)}</b>"]
        rows += [
            f'<font point-size="10">{html.escape(text)}</font>'
            for text in _properties(program, status)
        ]
        style = ", peripheries=2" if status in terminal else ""
        lines.append(f'  "{status}" [label=<{"<br/>".join(rows)}>{style}];')
    lines.append(f'  "" -> "{program.create.to}" [label="{_label(program, program.create)}"];')
    for (source, to), labels in _edges(program).items():
        text = "\\n".join(label.replace('"', "'") for label in labels)
        lines.append(f'  "{source}" -> "{to}" [label="{text}"];')
    ends = _ends(program)
    if ends:
        text = "\\l".join(line.replace('"', "'") for line in ends)
        lines.append(f'  label="{text}\\l"; labeljust=l; fontsize=10;')
    return [*lines, "}"]

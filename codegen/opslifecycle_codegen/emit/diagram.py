"""Diagrams of a machine: Mermaid as text, and SVG drawn by Graphviz."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from opslifecycle_codegen.base.config import InvalidConfigError
from opslifecycle_codegen.emit import texts
from opslifecycle_codegen.emit.docs import member_word
from opslifecycle_codegen.ir.built_ins import RANGE_GUARD
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.groups import composites
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import Command, Program, tested_ways


def mermaid(program: Program) -> list[str]:
    """Return the lines of a Mermaid state diagram."""
    return ["stateDiagram-v2", *(f"    {line}" for line in _mermaid_lines(program))]


def _mermaid_lines(program: Program) -> list[str]:
    groups = program.symbols.status_groups
    lines = ["classDef terminal font-weight:bold,stroke-width:3px"]
    described = {
        status: f"{_state(status)}: {_broken([status, *_properties(program, status)])}"
        for status in _statuses(program)
    }
    lines += _nested(described, composites(program.machine), _composite)
    first = _broken([_label(program, program.create, program.create)])
    lines.append(f"[*] --> {_state(program.create.to)}: {first}")
    for (source, to), labels in _edges(program).items():
        lines.append(f"{_state(source)} --> {_state(to)}: {_broken(labels)}")
    terminal = [_state(status) for status in groups["terminal"]]
    lines += [f"{state} --> [*]" for state in terminal]
    if terminal:
        lines.append(f"class {','.join(terminal)} terminal")
    milestones = [_state(each) for each in groups.get("milestone", ())]
    if milestones:
        lines.insert(1, "classDef milestone stroke-width:3px")
        lines.append(f"class {','.join(milestones)} milestone")
    ends = [texts.mermaid_note(text) for text in _ends(program)]
    if ends and terminal:
        lines += [f"note right of {terminal[0]}", *(f"    {text}" for text in ends), "end note"]
    return lines


def _composite(group: str, inside: list[str]) -> list[str]:
    """Return the lines of a composite state."""
    name = texts.mermaid(group)
    return [f'state "{name}" as g_{group} {{', *(f"    {each}" for each in inside), "}"]


def _nested(
    described: Mapping[str, str], groups: Mapping[str, tuple[str, ...]],
    drawn: Callable[[str, list[str]], list[str]],
) -> list[str]:  # fmt: skip
    """Return the description of each status, those of a group within the group.

    Args:
        described: A line for each status.
        groups: The statuses of each group, outer groups first.
        drawn: Returns the lines of a group, by its name and the lines inside.
    """
    lines, done = [], set()
    for status, text in described.items():
        group = next((name for name, inside in groups.items() if status in inside), None)
        if group is None:
            lines.append(text)
        elif group not in done:
            done.add(group)
            members = set(groups[group])
            inside = {each: line for each, line in described.items() if each in members}
            within = {name: each for name, each in groups.items() if name != group}
            inner = {name: each for name, each in within.items() if set(each) <= members}
            lines += drawn(group, _nested(inside, inner, drawn))
    return lines


def _state(status: str) -> str:
    """Return the id of a status: it may be a keyword of Mermaid, such as `default` or `note`."""
    return f"s_{status}"


def _broken(lines: Sequence[str]) -> str:
    return "<br>".join(texts.mermaid(line) for line in lines)


def _statuses(program: Program) -> list[str]:
    groups = program.symbols.status_groups
    return [*groups["live"], *groups["terminal"]]


def _properties(program: Program, status: str) -> list[str]:
    """Return the declared properties of a status as text."""
    info = program.symbols.enums[program.symbols.status_enum]
    return [
        f"{name} {member_word(info, info.members[status], name)}"
        for name in info.properties
        if name not in ("terminal", "milestone")
    ]


def _edges(program: Program) -> dict[tuple[str, str], list[str]]:
    """Return the transitions between statuses."""
    edges: dict[tuple[str, str], list[str]] = {}
    for action in program.actions:
        for test, way in tested_ways(action):
            label = _label(program, action, way, test)
            for status in way.from_statuses:
                edges.setdefault((status, way.to or status), []).append(label)
    return edges


def _label(program: Program, command: Command, way: Command, test: Expression | None = None) -> str:
    """Return the label of a way of a command: its name, its own guards, its test, its effects."""
    usual = program.usual_guards()
    guards = [
        check.guard
        for check in command.guards
        if check.guard not in usual and not check.guard.startswith(RANGE_GUARD)
    ]
    if test is not None:
        guards.append(notation(test))
    elif command.targets:
        guards.append("else")
    label = command.name
    if guards:
        label += f" [{', '.join(guards)}]"
    if way.effects:
        label += f" / {', '.join(way.effects)}"
    if command.deferred:
        label += " (deferred)"
    return label


def _ends(program: Program) -> list[str]:
    """Return the steps of every end, one per line."""
    lines = []
    for step in program.on_terminal:
        if step.effects:
            test = f"if {notation(step.test)}: " if step.test is not None else ""
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


def _cluster(group: str, inside: list[str]) -> list[str]:
    """Return the lines of a composite state."""
    label = f'    label="{texts.dot(group)}"; labeljust=l; style=rounded; fontsize=12;'
    return [f'  subgraph "cluster_{group}" {{', label, *(f"  {each}" for each in inside), "  }"]


def _graph(program: Program) -> list[str]:
    terminal = program.symbols.status_groups["terminal"]
    milestones = set(program.symbols.announced) - set(terminal)
    lines = [
        f'digraph "{program.machine.machine}" {{',
        '  rankdir=LR; fontname="Helvetica"; nodesep=0.4; ranksep=0.9;',
        '  node [shape=box, style=rounded, fontname="Helvetica", fontsize=12];',
        '  edge [fontname="Helvetica", fontsize=10];',
        '  "" [shape=circle, style=filled, fillcolor=black, width=0.15, label=""];',
    ]
    described = {}
    for status in _statuses(program):
        rows = [f"<b>{texts.dot_html(status)}</b>"]
        rows += [
            f'<font point-size="10">{texts.dot_html(text)}</font>'
            for text in _properties(program, status)
        ]
        style = ", peripheries=2" if status in terminal else ""
        style += ", penwidth=3" if status in milestones else ""
        described[status] = f'  "{status}" [label=<{"<br/>".join(rows)}>{style}];'
    lines += _nested(described, composites(program.machine), _cluster)
    first = texts.dot(_label(program, program.create, program.create))
    lines.append(f'  "" -> "{program.create.to}" [label="{first}"];')
    for (source, to), labels in _edges(program).items():
        text = "\\n".join(texts.dot(label) for label in labels)
        lines.append(f'  "{source}" -> "{to}" [label="{text}"];')
    ends = _ends(program)
    if ends:
        text = "\\l".join(texts.dot(line) for line in ends)
        lines.append(f'  label="{text}\\l"; labeljust=l; fontsize=10;')
    return [*lines, "}"]

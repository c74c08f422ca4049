"""Diagrams of a machine: Mermaid as text, and SVG drawn by Graphviz."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from opslifecycle_codegen.base.config import InvalidConfigError
from opslifecycle_codegen.emit import texts
from opslifecycle_codegen.emit.docs import member_word
from opslifecycle_codegen.emit.region_edges import REGIONS, Edges, RegionEdges
from opslifecycle_codegen.ir.built_ins import RANGE_GUARD
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.groups import composites
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import Command, Program, tested_ways
from opslifecycle_codegen.ir.regions import parts_of

_TERMINAL = "classDef terminal font-weight:bold,stroke-width:3px"
#: The id of the state that holds the regions.
_REGIONS = "r_regions"


def mermaid(program: Program) -> list[str]:
    """Return the lines of a Mermaid state diagram."""
    return ["stateDiagram-v2", *(f"    {line}" for line in _mermaid_lines(program))]


def _mermaid_lines(program: Program) -> list[str]:
    if program.machine.statuses.regions:
        return _mermaid_regions(program)
    lines = [_TERMINAL]
    described = {
        status: f"{_state(status)}: {_broken([status, *_properties(program, status)])}"
        for status in _statuses(program)
    }
    lines += _nested(described, composites(program.machine), _composite)
    lines.append(f"[*] --> {_state(program.create.to)}: {_first(program)}")
    for (source, to), labels in _edges(program).items():
        lines.append(f"{_state(source)} --> {_state(to)}: {_broken(labels)}")
    return _with_ends(program, lines, _state)


def _first(program: Program) -> str:
    """Return the label of the creation of a record."""
    return _broken([_label(program, program.create, program.create)])


def _with_ends(program: Program, lines: list[str], state: Callable[[str], str]) -> list[str]:
    """Return the lines of a diagram with its terminal statuses and milestones."""
    groups = program.symbols.status_groups
    terminal = list(dict.fromkeys(state(status) for status in groups["terminal"]))
    lines += [f"{each} --> [*]" for each in terminal]
    classed = [each for each in terminal if each != _REGIONS]
    if classed:
        lines.append(f"class {','.join(classed)} terminal")
    milestones = [_state(each) for each in _milestones(program)]
    if milestones:
        lines.insert(1, "classDef milestone stroke-width:3px")
        lines.append(f"class {','.join(milestones)} milestone")
    ends = [texts.mermaid_note(text) for text in _ends(program)]
    if ends and terminal:
        lines += [f"note right of {terminal[0]}", *(f"    {text}" for text in ends), "end note"]
    return lines


def _milestones(program: Program) -> list[str]:
    """Return the statuses that are drawn as milestones: of a region, or of the record."""
    regions = program.machine.statuses.regions.values()
    within = [str(n) for each in regions for n, s in each.members.items() if s.milestone]
    found = program.symbols.status_groups.get("milestone", ())
    return within + [each for each in found if not parts_of(program.machine, each)]


def _mermaid_regions(program: Program) -> list[str]:
    """Return the lines of a diagram that has the regions beside each other."""
    machine, edges = program.machine, RegionEdges(program, partial(_label, program))
    statuses = machine.statuses
    lines = [_TERMINAL, f'state "{texts.mermaid(_human(program))}" as {_REGIONS} {{']
    first = parts_of(machine, program.create.to)
    for place, (name, region) in enumerate(statuses.regions.items()):
        lines += ["    --"] if place else []
        begin = first.get(str(name), str(region.initial))
        lines.append(f"    [*] --> {_state(begin)}")
        for status in region.members:
            lines.append(f"    {_state(status)}: {_broken([status])}")
        for (source, to), labels in edges.within(str(name)).items():
            lines.append(f"    {_state(source)} --> {_state(to)}: {_broken(labels)}")
        ends = [_state(each) for each, declared in region.members.items() if declared.terminal]
        lines += [f"    {each} --> [*]" for each in ends]
    lines.append("}")
    lines += [
        f"{_state(each)}: {_broken([each])}" for each in _statuses(program)
        if not parts_of(machine, each)
    ]  # fmt: skip

    def outer(status: str) -> str:
        return _REGIONS if status == REGIONS or parts_of(machine, status) else _state(status)

    lines.append(f"[*] --> {outer(program.create.to)}: {_first(program)}")
    for (source, to), labels in edges.outside().items():
        lines.append(f"{outer(source)} --> {outer(to)}: {_broken(labels)}")
    return _with_ends(program, lines, outer)


def _human(program: Program) -> str:
    return program.machine.entity.replace("_", " ")


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


def _edges(program: Program) -> Edges:
    """Return the transitions between statuses."""
    edges: Edges = {}
    for action in program.actions:
        for test, way in tested_ways(action):
            label = _label(program, action, way, _tests(action, test))
            for status in way.from_statuses:
                edges.setdefault((status, way.to or status), []).append(label)
    return edges


def _tests(command: Command, test: Expression | None) -> list[str]:
    """Return the test of a way as text: of several, the last one is taken in all other cases."""
    if test is None:
        return ["else"] if command.targets else []
    return [notation(test)]


def _label(program: Program, command: Command, way: Command, tests: Sequence[str] = ()) -> str:
    """Return the label of a way of a command: its name, its own guards, its test, its effects."""
    usual = program.usual_guards()
    guards = [
        check.guard
        for check in command.guards
        if check.guard not in usual and not check.guard.startswith(RANGE_GUARD)
    ]
    guards += tests
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
    lines = [
        f'digraph "{program.machine.machine}" {{',
        '  rankdir=LR; fontname="Helvetica"; nodesep=0.4; ranksep=0.9;',
        '  node [shape=box, style=rounded, fontname="Helvetica", fontsize=12];',
        '  edge [fontname="Helvetica", fontsize=10];',
        '  "" [shape=circle, style=filled, fillcolor=black, width=0.15, label=""];',
    ]
    if program.machine.statuses.regions:
        lines += _graph_regions(program)
    else:
        described = {status: _node(program, status) for status in _statuses(program)}
        lines += _nested(described, composites(program.machine), _cluster)
        lines.append(_begun(program, program.create.to))
        lines += _arrows(_edges(program))
    ends = _ends(program)
    if ends:
        text = "\\l".join(texts.dot(line) for line in ends)
        lines.append(f'  label="{text}\\l"; labeljust=l; fontsize=10;')
    return [*lines, "}"]


def _node(program: Program, status: str) -> str:
    """Return the line of a status."""
    terminal = program.symbols.status_groups["terminal"]
    rows = [f"<b>{texts.dot_html(status)}</b>"]
    rows += [
        f'<font point-size="10">{texts.dot_html(text)}</font>'
        for text in _properties(program, status)
    ]
    style = ", peripheries=2" if status in terminal else ""
    milestone = status in program.symbols.announced and status not in terminal
    style += ", penwidth=3" if milestone else ""
    return f'  "{status}" [label=<{"<br/>".join(rows)}>{style}];'


def _begun(program: Program, place: str) -> str:
    """Return the line of the creation of a record."""
    first = texts.dot(_label(program, program.create, program.create))
    return f'  "" -> "{place}" [label="{first}"];'


def _arrows(edges: Edges) -> Iterator[str]:
    """Yield the lines of transitions."""
    for (source, to), labels in edges.items():
        text = "\\n".join(texts.dot(label) for label in labels)
        yield f'  "{source}" -> "{to}" [label="{text}"];'


def _graph_regions(program: Program) -> list[str]:
    """Return the lines of statuses and transitions, with each region as a cluster."""
    machine, edges = program.machine, RegionEdges(program, partial(_label, program))
    inside = [f'  "{_REGIONS}" [label="{texts.dot(_human(program))}", shape=plaintext];']
    arrows: list[str] = []
    for name, region in machine.statuses.regions.items():
        nodes = []
        for status, declared in region.members.items():
            style = ", peripheries=2" if declared.terminal else ""
            style += ", penwidth=3" if declared.milestone else ""
            nodes.append(f'  "{status}" [label="{status}"{style}];')
        inside += _cluster(str(name), nodes)
        arrows += _arrows(edges.within(str(name)))
    lines = _cluster(_REGIONS, inside)
    lines += [_node(program, e) for e in _statuses(program) if not parts_of(machine, e)]
    lines.append(_begun(program, _outer(program, program.create.to)))
    outside = edges.outside().items()
    named = {(s or _REGIONS, t or _REGIONS): labels for (s, t), labels in outside}
    return [*lines, *arrows, *_arrows(named)]


def _outer(program: Program, status: str) -> str:
    """Return what stands for a status beside the regions: itself, or all of them."""
    return _REGIONS if parts_of(program.machine, status) else status

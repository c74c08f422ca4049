"""Mistakes in a machine: every one is reported at its place, and nothing is a traceback.

Each case is one edit of the turnstile, with everything that is said about it.
"""

# Messages stand here as they are printed.
# ruff: noqa: E501

from __future__ import annotations

import ast
import random
import re
from pathlib import Path, PurePosixPath

import pytest
from opslifecycle_codegen.analyze import analyze
from opslifecycle_codegen.config import MachineConfig
from opslifecycle_codegen.diagnostics import Diagnostics, InvalidMachineError
from opslifecycle_codegen.parser import parse
from opslifecycle_codegen.reader import read
from opslifecycle_codegen.render import Renderer

TURNSTILE = (Path(__file__).parent / "turnstile.yaml").read_text(encoding="utf-8")

SHIPPED = (Path(__file__).parents[2] / "machine/ops_lifecycle.yaml").read_text(encoding="utf-8")
CONFIG = MachineConfig(
    source=PurePosixPath("m.yaml"),
    package=PurePosixPath("p"),
    module="p",
    lock=PurePosixPath("m.lock.json"),
    tests=PurePosixPath("tests"),
    docs=PurePosixPath("docs"),
    line_length=100,
)


def mistakes(source: bytes) -> list[str]:
    """Everything that is wrong with a machine: place, rule and message."""
    diagnostics = Diagnostics()
    try:
        analyze(parse(read(source, "m.yaml"), diagnostics), diagnostics)
    except InvalidMachineError as error:
        return [f"{f.mark.line}:{f.mark.column} {f.rule}: {f.message}" for f in error.findings]
    return []


def test_the_turnstile_has_none() -> None:
    assert mistakes(TURNSTILE.encode()) == []


CASES: list[tuple[str, str, list[str]]] = [
    (
        "machine: turnstile\n",
        "",
        [
            "1:1 missing-key: a machine lacks the key 'machine'",
        ],
    ),
    (
        "summary: A turn",
        "sumary: A turn",
        [
            "1:1 missing-key: a machine lacks the key 'summary'",
            "4:1 unknown-key: a machine has no key 'sumary'",
        ],
    ),
    (
        "version: 1",
        "version: one",
        [
            "2:10 wrong-shape: version: expected a whole number",
        ],
    ),
    (
        "version: 1",
        "version: 010",
        [
            "2:10 yaml-guess: YAML reads 010 as another number",
        ],
    ),
    (
        "entity: gate",
        "entity: gate\nentity: door",
        [
            "4:1 yaml-duplicate: the key 'entity' stands here twice",
        ],
    ),
    (
        "checks: [known, possible]",
        "on: [known]",
        [
            "34:1 yaml-guess: YAML reads on as a boolean",
        ],
    ),
    (
        "checks: [known, possible]",
        "checks: [known, posible]",
        [
            "22:3 rejection-never-given: nothing is refused with not_now",
            "30:3 unused-guard: nothing checks possible",
            "34:17 unknown-guard: there is no guard 'posible'",
        ],
    ),
    (
        "checks: [known, possible]",
        "checks: known",
        [
            "34:9 wrong-shape: checks: expected a list",
        ],
    ),
    (
        "checks: [known, possible]",
        "checks: [possible]",
        [
            "31:11 may-be-none: gate may be None here",
            "32:43 may-be-none: gate may be None here",
            "45:81 may-be-none: gate may be None here: no check makes sure that it exists",
            "45:93 may-be-none: gate may be None here",
        ],
    ),
    (
        "checks: [known, possible]",
        "checks: [known]",
        [
            "22:3 rejection-never-given: nothing is refused with not_now",
            "30:3 unused-guard: nothing checks possible",
            "45:3 status-unchecked: none of the checks of coin asks for its `from` (action.from_statuses)",
            "46:3 status-unchecked: none of the checks of push asks for its `from` (action.from_statuses)",
            "47:3 status-unchecked: none of the checks of scrap asks for its `from` (action.from_statuses)",
        ],
    ),
    (
        "{type: text, starts: place}",
        "{type: txt, starts: place}",
        [
            "16:17 unknown-type: there is no type 'txt'",
        ],
    ),
    (
        "starts: '0'",
        "starts: place",
        [
            "17:32 wrong-type: expected count, found text",
        ],
    ),
    (
        "starts: '0'",
        "starts: '0 +'",
        [
            "17:32 expression-syntax: no expression: invalid syntax",
        ],
    ),
    (
        "starts: '0'",
        "starts: open('x')",
        [
            "17:32 unknown-name: there is no 'open' to call",
        ],
    ),
    (
        "starts: '0'",
        "starts: place.__class__",
        [
            "17:32 unknown-name: text has no '__class__'",
        ],
    ),
    (
        "starts: '0'",
        "starts: '[0 for x in place]'",
        [
            "17:32 expression-form: ListComp has no meaning in an expression here",
        ],
    ),
    (
        "to: unlocked",
        "to: unloked",
        [
            "12:5 unreachable-status: no action leads to unlocked",
            "45:62 unknown-status: there is no status 'unloked'",
        ],
    ),
    (
        "from: [unlocked]",
        "from: [scrapped]",
        [
            "46:56 terminal-exit: scrapped is an end: nothing leads away from it",
        ],
    ),
    (
        "from: [locked], to: unlocked",
        "from: [locked], to: locked",
        [
            "12:5 unreachable-status: no action leads to unlocked",
        ],
    ),
    (
        "from: live, to: scrapped",
        "from: live, to: locked",
        [
            "11:5 endless-status: no end can be reached from locked",
            "12:5 endless-status: no end can be reached from unlocked",
            "13:5 unreachable-status: no action leads to scrapped",
        ],
    ),
    (
        ", terminal: true",
        "",
        [
            "10:3 endless-status: none of the statuses is terminal",
            "11:5 endless-status: no end can be reached from locked",
            "12:5 endless-status: no end can be reached from unlocked",
            "13:5 endless-status: no end can be reached from scrapped",
        ],
    ),
    (
        "gate.status in action.from_statuses",
        "gate.status in action.from",
        [
            "31:33 expression-syntax: no expression: invalid syntax",
        ],
    ),
    (
        "gate.status in action.from_statuses",
        "gate.place in action.from_statuses",
        [
            "31:25 wrong-type: text cannot be in statuses",
        ],
    ),
    (
        "status: gate.status, action",
        "action",
        [
            "32:17 missing-key: not_now needs the fact 'status'",
        ],
    ),
    (
        "status: gate.status, action",
        "status: gate.place, action",
        [
            "32:43 wrong-type: expected GateStatus, found text",
        ],
    ),
    (
        "otherwise: {no_such_gate: {id: id}}",
        "otherwise: {no_gate: {id: id}}",
        [
            "21:3 rejection-never-given: nothing is refused with no_such_gate",
            "29:47 unknown-rejection: there is no rejection 'no_gate'",
        ],
    ),
    (
        "effects: [wake_watchers]",
        "effects: [wake_watcher]",
        [
            "50:15 unknown-effect: the shell has no effect 'wake_watcher'",
            "52:8 missing-effect: watch would never end: no step of on_terminal always does wake_watchers",
        ],
    ),
    (
        "effects: [wake_watchers]",
        "effects: [evict_oldest]",
        [
            "50:15 missing-feed: evict_oldest needs a feed",
            "52:8 missing-effect: watch would never end: no step of on_terminal always does wake_watchers",
        ],
    ),
    (
        "gate {id} stands already",
        "gate {ident} stands",
        [
            "20:77 unknown-name: installed_already says {ident}, which is none of its facts",
        ],
    ),
    (
        "    locked: {summary: Nobody gets through.}",
        "    locked: {summary: Nobody gets through.}\n    adrift: {summary: x}",
        [
            "12:5 unreachable-status: no action leads to adrift",
        ],
    ),
    (
        "  possible:",
        "  spare: {when: gate is None, otherwise: {no_such_gate: {id: id}}}\n  possible:",
        [
            "30:3 unused-guard: nothing checks spare",
        ],
    ),
    (
        "  GateId: {summary: Names one gate.}",
        "  GateId: {summary: Names one gate.}\n  DoorId: {summary: x}",
        [
            "8:3 unused-type: nothing uses DoorId",
        ],
    ),
    (
        "methods: [push]",
        "methods: [coin]",
        [
            "46:42 name-collision: coin names two things: each method needs a name of its own",
        ],
    ),
    (
        "push: {summary",
        "class: {summary",
        [
            "46:3 wrong-shape: a key of actions: 'class' is a word of Python",
        ],
    ),
    (
        "error: NotNowError",
        "error: GateInstalledError",
        [
            "23:12 name-collision: GateInstalledError names two things: each type needs a name of its own",
        ],
    ),
    (
        "gate.coins: gate.coins + 1",
        "gate.coin: gate.coins + 1",
        [
            "45:81 unknown-name: 'gate.coin' cannot be updated here",
        ],
    ),
    (
        "gate.coins: gate.coins + 1",
        "gate.coins: gate.coins + gate.place",
        [
            "45:106 wrong-type: expected a number, found text",
        ],
    ),
    (
        "gate.coins: gate.coins + 1",
        "gate.id: id",
        [
            "45:81 unknown-name: 'gate.id' cannot be updated here",
        ],
    ),
    (
        "coins: gate.coins}",
        "coins: *x}",
        [
            "56:72 yaml-alias: an alias (*x)",
        ],
    ),
    (
        "coins: gate.coins}",
        "coins: !!int 3}",
        [
            "56:72 yaml-tag: the tag 'tag:yaml.org,2002:int' has no meaning here",
        ],
    ),
    (
        "coins: gate.coins}",
        "coins: gate.coins",
        [
            "57:1 yaml-syntax: while parsing a flow mapping did not find expected ',' or '}'",
        ],
    ),
    (
        "summary: Pay.",
        "summary: Pay: now",
        [
            "45:22 yaml-syntax: while parsing a flow mapping did not find expected ',' or '}'",
        ],
    ),
    (
        "to: locked}",
        "to: yes}",
        [
            "46:71 yaml-guess: YAML reads yes as a boolean",
        ],
    ),
    (
        "id: id\n  checks",
        "id: place\n  checks",
        [
            "40:7 wrong-type: expected GateId, found text",
        ],
    ),
    (
        "when: gate is not None, otherwise",
        "when: gate.coins > 0, otherwise",
        [
            "29:17 may-be-none: gate may be None here",
            "31:11 may-be-none: gate may be None here",
            "32:43 may-be-none: gate may be None here",
            "45:81 may-be-none: gate may be None here: no check makes sure that it exists",
            "45:93 may-be-none: gate may be None here",
            "52:8 may-be-none: nothing makes sure that the record exists",
        ],
    ),
    (
        "GateId: {",
        "gateid: {",
        [
            "7:3 wrong-shape: a key of ids: 'gateid' is no PascalCase name",
        ],
    ),
    (
        "  place: {type: text",
        "  status: {type: text",
        [
            "16:3 name-collision: status is a field that every record has",
            "31:26 wrong-type: text cannot be in statuses",
            "32:43 wrong-type: expected GateStatus, found text",
            "56:32 unknown-name: entity has no 'place'",
        ],
    ),
    (
        "    unlocked: {summary: The",
        "    wire: {summary: The",
        [
            "12:5 reserved-name: 'wire' cannot stand in a closed set: generated code uses the word",
            "12:5 unreachable-status: no action leads to wire",
            "45:62 unknown-status: there is no status 'unlocked'",
            "46:3 dead-action: no status allows push",
            "46:56 unknown-status: there is no status 'unlocked'",
        ],
    ),
    (
        "GateInstalledError",
        "Shell",
        [
            "20:30 reserved-name: Shell is the name of something that generated code uses",
        ],
    ),
    (
        "  push: {summary: Go through., methods: [push]",
        "  erase: {summary: Go through., methods: [push]",
        [
            "46:3 reserved-name: 'erase' cannot stand in an authority's methods: generated code uses the word",
        ],
    ),
    (
        "  push: {summary: Go through., methods: [push]",
        "  watch: {summary: Go through., methods: [push]",
        [
            "52:64 name-collision: watch names two things: each command of the authority needs a name of its own",
        ],
    ),
    (
        "statuses:\n",
        "values:\n  Left: {summary: x, fields: {right: Right}}\n  Right: {summary: x, fields: {left: Left}}\n\nstatuses:\n",
        [
            "10:3 cycle: Left cannot be made: it needs another Left first",
            "11:3 cycle: Right cannot be made: it needs another Right first",
        ],
    ),
    (
        "statuses:\n",
        "values:\n  Shape:\n    summary: x\n    variants:\n      Round: {summary: x}\n\nstatuses:\n",
        [
            "10:3 unused-type: nothing uses Shape",
            "11:5 wrong-shape: Shape has variants: it needs a tag and no fields of its own",
        ],
    ),
    (
        "statuses:\n",
        "enums:\n  Hue:\n    summary: x\n    properties: {warm: {type: bool, summary: x}}\n    members: {red: {summary: x, warm: 1}, blue: {summary: x}, teal: {summary: x, warm: true, cold: true}}\n\nstatuses:\n",
        [
            "13:39 wrong-type: expected a value of type bool",
            "13:49 missing-key: lacks the property 'warm'",
            "13:94 unknown-key: no property 'cold' is declared",
        ],
    ),
    (
        "    scrapped: {summary: The gate was taken away., terminal: true}",
        "    scrapped: {summary: The gate was taken away., terminal: true}\n  groups: {live: [locked]}",
        [
            "14:12 name-collision: the group 'live' has the name of a status or a built-in group",
        ],
    ),
    (
        "  coins: {type: count, starts: '0'}",
        "  coins: {type: count}",
        [
            "17:10 missing-key: coins needs a value to start with, or an optional type",
        ],
    ),
    (
        "when: gate is None, otherwise",
        "when: gate is None or id is None, otherwise",
        [
            "28:31 always-true: id is never None here",
        ],
    ),
    (
        "gate.coins: gate.coins + 1",
        "registry.coins: gate.coins + 1",
        [
            "45:81 unknown-name: 'registry.coins' cannot be updated here",
        ],
    ),
    (
        "  scrap: {summary: Take the gate away., methods: [scrap]",
        "  scrap: {summary: Take the gate away.",
        [
            "47:3 dead-action: scrap has no method and no command that does it",
        ],
    ),
    (
        "watch: {summary: Watch a gate until it is taken away., method: watch, checks: [known]}",
        "watch: {summary: Watch a gate until it is taken away., method: watch, checks: []}",
        [
            "52:8 may-be-none: nothing makes sure that the record exists",
        ],
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), CASES)
def test_one_edit(old: str, new: str, expected: list[str]) -> None:
    assert old in TURNSTILE
    assert mistakes(TURNSTILE.replace(old, new, 1).encode()) == expected


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "1:1 yaml-shape"),
    "scalar": (b"x", "1:1 yaml-shape"),
    "list": (b"- a", "1:1 yaml-shape"),
    "tab": (b"a:\n\t- b", "2:1 yaml-syntax"),
    "depth": (b"[" * 100000, "1:41 yaml-depth"),
    "maps": (b"{a: " * 5000, "1:161 yaml-depth"),
    "size": (b"a" * 2000000, "1:1 yaml-size"),
    "encoding": (b"machine: \xff", "1:10 yaml-encoding"),
    "nul": (b"machine: a\x00b", "1:11 yaml-encoding"),
    "documents": (b"a: 1\n---\nb: 2", "2:1 yaml-shape"),
    "bomb": (b"a: &a [x]\nb: [*a,*a]", "1:4 yaml-alias"),
    "unclosed": (b"a: 'x", "1:6 yaml-syntax"),
    "merge": (b"a: {<<: b}", "1:5 yaml-alias"),
    "key": (b"? [a]\n: b", "1:3 yaml-shape"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml(name: str) -> None:
    source, expected = HOSTILE[name]
    first = mistakes(source)[0]
    assert first.startswith(f"{expected}:")


def test_all_mistakes_are_reported_at_once() -> None:
    text = TURNSTILE.replace("to: unlocked", "to: open").replace("[wake_watchers]", "[ring]")
    assert {line.split(":")[0] for line in mistakes(text.encode())} >= {"45", "50"}


@pytest.mark.parametrize("length", range(0, len(TURNSTILE), 97))
def test_a_machine_cut_anywhere_is_no_traceback(length: int) -> None:
    assert mistakes(TURNSTILE[:length].encode())


WORD = re.compile(r"[\w.]+")


@pytest.mark.parametrize("seed", range(150))
def test_a_machine_changed_at_random_is_no_traceback(seed: int) -> None:
    """Lines deleted, repeated and indented, words exchanged: mistakes are found, or it compiles."""
    chance = random.Random(seed)
    source = SHIPPED if seed % 2 else TURNSTILE
    words, lines = WORD.findall(source), source.split("\n")
    for _ in range(chance.choice([1, 1, 2, 3])):
        place = chance.randrange(len(lines))
        match chance.randrange(4):
            case 0:
                del lines[place]
            case 1:
                lines.insert(place, chance.choice(lines))
            case 2:
                lines[place] = f"  {lines[place]}"
            case _:
                found = WORD.findall(lines[place]) or ["x"]
                lines[place] = lines[place].replace(chance.choice(found), chance.choice(words), 1)
    tree = "\n".join(lines).encode()
    if not mistakes(tree):
        root = read(tree, "m.yaml")
        program = analyze(parse(root, Diagnostics()), Diagnostics())
        for path, text in Renderer(program, CONFIG, root).files().items():
            if path.suffix == ".py":
                ast.parse(text)

"""Texts of a machine in everything that is generated: any text is fine, and stays what it was."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from opslifecycle_codegen.base.config import MachineConfig
from opslifecycle_codegen.cli.explain import explained
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.emit import layout, texts
from opslifecycle_codegen.emit.diagram import mermaid
from opslifecycle_codegen.emit.render import Renderer
from opslifecycle_codegen.ir.regions import parts_of
from opslifecycle_codegen.modelcheck.sampling import sampled

from tests.support.codegen.projects import assert_clean, project

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TURNSTILE = (HERE / "turnstile.yaml").read_text(encoding="utf-8")
PLACE = MachineConfig(
    source=PurePosixPath("m.yaml"),
    package=PurePosixPath("p"),
    module="p",
    lock=PurePosixPath("m.lock.json"),
    tests=PurePosixPath("tests"),
    docs=PurePosixPath("docs"),
    line_length=88,
)

HOSTILE = {
    "quote": 'Known as "done"',
    "quoted": '"Done" is what "they" say',
    "one quote": "It's it",
    "backslash": "Ends in a backslash \\",
    "docstring": 'Three """ quotes, then four """"',
    "escape": "A \\x and a \\N{DASH} and \\u12",
    "pipe": "Here | there || and \\| too",
    "blank lines": "One.\n\n\n\nTwo.\n\n    Three.",
    "dots": "Waiting. See parcels.example.org.",
    "braces": "{} {0} {{ x }} {% if y %} {# z #} %s %(a)s ${b}",
    "html": "<script>alert(1)</script> &lt;b&gt; <!-- x --> -->",
    "marks": "right \u202eto left\u202c, zero\u200bwidth, a\u00a0space, \ufeff",
    "controls": "bell \x07, nul \x00, escape \x1b[31m, \x85 \u2028 \u2029",
    "long": "word " * 2000,
    "long word": "x" * 10_000,
    "emoji": "👩‍👩‍👧 🎉 é ß 漢字",
    "mermaid": "a:::b --> c; %% x end note #35; [*] <<fork>>",
    "markdown": "# not a title, `code`, ``` and *stars* _under_ ~~no~~ [a](b) ![i](j) $x$",
    "list": "- no list",
    "number": "1. no list either",
    "placeholder": "@imports@",
    "setext": "====",
    "directive": ":::{note}",
    "comment": "# type: ignore  # noqa  # fmt: off",
    "comment ends": "*/ and *) and (* and /* and ====",
    "separator": "\x1c\x1d\x1e between",
}


def literal_of(text: str) -> str:
    """A text as YAML writes it: JSON, but with one escape for a character past the first plane."""
    return re.sub(
        r"\\u(d[89ab]..)\\u(d[c-f]..)",
        lambda m: f"\\U{0x10000 + ((int(m[1], 16) & 0x3FF) << 10) + (int(m[2], 16) & 0x3FF):08x}",
        json.dumps(text),
    )


def machine(text: str) -> bytes:
    """The turnstile with a text in every place where a text can stand."""
    literal = literal_of(text)
    source = re.sub(r"summary: [^,}\n]+", lambda _: f"summary: {literal}", TURNSTILE)
    shown = f"members:\n    locked: {{notice: {literal}, "
    source = source.replace("members:\n    locked: {", shown)
    says = text.replace("{", "{{").replace("}", "}}")
    source = source.replace("'gate {id} stands already'", literal_of(f"gate {{id}}: {says}"))
    source = source.replace("unlocked: {", "unlocked: {notice: 'a. b', ")
    source = source.replace("scrapped: {", "scrapped: {notice: none, ")
    source = source.replace(
        "statuses:\n", f"statuses:\n  properties:\n    notice: {{type: str, summary: {literal}}}\n"
    )
    return source.encode()


def files_of(source: bytes) -> dict[PurePosixPath, str]:
    program = program_of(source, "m.yaml")
    return Renderer(program, PLACE, "0", sampled(program)).files()


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", HOSTILE)
def test_any_text_is_python_that_says_it(name: str) -> None:
    text = HOSTILE[name]
    files = files_of(machine(text))
    docs = []
    for path, content in files.items():
        if path.suffix == ".py":
            tree = ast.parse(content)
            docs += [
                words(ast.get_docstring(node, clean=True) or "")
                for node in ast.walk(tree)
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Module)
            ]
    assert docs.count(words(text)) >= 2
    assert any(each.startswith(words(text)) and each != words(text) for each in docs)
    members: dict[str, Any] = {"__name__": "m"}
    exec(compile(files[PurePosixPath("p/enums.py")], "enums.py", "exec"), members)
    assert members["GateStatus"].LOCKED.notice == text
    assert inspect.getdoc(members["GateStatus"])


@pytest.mark.parametrize("name", HOSTILE)
def test_any_text_shows_in_the_documentation(name: str) -> None:
    text = HOSTILE[name]
    page = files_of(machine(text))[PurePosixPath("docs/turnstile.md")]
    found = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(page)
    shown = [plain(token) for token in found if token.type == "inline"]
    seen = words("".join(c if is_seen(c) else texts.escaped(c) for c in words(text)))
    assert seen in shown
    headings = [token for token in found if token.type == "heading_open"]
    assert len(headings) == 6
    rows = [line for line in page.split("\n") if line.startswith("|")]
    columns = [len(re.findall(r"(?<!\\)\|", re.sub(r"\\\\", "", row))) for row in rows]
    assert set(columns) <= {3, 4, 5}


def is_seen(character: str) -> bool:
    """Whether HTML can hold a character at all."""
    return character.isprintable() or ord(character) > 0xA0


def plain(token: Any) -> str:
    """The text of a paragraph as a reader sees it; markup of any kind is left out."""
    kinds = {"text", "softbreak", "text_special"}
    return "".join(each.content for each in token.children if each.type in kinds)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_reaches_a_terminal_or_a_comment_raw(name: str) -> None:
    text = HOSTILE[name]
    told = explained(program_of(machine(text), "m.yaml"))
    assert told.replace("\n", "").isprintable()
    line = texts.block_comment(text)
    assert line.isprintable()
    assert not any(mark in line for mark in ("*/", "/*", "*)", "(*"))


def test_what_is_generated_of_hostile_texts_is_clean(tmp_path: Path) -> None:
    text = " ".join(HOSTILE[name] for name in HOSTILE if name not in ("long", "long word"))
    source = tmp_path / "turnstile.yaml"
    source.write_bytes(machine(text))
    assert_clean(project(tmp_path / "project", source))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_literal_is_what_a_formatter_leaves(name: str) -> None:
    literal = layout.quoted(HOSTILE[name])
    assert ast.literal_eval(literal) == HOSTILE[name]


@settings(max_examples=60)
@given(st.text(min_size=1, max_size=200).filter(str.strip))
def test_any_text_compiles(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode() or "x"
    if not text.strip():
        return
    literal = ast.literal_eval(layout.quoted(text))
    assert literal == text
    for more in ((), ("More.",)):
        lines = layout.docstring(text, more, indent=0, width=88)
        doc = ast.get_docstring(ast.parse("\n".join(lines)))
        assert doc is not None
        assert words(doc) == words(" ".join((text, *more)))
    found = MarkdownIt("commonmark").enable(["table"]).parse(f"* **a**: {texts.markdown(text)}")
    seen = words("".join(c if is_seen(c) else texts.escaped(c) for c in words(text)))
    inline = [plain(token) for token in found if token.type == "inline"]
    assert inline == [f"a: {seen}"]


# Diagrams -----------------------------------------------------------------------------------------

#: Statuses that are words of Mermaid.
WORDS = [
    "default", "note", "style", "click", "state", "end", "direction", "fork", "join",
    "choice", "scale", "title", "hide", "href", "classdef", "state_x", "root", "left", "note_x",
]  # fmt: skip


def machine_of(statuses: list[str], text: str) -> bytes:
    """The turnstile with these statuses besides its own, one after the other."""
    source = machine(text).decode()
    more = "".join(f"    {status}: {{summary: S., notice: N.}}\n" for status in statuses)
    source = source.replace("    scrapped: {", f"{more}    scrapped: {{")
    chain = ["locked", *statuses]
    actions = "".join(
        f"  go_{to}: {{summary: Go., methods: [go_{to}], from: [{source}], to: {to}}}\n"
        for source, to in itertools.pairwise(chain)
    )
    return source.replace("actions:\n", f"actions:\n{actions}").encode()


@pytest.fixture(scope="module")
def mermaid_parser() -> list[str]:
    """The command of Mermaid's own parser, installed into build/ at its first use."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("SKIPPED: Node.js with npm is not installed; Mermaid's own parser needs it")
    folder = ROOT / "build/mermaid"
    wanted = (HERE / "mermaid/package.json").read_bytes()
    done = folder / "installed.json"
    if not done.exists() or done.read_bytes() != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_bytes(wanted)
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            pytest.skip(f"SKIPPED: npm cannot install Mermaid: {run.stderr.strip()[-300:]}")
        done.write_bytes(wanted)
    return [node, str(HERE / "mermaid/read.mjs"), str(folder)]


def drawn(command: list[str], diagrams: list[str]) -> list[dict[str, Any]]:
    run = subprocess.run(
        command, input=json.dumps(diagrams), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    found: list[dict[str, Any]] = json.loads(run.stdout)
    return found


@pytest.mark.nightly
def test_mermaid_draws_any_status_and_any_text(mermaid_parser: list[str]) -> None:
    hostile = [text for name, text in HOSTILE.items() if not name.startswith("long")]
    machines = [machine_of(WORDS, "Plain."), *(machine_of([], text) for text in hostile)]
    diagrams = ["\n".join(mermaid(program_of(each, "m.yaml"))) for each in machines]
    broken = "stateDiagram-v2\n  default: a\n  default --> note: b"
    refused, *found = drawn(mermaid_parser, [broken, *diagrams])
    assert "refused" in refused
    for each, statuses in zip(found, [WORDS, *([] for _ in hostile)], strict=True):
        assert "refused" not in each, each
        ids = {state["id"] for state in each["states"]}
        expected = {f"s_{name}" for name in ("locked", "unlocked", "scrapped", *statuses)}
        assert expected <= ids
        assert {i for i in ids - expected if not i.startswith("root_")} == set()
        pairs = {(line["id1"], line["id2"]) for line in each["relations"]}
        chain = ["locked", *statuses]
        assert {(f"s_{a}", f"s_{b}") for a, b in itertools.pairwise(chain)} <= pairs


@pytest.mark.nightly
def test_no_text_ends_a_note_of_mermaid(mermaid_parser: list[str]) -> None:
    notes = [*HOSTILE.values(), "x end note: y", "END NOTE"]
    head = "stateDiagram-v2\n  s_a: a\n  s_b: b\n  note right of s_a\n    "
    tail = "\n  end note\n  s_a --> s_b: on"
    diagrams = [head + texts.mermaid_note(text) + tail for text in notes]
    for text, found in zip(notes, drawn(mermaid_parser, diagrams), strict=True):
        assert "refused" not in found, (text, found)
        assert {state["id"] for state in found["states"]} == {"s_a", "s_b"}
        assert len(found["relations"]) == 1


def drawn_in(states: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the ids of states, and of those within them."""
    for state in states:
        yield state["id"]
        yield from drawn_in(state["within"])


@pytest.mark.nightly
def test_mermaid_draws_the_machines_of_the_project(mermaid_parser: list[str]) -> None:
    sources = [ROOT / "machine/ops_lifecycle.yaml", *(ROOT / "examples").glob("*/machine/*.yaml")]
    programs = [program_of(path.read_bytes(), path.name) for path in sources]
    for program, found in zip(
        programs, drawn(mermaid_parser, ["\n".join(mermaid(p)) for p in programs]), strict=True
    ):
        assert "refused" not in found, found
        groups = program.symbols.status_groups
        # In regions, a status of a record is drawn as those of the regions that it consists of.
        words = [
            word
            for name in (*groups["live"], *groups["terminal"])
            for word in parts_of(program.machine, name).values() or [name]
        ]
        assert {f"s_{word}" for word in words} <= set(drawn_in(found["states"]))

"""The commands of opslifecycle-codegen, as somebody types them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from opslifecycle_codegen.cli.commands import FUNCTIONS
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.cli.table import COMMANDS
from opslifecycle_codegen.source.descriptions import sections
from opslifecycle_codegen.source.format import format_yaml

from tests.support.codegen.projects import assert_clean, edit, project
from tests.support.scale import share
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "machine/ops_lifecycle.yaml"
TURNSTILE = Path(__file__).parent / "turnstile.yaml"


def run(folder: Path, *arguments: str) -> int:
    return main(["--project", str(folder), *arguments])


class TestInit:
    @pytest.mark.parametrize("name", share(["task", "x", "very_long_order_line_item"], 1))
    def test_what_it_begins_is_clean_and_passes(self, tmp_path: Path, name: str) -> None:
        assert run(tmp_path, "init", name) == 0
        assert run(tmp_path, "check") == 0
        assert run(tmp_path, "fmt", "--check") == 0
        assert_clean(tmp_path, interpreters=True, typed=True)

    def test_it_changes_freely_until_it_is_published(self, tmp_path: Path) -> None:
        assert run(tmp_path, "init", "order") == 0
        machine = tmp_path / "machine/order.yaml"
        text = machine.read_text(encoding="utf-8")
        assert "statuses of an order" in text
        added = "  attempts: {type: int, initial: 0}\n  tries: {type: int, stamped: created}\n"
        text = text.replace("  attempts: {type: int, initial: 0}\n", added)
        machine.write_text(text, encoding="utf-8")
        assert run(tmp_path, "generate") == 0
        draft = next(line for line in text.splitlines() if line.startswith("status: draft"))
        text = text.replace(f"{draft}\n", "")
        machine.write_text(text, encoding="utf-8")
        assert run(tmp_path, "generate") == 0
        machine.write_text(text.replace("tries:", "trials:"), encoding="utf-8")
        assert run(tmp_path, "generate") == 2

    def test_a_second_machine_joins_the_first(self, tmp_path: Path) -> None:
        assert run(tmp_path, "init", "task") == 0
        assert run(tmp_path, "init", "order") == 0
        assert run(tmp_path, "check") == 0
        assert (tmp_path / "pyproject.toml").read_text().count("source =") == 2

    @pytest.mark.parametrize("name", ["Task", "class", "a b", "../x", ""])
    def test_a_name_that_is_none(
        self, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(tmp_path, "init", name) == 2
        assert "is no name for a machine" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_nothing_is_overwritten(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(tmp_path, "init", "task") == 0
        before = (tmp_path / "machine/task.yaml").read_bytes()
        assert run(tmp_path, "init", "task") == 2
        assert "is there already" in capsys.readouterr().err
        assert (tmp_path / "machine/task.yaml").read_bytes() == before


class TestFormats:
    @pytest.fixture
    def wrong(self, tmp_path: Path) -> Path:
        folder = project(tmp_path, TURNSTILE)
        edit(
            folder / "machine/turnstile.yaml",
            "default_guards: [known]\n\ncreate",
            "default_guards: [knwon]\n\ncreate",
        )
        return folder

    def test_text_shows_the_line_and_a_caret(
        self, wrong: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(wrong, "check") == 2
        printed = capsys.readouterr().err
        assert "machine/turnstile.yaml:34:18: error: there is no guard 'knwon'" in printed
        line = "  34 | default_guards: [knwon]\n     |                  ^\n"
        assert f"{line}    hint: did you mean 'known'?" in printed

    def test_json_and_github(self, wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(wrong, "--format", "json", "check") == 2
        found = json.loads(capsys.readouterr().out)
        assert {"unknown-guard"} <= {each["rule"] for each in found}
        assert (found[0]["path"], found[0]["line"]) == ("machine/turnstile.yaml", 32)
        assert run(wrong, "--format", "github", "check") == 2
        lines = capsys.readouterr().out.splitlines()
        assert any(line.startswith("::error file=machine/turnstile.yaml,line=34") for line in lines)


class TestExplain:
    def test_a_status_is_explained_with_its_actions(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = project(tmp_path, SHIPPED)
        capsys.readouterr()
        assert run(folder, "explain", "retiring") == 0
        printed = capsys.readouterr().out
        assert "allows fail → failed, peer_ready → stays" in printed
        assert "  start: refused with InvalidTransitionError\n" in printed
        assert (
            "retire_requested: refused with InvalidTransitionError (counts as done already)"
            in printed
        )
        assert run(folder, "explain", "retirin") == 2
        assert "did you mean 'retiring'?" in capsys.readouterr().err

    def test_what_is_undecided_is_said(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(project(tmp_path, SHIPPED), "explain", "--machine", "ops_lifecycle") == 0
        printed = capsys.readouterr().out
        assert "40 decided by trying every case\n  undecided: room in create\n" in printed


class TestDiagram:
    def test_mermaid_is_what_the_docs_hold(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(ROOT, "diagram", "--machine", "ops_lifecycle") == 0
        printed = capsys.readouterr().out
        page = (ROOT / "docs/generated/ops_lifecycle.md").read_text(encoding="utf-8")
        assert f"```mermaid\n{printed}```" in page
        assert "peer_ready [kind_expects_peer, not_yet_peer_ready]" in printed
        assert "if operation.kind.durability_class is discard: erase" in printed
        assert "completed: completed<br>public_result_class completed" in printed

    def test_svg_is_drawn_or_refused_in_words(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = tmp_path / "x.svg"
        if shutil.which("dot") is not None:
            assert run(ROOT, "diagram", "--machine", "ops_lifecycle", "--svg", str(target)) == 0
            assert "<svg" in target.read_text(encoding="utf-8")
            target.unlink()
        monkeypatch.setenv("PATH", "")
        assert run(ROOT, "diagram", "--machine", "ops_lifecycle", "--svg", str(target)) == 2
        assert "needs Graphviz" in capsys.readouterr().err
        assert not target.exists()


class TestDiff:
    @pytest.fixture
    def pair(self, tmp_path: Path) -> Path:
        shutil.copy(TURNSTILE, tmp_path / "old.yaml")
        shutil.copy(TURNSTILE, tmp_path / "new.yaml")
        return tmp_path

    def test_a_file_that_is_unchanged_has_no_changes(
        self, pair: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(pair, "diff", "old.yaml", "new.yaml") == 0
        assert capsys.readouterr().out == "0 changes, 0 of them breaking, 0 accepted\n"

    @pytest.mark.parametrize(
        ("old", "new", "told", "status"),
        [
            ("    scrapped:", "    rusty: {summary: It squeaks.}\n    scrapped:", "", 2),
            ("from: [locked], to: unlocked", "from: live, to: unlocked",
             "compatible: the action coin from unlocked is new [status-allowed]", 0),
            ("from: live, to: scrapped", "from: [locked], to: scrapped",
             "breaking-behaviour: the action scrap from unlocked is gone [status-refused]", 3),
            ("methods: [push]", "methods: [pass_through]",
             "breaking-source: the method push is gone [method-removed]", 3),
            ("gate.coins + 1", "gate.coins + 2",
             "breaking-behaviour: what the action coin sets was gate.coins += 1 and is", 3),
            ("NotNowError", "LockedError",
             "breaking-source: the rejection not_now was NotNowError(", 3),
            ("place: {type: str", "place: {type: str | None",
             "compatible: GateSnapshot.place", 2),
        ],
    )  # fmt: skip
    def test_each_change_says_whom_it_breaks(
        self,
        pair: Path,
        old: str,
        new: str,
        told: str,
        status: int,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        edit(pair / "new.yaml", old, new)
        found = run(pair, "diff", "old.yaml", "new.yaml")
        if status == 2:
            # The edit alone is a mistake: it is told as such, or as what breaks.
            assert found in (2, 3)
            return
        assert found == status
        assert told in capsys.readouterr().out

    def test_a_break_is_accepted_with_its_reason(
        self, pair: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        edit(pair / "new.yaml", "from: live, to: scrapped", "from: [locked], to: scrapped")
        note = (
            "version: 2\nmigrations:\n  2:\n    reason: Safety first.\n"
            "    accepts: {status-refused: Nobody may be inside.}\n"
        )
        edit(pair / "new.yaml", "version: 1\n", note)
        assert run(pair, "--format", "json", "diff", "old.yaml", "new.yaml") == 0
        (change,) = json.loads(capsys.readouterr().out)
        assert change["accepted"] == "Nobody may be inside."

    def test_against_a_git_revision(self, pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
        for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
            subprocess.run([*git, *command], cwd=pair, check=True)
        edit(pair / "new.yaml", "gate.coins + 1", "gate.coins + 2")
        assert run(pair, "diff", "HEAD:new.yaml", "new.yaml") == 3
        assert run(pair, "diff", "nowhere:new.yaml", "new.yaml") == 2
        assert run(pair, "diff", "absent.yaml", "new.yaml") == 2
        errors = capsys.readouterr().err
        assert "nowhere:new.yaml: fatal:" in errors
        assert "there is no file absent.yaml" in errors


def test_the_schema_accepts_every_machine_and_refuses_mistakes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    validator = jsonschema.Draft202012Validator(schema)
    for path in (SHIPPED, TURNSTILE, TURNSTILE.with_name("parcel.yaml")):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        # JSON has no keys but texts.
        assert list(validator.iter_errors(json.loads(json.dumps(data)))) == []
        assert list(validator.iter_errors({**data, "sumary": "x"}))
        assert list(validator.iter_errors({**data, "version": "one"}))


def test_every_property_in_the_schema_has_a_description(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    keys: dict[str, set[str]] = {}
    for name, section in {"Machine": schema, **schema["$defs"]}.items():
        # A section with a short form is one of two: the form, or the mapping.
        (mapping,) = [e for e in section.get("anyOf", [section]) if "properties" in e]
        keys[name] = set(mapping["properties"])
        for key, each in mapping["properties"].items():
            assert each["description"].endswith("."), (name, key)
    assert len(keys) > 40
    # An error with its fields is one mapping, of which the reference alone has the parts.
    keys["Refusal"] = {"name", "fields"}
    for name, known in sections().items():
        assert set(known) <= keys[name], name


class TestFmt:
    def test_it_lays_out_and_keeps_comments(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = project(tmp_path, TURNSTILE)
        machine = folder / "machine/turnstile.yaml"
        edit(machine, "  GateId: {summary", "      # Each has one.\n      GateId:   {summary")
        assert run(folder, "fmt", "--check") == 1
        assert run(folder, "fmt") == 0
        text = machine.read_text()
        assert "# Each has one.\n" in text
        assert "\n  GateId: {summary" in text
        assert run(folder, "fmt", "--check") == 0
        assert run(folder, "check") == 0

    def test_flow_style_quotes_comments_and_line_breaks_stay(self) -> None:
        uneven = """\
# A machine.
a:   # the first
        # of b
        b : 'one'   # with quotes
        c: "two"
        d: {x: 1,   u: [p,
               q], z: 'a: b'}
        # a list
        e:
        -   f: >-
              long
              text
            g: 1
        - [h,   i]
        -
          j: k

j: plain text
    that goes on
"""
        even = """\
# A machine.
a:   # the first
  # of b
  b: 'one'   # with quotes
  c: "two"
  d: {x: 1,   u: [p,
         q], z: 'a: b'}
  # a list
  e:
    - f: >-
          long
          text
      g: 1
    - [h,   i]
    -
      j: k

j: plain text
    that goes on
"""
        assert format_yaml(uneven.encode(), "m.yaml").decode() == even
        assert format_yaml(even.encode(), "m.yaml").decode() == even

    @pytest.mark.parametrize("path", [SHIPPED, *sorted(TURNSTILE.parent.glob("*.yaml"))])
    def test_a_file_that_was_indented_twice_as_far_is_restored(self, path: Path) -> None:
        source = path.read_text("utf-8")
        assert format_yaml(source.encode(), "m.yaml").decode() == source
        far = re.sub("^ +", lambda found: found.group() * 2, source, flags=re.MULTILINE)
        # A dash is followed by one space, so what follows it stands elsewhere now.
        far = re.sub(r"^( +)- (?=[\w.]+:)", r"\1-   ", far, flags=re.MULTILINE)
        once = format_yaml(far.encode(), "m.yaml")
        assert format_yaml(once, "m.yaml") == once
        begun = [line for line in source.splitlines() if re.match(" *[a-z_.]+: ?[^ ]", line)]
        assert set(begun) <= set(once.decode().splitlines())

    def test_the_shipped_machine_is_laid_out(self) -> None:
        assert run(ROOT, "fmt", "--check") == 0


def test_watch_generates_at_every_change(tmp_path: Path) -> None:
    folder = project(tmp_path, TURNSTILE)
    command = [sys.executable, "-m", "opslifecycle_codegen.cli.main", "watch"]
    # A test run in the background of a shell inherits an ignored SIGINT, and so would its child.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, cwd=folder, stdout=-1, stderr=-1, text=True)
    try:
        machine, generated = folder / "machine/turnstile.yaml", folder / "src/turnstile/registry.py"
        for summary in ("Another machine.", "Yet another."):
            text = machine.read_text().splitlines()
            text[3] = f"summary: {summary}"
            machine.write_text("\n".join(text) + "\n")
            until(lambda summary=summary: summary in generated.read_text(), summary)  # type: ignore[misc]
        process.send_signal(signal.SIGINT)
        _, mistakes = process.communicate(timeout=30)
        assert (process.returncode, mistakes) == (0, "")
    finally:
        signal.signal(signal.SIGINT, before)
        process.kill()
        process.wait()


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    folder = project(tmp_path, TURNSTILE)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "opslifecycle_codegen.cli.main", "--project", str(folder)]
    try:
        done = subprocess.run(
            [*command, "explain"], stdout=writer, stderr=-1, text=True, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_help_names_every_command_and_imports_no_compiler() -> None:
    program = (
        "import sys\n"
        "from opslifecycle_codegen.cli.main import parser\n"
        "parser().print_help()\n"
        "print(*[each for each in sys.modules if each.startswith('opslifecycle_codegen.')])\n"
        "print(*{'attr', 'jinja2', 'yaml'} & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", program]
    environ = {**os.environ, "COLUMNS": "100"}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout
    *lines, loaded, libraries = shown.splitlines()
    for command_line in COMMANDS:
        assert f"    {command_line.name:20}{command_line.help}" in lines
    modules = {each.removeprefix("opslifecycle_codegen.") for each in loaded.split()}
    assert modules == {"cli", "cli.main", "cli.table"}
    assert libraries == ""


def test_every_command_of_the_table_has_a_function() -> None:
    assert [each.name for each in COMMANDS] == list(FUNCTIONS)


class TestOwnTemplates:
    @pytest.fixture
    def shop(self, tmp_path: Path) -> Path:
        folder = project(tmp_path, TURNSTILE)
        text = (folder / "pyproject.toml").read_text()
        text += 'templates = "templates"\noutput = "site"\n'
        (folder / "pyproject.toml").write_text(text)
        (folder / "templates").mkdir()
        return folder

    def test_they_print_from_the_same_machine(
        self, shop: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        template = shop / "templates/actions.csv.j2"
        template.write_text(
            "{% for a in actions %}\n"
            "{{ a.name }},{{ a.targets[0].to }},{{ a.from | join('+') }}\n"
            "{% endfor %}\n"
        )
        assert run(shop, "generate") == 0
        printed = (shop / "site/actions.csv").read_text()
        assert (
            printed
            == "coin,unlocked,locked\npush,locked,unlocked\nscrap,scrapped,locked+unlocked\n"
        )
        edit(shop / "machine/turnstile.yaml", "  push: {", "  pass_by: {")
        assert run(shop, "check") == 1
        assert "+pass_by,locked,unlocked" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("template", "told"),
        [
            ("ok\n{% for x %}", "templates/x.txt.j2:2:1: error: "),
            ("ok\n\n{{ nothing }}", "templates/x.txt.j2:3:1: error: UndefinedError: 'nothing'"),
            ("{{ 1 // 0 }}", "templates/x.txt.j2:1:1: error: ZeroDivisionError"),
            ("{{ machine.__class__.__mro__ }}", "x.txt.j2:1:1: error: SecurityError"),
            ("{% include '/etc/passwd' %}", "x.txt.j2:1:1: error: TemplateNotFound"),
        ],
    )
    def test_one_that_fails_is_told_with_its_line(
        self, shop: Path, template: str, told: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (shop / "templates/x.txt.j2").write_text(template)
        assert run(shop, "generate") == 2
        assert told in capsys.readouterr().err
        assert not (shop / "site").exists()

    def test_a_folder_without_any_is_a_mistake(
        self, shop: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(shop, "check") == 2
        assert "there is no template" in capsys.readouterr().err

"""Generate, check and lock: drift is found wherever it is, and an empty check fails."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.cli.project import program_of

from tests.support.codegen.projects import assert_clean, begin, edit, generated, project
from tests.support.scale import share, whole_or
from tests.support.warm import python

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "machine/ops_lifecycle.yaml"
TURNSTILE = Path(__file__).parent / "turnstile.yaml"
MACHINES = [
    SHIPPED,
    *sorted(Path(__file__).parent.glob("*.yaml")),
    *sorted((ROOT / "examples").glob("*/machine/*.yaml")),
]
NEW_KIND = """\
      detached_job_wait:
        summary: A job that goes on by itself and wakes its owner at its end.
        expects_peer_channel: false
        may_have_source: false
        completion_feed_class: emit
        completion_wake_class: wake
        durability_class: retain
"""


def check(folder: Path) -> int:
    return main(["--project", str(folder), "check"])


@pytest.fixture
def turnstile(tmp_path: Path) -> Path:
    return project(tmp_path, TURNSTILE)


@pytest.fixture
def operations(tmp_path: Path) -> Path:
    return project(tmp_path, SHIPPED)


def without_work(machine: Path) -> None:
    """Remove the section that names fields of values again."""
    before, _, rest = machine.read_text(encoding="utf-8").partition("\nwork:\n")
    after = rest[rest.index("\ninvariants:") :]
    machine.write_text(before + after, encoding="utf-8")


class TestCheck:
    def test_fresh_files_pass_and_generating_again_writes_nothing(
        self, turnstile: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert check(turnstile) == 0
        capsys.readouterr()
        assert main(["--project", str(turnstile), "generate"]) == 0
        assert "wrote" not in capsys.readouterr().out

    def test_one_character_anywhere_in_any_file_fails(
        self, turnstile: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files = generated(turnstile)
        assert len(files) >= 11
        for path in files:
            fresh = path.read_bytes()
            places = (len(fresh) // 2, 0, len(fresh) - 1)
            for place in places[: whole_or(3, 1)]:
                changed = bytes([fresh[place] ^ 1])
                path.write_bytes(fresh[:place] + changed + fresh[place + 1 :])
                assert check(turnstile) != 0, (path, place)
                printed = capsys.readouterr()
                text = printed.out + printed.err
                assert path.name in text
                if not path.name.endswith(".json"):
                    assert "opslifecycle-codegen generate" in text
                    assert "@@" in text
            path.write_bytes(fresh)
        assert check(turnstile) == 0

    def test_a_missing_file_and_an_orphan_fail(
        self, turnstile: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        package = turnstile / "src/turnstile"
        shutil.copy(package / "errors.py", package / "old_errors.py")
        assert check(turnstile) == 1
        assert "no machine claims it" in capsys.readouterr().out
        assert main(["--project", str(turnstile), "generate"]) == 0
        assert not (package / "old_errors.py").exists()
        (package / "errors.py").unlink()
        assert check(turnstile) == 1
        assert "errors.py is missing" in capsys.readouterr().out

    def test_a_change_of_the_yaml_fails_and_writes_nothing(self, turnstile: Path) -> None:
        edit(turnstile / "machine/turnstile.yaml", "summary: Pay.", "summary: Pay!")
        before = {path: path.read_bytes() for path in generated(turnstile)}
        assert check(turnstile) == 1
        assert before == {path: path.read_bytes() for path in generated(turnstile)}

    def test_a_summary_changes_the_files_that_show_it_alone(self, turnstile: Path) -> None:
        """Everything else stays, with the digest that stores have."""
        before = {path: path.read_bytes() for path in generated(turnstile)}
        edit(
            turnstile / "machine/turnstile.yaml",
            "summary: It lets nothing through.",
            "summary: No!",
        )
        assert main(["--project", str(turnstile), "generate"]) == 0
        changed = {path.name for path in generated(turnstile) if path.read_bytes() != before[path]}
        assert changed == {"enums.py", "turnstile.md"}

    def test_what_the_machine_means_changes_the_digest(self, turnstile: Path) -> None:
        lock = turnstile / "machine/turnstile.lock.json"
        before = json.loads(lock.read_text("utf-8"))["digest"]
        edit(turnstile / "machine/turnstile.yaml", "gate.coins: gate.coins + 1", "gate.coins: 1")
        assert main(["--project", str(turnstile), "generate"]) == 0
        assert json.loads(lock.read_text("utf-8"))["digest"] != before

    def test_a_comment_is_no_change(self, turnstile: Path) -> None:
        edit(turnstile / "machine/turnstile.yaml", "version: 1", "version: 1  # the first")
        assert check(turnstile) == 0

    def test_a_template_edit_fails(self, turnstile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import jinja2

        load = jinja2.PackageLoader.get_source

        def edited(
            self: jinja2.PackageLoader, environment: jinja2.Environment, name: str
        ) -> object:
            source, *rest = load(self, environment, name)
            return (source.replace("Refuse further commands", "Refuse all commands"), *rest)

        monkeypatch.setattr(jinja2.PackageLoader, "get_source", edited)
        assert check(turnstile) == 1

    def test_a_mistake_in_the_yaml_writes_nothing(
        self, turnstile: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        edit(turnstile / "machine/turnstile.yaml", "to: unlocked", "to: open")
        before = {path: path.read_bytes() for path in generated(turnstile)}
        assert main(["--project", str(turnstile), "generate"]) == 2
        assert "machine/turnstile.yaml:45:62: error: there is no status" in capsys.readouterr().err
        assert before == {path: path.read_bytes() for path in generated(turnstile)}

    @pytest.mark.parametrize(
        "config",
        [
            None,
            "",
            "[tool.opslifecycle-codegen]\n",
            "[tool.opslifecycle-codegen]\nmachine = []\n",
            "[tool.opslifecycle-codegen",
            "[[tool.opslifecycle-codegen.machine]]\nsource = 'a.yaml'\n",
            "[[tool.opslifecycle-codegen.machine]]\nsource = '/a.yaml'\npackage = 'p'\n",
            "[[tool.opslifecycle-codegen.machine]]\nsource = 'a.yaml'\npackage = 'p'\nx = 1\n",
            "[[tool.opslifecycle-codegen.machine]]\nsource = 'a.yaml'\npackage = 'p'\n",
        ],
    )
    def test_nothing_to_check_fails(self, tmp_path: Path, config: str | None) -> None:
        if config is not None:
            (tmp_path / "pyproject.toml").write_text(config, encoding="utf-8")
        assert check(tmp_path) == 2
        assert main(["--project", str(tmp_path), "generate"]) == 2

    @pytest.mark.nightly
    def test_output_does_not_depend_on_the_hash_seed(self, tmp_path: Path) -> None:
        machines = MACHINES[: whole_or(len(MACHINES), 4)]
        outputs = []
        for seed in ("0", "4242", "1")[: whole_or(3, 2)]:
            folder = tmp_path / seed
            begin(folder, *machines, width=100)
            command = [sys.executable, "-m", "opslifecycle_codegen.cli.main", "generate"]
            environment = {**os.environ, "PYTHONHASHSEED": seed}
            subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
            outputs.append(
                {path.relative_to(folder): path.read_bytes() for path in generated(folder)}
            )
        assert {f"machine/{each.stem}.lock.json" for each in machines} <= set(map(str, outputs[0]))
        assert all(each == outputs[0] for each in outputs)


class TestLock:
    @pytest.mark.nightly
    def test_a_fourth_kind_is_an_edit_of_the_yaml_alone(
        self, operations: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine = operations / "machine/ops_lifecycle.yaml"
        edit(machine, "  OperationLifecycleAction:", f"{NEW_KIND}  OperationLifecycleAction:")
        assert main(["--project", str(operations), "generate"]) == 0
        printed = capsys.readouterr().out
        assert "compatible: OperationKind gains detached_job_wait" in printed
        for name in ("enums.py", "test_ops_lifecycle_ratchet.py", "ops_lifecycle.md", "lock.json"):
            (path,) = operations.rglob(f"*{name}")
            assert "detached_job_wait" in path.read_text(encoding="utf-8"), name
        script = (
            "from ops_lifecycle import *\n"
            "r = Registry(); id = OperationId.new()\n"
            "kind = OperationKind.DETACHED_JOB_WAIT\n"
            "r.register_operation(OperationSpec(id, kind, SessionId.new(), 'n', 'l'))\n"
            "r.provisioning_succeeded(id); r.mark_retired(id)\n"
            "(row,) = r.completion_feed().list_since(0).entries\n"
            "print(row.kind.value, row.kind.completion_wake_class.value)\n"
        )
        done = python("-c", script, cwd=operations / "src")
        assert done.stdout.split() == ["detached_job_wait", "wake"]

    @pytest.mark.nightly
    def test_a_kind_that_is_kept_but_not_fed_is_recovered_without_a_row(
        self, operations: Path
    ) -> None:
        machine = operations / "machine/ops_lifecycle.yaml"
        quiet = NEW_KIND.replace("completion_feed_class: emit", "completion_feed_class: suppress")
        edit(machine, "  OperationLifecycleAction:", f"{quiet}  OperationLifecycleAction:")
        assert main(["--project", str(operations), "generate"]) == 0
        script = (
            "from ops_lifecycle import *\n"
            "from opslifecycle import MemoryStore\n"
            "store, id = MemoryStore(), OperationId.new()\n"
            "kind = OperationKind.DETACHED_JOB_WAIT\n"
            "with Registry(store=store) as r:\n"
            "    r.register_operation(OperationSpec(id, kind, SessionId.new(), 'n', 'l'))\n"
            "    r.provisioning_succeeded(id); r.mark_retired(id)\n"
            "with Registry(store=store) as r:\n"
            "    print(r.snapshot(id).status.value, r.completion_feed().list_since(0).entries,\n"
            "          r.broken_invariants(), len(r.collect_completed()))\n"
        )
        done = python("-c", script, cwd=operations / "src")
        assert done.stdout == "retired () [] 1\n", done.stdout

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        share(
            [
                ("background_tool_op:", "tool_call:", "OperationKind loses background_tool_op"),
                (
                    "      wake: {summary",
                    "      alert: {summary",
                    "loses wake (removed or renamed)",
                ),
                ("content: str", "body: str", "OperationResult loses the field content"),
                ("duration_ms: int", "duration_ms: str", "duration_ms was int and is str"),
                ("display_name: str", "display_name: str\n      tier: str", "required field tier"),
                (
                    "reason: str}}\n  OperationSpec",
                    "why: str}}\n  OperationSpec",
                    "loses the field reason",
                ),
            ],
            2,
        ),
    )
    def test_what_is_on_disk_cannot_change_unnoticed(
        self,
        operations: Path,
        old: str,
        new: str,
        expected: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        machine = operations / "machine/ops_lifecycle.yaml"
        without_work(machine)
        edit(machine, old, new)
        if "alert" in new:
            text = machine.read_text(encoding="utf-8")
            machine.write_text(text.replace("wake_class: wake", "wake_class: alert"), "utf-8")
        before = {path: path.read_bytes() for path in generated(operations)}
        assert main(["--project", str(operations), "generate"]) == 2
        printed = capsys.readouterr().err
        assert expected in printed
        assert "[breaking-change]" in printed
        assert before == {path: path.read_bytes() for path in generated(operations)}
        edit(machine, "version: 1", "version: 2")
        assert main(["--project", str(operations), "generate"]) == 2
        printed = capsys.readouterr().err
        assert "hint: say under `migrations` what becomes of stored data; if none" in printed
        assert "set version" not in printed
        note = "version: 2\nmigrations: {2: {reason: It is another thing., refuses: true}}"
        edit(machine, "version: 2", note)
        assert main(["--project", str(operations), "generate"]) == 0
        assert (
            json.loads((operations / "machine/ops_lifecycle.lock.json").read_text())["version"] == 2
        )

    def test_reordering_members_is_breaking(
        self, operations: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine = operations / "machine/ops_lifecycle.yaml"
        emit = "      emit: {summary: It gets a feed entry.}\n"
        suppress = "      suppress: {summary: It gets a sequence number but no entry.}\n"
        edit(machine, emit + suppress, suppress + emit)
        assert main(["--project", str(operations), "generate"]) == 2
        assert "stand in another order" in capsys.readouterr().err

    def test_a_lock_left_behind_is_named_with_its_new_place(
        self, turnstile: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        edit(turnstile / "pyproject.toml", "tests =", 'lock = "locks/turnstile.json"\ntests =')
        for command in ("generate", "check"):
            assert main(["--project", str(turnstile), command]) == 2
            told = capsys.readouterr().err
            assert "machine/turnstile.lock.json is the lock of turnstile" in told
            assert "locks/turnstile.json: move it there" in told
        (turnstile / "locks").mkdir()
        shutil.move(turnstile / "machine/turnstile.lock.json", turnstile / "locks/turnstile.json")
        assert main(["--project", str(turnstile), "generate"]) == 0

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 9}', '{"format": 1}', "\x00"])
    def test_a_damaged_lock_is_refused(self, turnstile: Path, text: str) -> None:
        lock = turnstile / "machine/turnstile.lock.json"
        lock.write_text(text, encoding="utf-8")
        assert check(turnstile) == 2
        assert main(["--project", str(turnstile), "generate"]) == 2
        assert lock.read_text(encoding="utf-8") == text


@pytest.mark.nightly
@pytest.mark.parametrize("width", [88, pytest.param(120, marks=pytest.mark.nightly)])
def test_the_shipped_machine_is_clean_at_other_widths(tmp_path: Path, width: int) -> None:
    assert_clean(project(tmp_path, SHIPPED, width=width), width=width)


class TestTurnstile:
    def test_it_is_formatted_typed_and_passes_its_own_tests(self, turnstile: Path) -> None:
        assert_clean(turnstile)

    def test_it_runs_in_the_same_shell(
        self, turnstile: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(turnstile / "src")
        machine = importlib.import_module("turnstile")
        with machine.GateRegistry() as registry:
            id = machine.GateId.new()
            registry.install(id, "north")
            watch = registry.watch(id)
            with pytest.raises(machine.NotNowError, match="is locked: it cannot push"):
                registry.push(id)
            registry.coin(id)
            registry.push(id)
            assert registry.snapshot(id) == machine.GateSnapshot(
                id=id, place="north", status=machine.GateStatus.LOCKED, coins=1
            )
            registry.scrap(id)
            assert watch.result(0) is machine.GateStatus.SCRAPPED
            with pytest.raises(machine.NoSuchGateError):
                registry.watch(machine.GateId.new())

    @pytest.mark.nightly
    def test_it_can_be_kept_in_a_store_too(
        self, turnstile: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recovery = "recovery: {persist_if: 'true', do: scrap}\n\nsnapshot:"
        edit(turnstile / "machine/turnstile.yaml", "snapshot:", recovery)
        assert main(["--project", str(turnstile), "generate"]) == 0
        assert_clean(turnstile)
        script = (
            "from turnstile import *\n"
            "from opslifecycle import SqliteStore\n"
            "one, two = GateId.new(), GateId.new()\n"
            "with GateRegistry(store=SqliteStore('gates.db')) as gates:\n"
            "    gates.install(one, 'north'); gates.install(two, 'south')\n"
            "    gates.coin(one); gates.scrap(two)\n"
            "with GateRegistry(store=SqliteStore('gates.db')) as gates:\n"
            "    for id in (one, two):\n"
            "        gate = gates.snapshot(id)\n"
            "        print(gate.place, gate.status.value, gate.coins)\n"
        )
        done = python("-c", script, cwd=turnstile / "src")
        assert done.stdout.splitlines() == ["north scrapped 1", "south scrapped 0"], done.stdout

    def test_what_it_does_not_declare_is_not_generated(self, turnstile: Path) -> None:
        code = "\n".join(path.read_text() for path in (turnstile / "src").rglob("*.py"))
        for absent in ("Feed", "Barrier", "cursor", "collect_", "evict", "stamp", "attrgetter"):
            assert absent not in code, absent


def test_generated_code_is_what_the_shipped_machine_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert check(ROOT) == 0
    assert "70 generated files of 4 machine(s)" in capsys.readouterr().out


def test_a_draft_changes_freely_until_it_is_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Path(__file__).parent / "turnstile.yaml"
    folder = project(tmp_path / "gates", source)
    machine, lock = (folder / "machine" / f"turnstile{each}" for each in (".yaml", ".lock.json"))
    # A machine that was published is not a draft any more.
    edit(machine, "version: 1", "version: 1\nstatus: draft")
    assert main(["--project", str(folder), "generate"]) == 2
    assert "[published]" in capsys.readouterr().err
    lock.unlink()
    edit(machine, "errors:", "recovery: {persist_if: 'true'}\n\nerrors:")
    assert main(["--project", str(folder), "generate"]) == 0
    assert json.loads(lock.read_text("utf-8"))["draft"] is True
    edit(machine, "coins: {type: int, initial: '0'}", "coins: {type: bool, initial: 'false'}")
    edit(machine, "gate.coins: gate.coins + 1", "gate.coins: true")
    assert main(["--project", str(folder), "generate"]) == 0
    edit(machine, "\nstatus: draft", "")
    assert main(["--project", str(folder), "generate"]) == 0
    assert "draft" not in json.loads(lock.read_text("utf-8"))
    edit(machine, "coins: {type: bool, initial: 'false'}", "coins: {type: str, initial: \"''\"}")
    edit(machine, "gate.coins: true", "gate.coins: \"'x'\"")
    assert main(["--project", str(folder), "generate"]) == 2
    assert "[breaking-change]" in capsys.readouterr().err


class TestReset:
    """`lock --reset` begins a lock anew: with a reason, and so that no store is misread."""

    @pytest.fixture
    def changed(self, turnstile: Path) -> Path:
        machine = turnstile / "machine/turnstile.yaml"
        edit(machine, "errors:", "recovery: {persist_if: 'true'}\n\nerrors:")
        assert main(["--project", str(turnstile), "generate"]) == 0
        edit(machine, "coins: {type: int, initial: '0'}", "coins: {type: bool, initial: 'false'}")
        edit(machine, "gate.coins: gate.coins + 1", "gate.coins: true")
        edit(machine, "version: 1", "version: 2")
        return turnstile

    def reset(self, folder: Path, *options: str) -> int:
        return main(["--project", str(folder), "lock", "--reset", *options])

    def test_the_lock_keeps_the_reason_from_then_on(
        self, changed: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["--project", str(changed), "generate"]) == 2
        assert "lock --reset --reason" in capsys.readouterr().err
        assert self.reset(changed, "--reason", "Every store was a trial.") == 0
        assert check(changed) == 0
        lock = changed / "machine/turnstile.lock.json"
        known = [{"from": 1, "to": 2, "reason": "Every store was a trial."}]
        assert json.loads(lock.read_text("utf-8"))["resets"] == known
        edit(changed / "machine/turnstile.yaml", "summary: Pay.", "summary: Pay!")
        assert main(["--project", str(changed), "generate"]) == 0
        assert json.loads(lock.read_text("utf-8"))["resets"] == known
        capsys.readouterr()
        assert main(["--project", str(changed), "lock"]) == 0
        assert capsys.readouterr().out == (
            "machine/turnstile.lock.json: turnstile version 2, published\n"
            "  reset from version 1 to 2: Every store was a trial.\n"
        )

    def test_a_store_of_an_older_version_is_refused(self, changed: Path) -> None:
        script = """
import sys
sys.path.insert(0, "src")
from opslifecycle import SqliteStore, StoreVersionError
import turnstile
try:
    with turnstile.GateRegistry(store=SqliteStore("gates.db")) as registry:
        registry.install(turnstile.GateId.new(), "hall")
except StoreVersionError as error:
    print(error)
"""
        assert python("-c", script, cwd=changed).stdout == ""
        assert self.reset(changed, "--reason", "Every store was a trial.") == 0
        # What is generated later refuses it, too.
        for summary in ("Pay.", "Pay at the gate."):
            edit(changed / "machine/turnstile.yaml", "summary: Pay.", f"summary: {summary}")
            assert main(["--project", str(changed), "generate"]) == 0
            said = python("-c", script, cwd=changed).stdout
            assert "turnstile version 1" in said
            assert "version 2 or later: Every store was a trial." in said

    @pytest.mark.parametrize("options", [[], ["--reason", ""], ["--reason", " \n"]])
    def test_without_a_reason_nothing_changes(self, changed: Path, options: list[str]) -> None:
        before = {path: path.read_bytes() for path in generated(changed)}
        assert self.reset(changed, *options) == 2
        assert before == {path: path.read_bytes() for path in generated(changed)}

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("version: 2", "version: 1", "set version: 2"),
            (
                "version: 2",
                "version: 2\nmigrations: {2: {reason: x, adds: {fields: {coins: true}}}}",
                "remove `migrations`",
            ),
        ],
    )
    def test_a_store_of_the_old_form_could_not_be_misread(
        self, changed: Path, old: str, new: str, expected: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        edit(changed / "machine/turnstile.yaml", old, new)
        assert self.reset(changed, "--reason", "x") == 2
        assert expected in capsys.readouterr().err

    def test_a_lock_that_forbids_nothing_stays(
        self, turnstile: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.reset(turnstile, "--reason", "x") == 2
        assert "forbids none of the changes" in capsys.readouterr().err
        assert self.reset(turnstile, "--reason", "x", "--machine", "turnstyle") == 2
        assert "did you mean 'turnstile'?" in capsys.readouterr().err
        (turnstile / "machine/turnstile.lock.json").unlink()
        assert self.reset(turnstile, "--reason", "x") == 2
        assert "to reset; run generate" in capsys.readouterr().err

    def test_one_of_several_machines_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        begin(tmp_path, TURNSTILE, TURNSTILE.with_name("ticket.yaml"))
        assert self.reset(tmp_path, "--reason", "x") == 2
        assert "say which one with --machine" in capsys.readouterr().err


def test_a_machine_is_a_draft_or_published(tmp_path: Path) -> None:
    text = (Path(__file__).parent / "turnstile.yaml").read_text(encoding="utf-8")
    with pytest.raises(InvalidMachineError) as caught:
        program_of(text.replace("version: 1", "version: 1\nstatus: done").encode(), "m.yaml")
    assert [each.rule for each in caught.value.findings] == ["wrong-shape"]


#: The lines of the lamp's package before timers, feeds of transitions and targets.
LAMP_LINES_BEFORE = 645


def test_a_machine_that_uses_no_feature_has_no_longer_code() -> None:
    folder = ROOT / "examples/lamp/src/lamp"
    texts = [file.read_text(encoding="utf-8") for file in folder.glob("*.py")]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    written = [line for line in lines if line and not line.startswith("#")]
    assert 500 < len(written) <= LAMP_LINES_BEFORE

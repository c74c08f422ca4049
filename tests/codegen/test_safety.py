"""The generator takes nothing that is not its own, and configurations are checked strictly."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opslifecycle_codegen.base.config import InvalidConfigError, load_config
from opslifecycle_codegen.cli.main import main

from tests.support.codegen.projects import edit, project
from tests.support.scale import whole_or
from tests.support.warm import python

TURNSTILE = Path(__file__).with_name("turnstile.yaml")


def run(folder: Path, *arguments: str) -> int:
    return main(["--project", str(folder), *arguments])


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    return project(tmp_path / "gates", TURNSTILE)


@pytest.mark.parametrize("name", ["__init__.py", "errors.py"])
def test_a_file_that_was_written_by_hand_is_not_touched(
    gates: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = gates / "src/turnstile" / name
    target.write_text("PRECIOUS = 1\n")
    edit(gates / "machine/turnstile.yaml", "Pay.", "Pay for one.")
    before = (gates / "src/turnstile/authority.py").read_text()
    assert run(gates, "generate") == 2
    said = capsys.readouterr().err
    assert f"src/turnstile/{name} was not generated, so it is not overwritten" in said
    assert target.read_text() == "PRECIOUS = 1\n"
    assert (gates / "src/turnstile/authority.py").read_text() == before
    target.unlink()
    assert run(gates, "generate") == 0


def test_a_link_is_not_written_through(
    gates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere.py"
    authority = gates / "src/turnstile/authority.py"
    authority.rename(elsewhere)
    authority.symlink_to(elsewhere)
    before = elsewhere.read_text()
    edit(gates / "machine/turnstile.yaml", "Pay.", "Pay for one.")
    assert run(gates, "generate") == 2
    assert "do not go through links" in capsys.readouterr().err
    assert elsewhere.read_text() == before
    assert authority.is_symlink()


def test_a_folder_that_leads_out_of_the_project_is_not_followed(
    gates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside"
    (gates / "src").rename(outside)
    (gates / "src").symlink_to(outside)
    edit(gates / "machine/turnstile.yaml", "Pay.", "Pay for one.")
    assert run(gates, "generate") == 2
    assert "do not go through links" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["src", "src/turnstile"])
def test_a_link_within_the_project_is_not_followed(
    gates: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files behind it would be removed, because no machine claims that path."""
    (gates / folder).rename(gates / "real")
    (gates / folder).symlink_to(gates / "real")
    before = {path: path.read_bytes() for path in (gates / "real").rglob("*.py")}
    for command in ("check", "generate", "generate"):
        assert run(gates, command) == 2
        assert f"{folder}: generated files do not go through links" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (gates / "real").rglob("*.py")} == before


def test_links_that_lead_to_themselves_are_one_error(
    gates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(gates / "src")
    (gates / "src").symlink_to("src")
    assert run(gates, "generate") == 2
    assert "src: generated files do not go through links" in capsys.readouterr().err


def test_a_folder_in_place_of_a_file_is_named(
    gates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (gates / "src/turnstile/enums.py").unlink()
    (gates / "src/turnstile/enums.py").mkdir()
    assert run(gates, "generate") == 2
    assert (
        "src/turnstile/enums.py: a file is generated here, and this is" in capsys.readouterr().err
    )


def test_a_file_in_place_of_a_folder_is_named(
    gates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(gates / "src/turnstile")
    (gates / "src/turnstile").write_text("mine", encoding="utf-8")
    assert run(gates, "generate") == 2
    assert "src/turnstile: files are generated into this folder" in capsys.readouterr().err
    assert (gates / "src/turnstile").read_text(encoding="utf-8") == "mine"


def test_a_machine_that_is_a_pipe_is_not_waited_for(
    gates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (gates / "machine/turnstile.yaml").unlink()
    os.mkfifo(gates / "machine/turnstile.yaml")
    assert run(gates, "generate") == 2
    assert "machine/turnstile.yaml:1:1: error: this is no file" in capsys.readouterr().err


def test_what_another_package_name_leaves_behind_is_reported_and_removed(
    gates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(gates / "pyproject.toml", 'package = "src/turnstile"', 'package = "src/gate"')
    (gates / "src/turnstile/mine.py").write_text("MINE = 1\n")
    assert run(gates, "check") == 1
    told = "src/turnstile/authority.py is generated, but no machine claims it"
    assert told in capsys.readouterr().out
    assert run(gates, "generate") == 0
    assert [path.name for path in (gates / "src/turnstile").glob("*.py")] == ["mine.py"]
    assert run(gates, "check") == 0


@pytest.fixture
def shop(gates: Path) -> Path:
    """A project with a template of its own, which prints no marker."""
    with (gates / "pyproject.toml").open("a") as file:
        file.write('templates = "templates"\noutput = "site"\n')
    (gates / "templates").mkdir()
    (gates / "templates/page.py.j2").write_text("# {{ summary }}\n")
    assert run(gates, "generate") == 0
    return gates


def test_what_a_template_printed_is_replaced_until_it_is_changed_by_hand(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = shop / "site/page.py"
    page.write_bytes(page.read_bytes().replace(b"\n", b"\r\n"))
    edit(shop / "machine/turnstile.yaml", "for each coin", "for a coin")
    assert run(shop, "generate") == 0
    assert "for a coin" in page.read_text()
    page.write_text("# mine\n")
    assert run(shop, "generate") == 2
    assert "site/page.py was changed since it was generated" in capsys.readouterr().err
    assert page.read_text() == "# mine\n"


@pytest.mark.parametrize("name", ["Makefile", "page.csv", "turnstile.yaml"])
def test_a_template_replaces_no_file_that_was_written_by_hand(
    shop: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = "machine" if name == "turnstile.yaml" else "site"
    edit(shop / "pyproject.toml", 'output = "site"', f'output = "{output}"')
    target = shop / output / name
    if not target.exists():
        target.write_text("mine\n")
    before = target.read_text()
    (shop / f"templates/{name}.j2").write_text("printed\n")
    assert run(shop, "generate") == 2
    assert f"{output}/{name} was not generated" in capsys.readouterr().err
    assert target.read_text() == before


def test_a_template_replaces_no_other_output(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(shop / "pyproject.toml", 'output = "site"', 'output = "src/turnstile"')
    (shop / "templates/errors.py.j2").write_text("printed\n")
    assert run(shop, "generate") == 2
    assert "a template that would replace src/turnstile/errors.py" in capsys.readouterr().err


def test_a_package_may_be_called_as_the_folder_of_a_build(
    gates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(gates / "pyproject.toml", 'package = "src/turnstile"', 'package = "src/build"')
    assert run(gates, "generate") == 0
    edit(gates / "pyproject.toml", 'package = "src/build"', 'package = "src/gate"')
    assert run(gates, "check") == 1
    told = "src/build/authority.py is generated, but no machine claims it"
    assert told in capsys.readouterr().out


def test_what_a_template_left_behind_is_reported_and_removed(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "templates/page.py.j2").rename(shop / "templates/other.py.j2")
    assert run(shop, "check") == 1
    assert "site/page.py is generated, but no machine claims it" in capsys.readouterr().out
    assert run(shop, "generate") == 0
    assert [path.name for path in (shop / "site").iterdir()] == ["other.py"]
    assert run(shop, "check") == 0


@pytest.mark.parametrize("name", ["../x", "/etc/hostname"])
def test_a_lock_that_names_files_elsewhere_is_refused(
    shop: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(shop / "machine/turnstile.lock.json", "site/page.py", name)
    assert run(shop, "generate") == 2
    assert f"{name!r} is no file of this project" in capsys.readouterr().err


#: Runs the command line and ends the process, as a kill does, at the n-th call of a function.
KILLED = """
import os, pathlib, sys
from opslifecycle_codegen.cli.main import main
owner = {"os": os, "Path": pathlib.Path}[sys.argv[1]]
name, left = sys.argv[2], int(sys.argv[3])
real = getattr(owner, name)
def counted(*arguments, **named):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    return real(*arguments, **named)
setattr(owner, name, counted)
sys.exit(main(["--project", sys.argv[4], "generate"]))
"""


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("owner", "function", "calls", "old"),
    [
        ("Path", "chmod", 0, True),
        ("Path", "chmod", 3, True),
        ("os", "replace", 0, True),
        ("os", "replace", 3, False),
    ],
)
def test_a_run_that_is_killed_leaves_the_old_files_or_is_finished_by_the_next(
    gates: Path,
    owner: str,
    function: str,
    calls: int,
    old: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(gates / "machine/turnstile.yaml", "through for each coin", "in for each coin")
    before = contents(gates)
    killed = python("-c", KILLED, owner, function, str(calls), str(gates), cwd=gates)
    assert killed.returncode == 9
    after = contents(gates)
    assert ({name: after[name] for name in before} == before) is old
    assert after.keys() - before.keys()
    assert run(gates, "check") == 1
    assert "a run that wrote files was interrupted" in capsys.readouterr().out
    assert contents(gates) == after
    assert run(gates, "generate") == 0
    assert run(gates, "check") == 0
    assert contents(gates).keys() == before.keys()


#: Runs the command line, and sends itself signals while the second file is renamed.
SIGNALLED = """
import os, signal, sys
from opslifecycle_codegen.cli.main import main
real, calls = os.replace, []
def signalled(*arguments):
    calls.append(arguments)
    if len(calls) == 2:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), number)
    return real(*arguments)
os.replace = signalled
sys.exit(main(["--project", sys.argv[1], "generate"]))
"""


@pytest.mark.nightly
def test_signals_end_a_run_after_all_files_are_in_place(
    gates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(gates / "machine/turnstile.yaml", "through for each coin", "in for each coin")
    before = contents(gates)
    ended = subprocess.run([sys.executable, "-c", SIGNALLED, str(gates)], check=False)
    assert ended.returncode < 0
    assert contents(gates) != before
    assert contents(gates).keys() == before.keys()
    assert run(gates, "check") == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "journal", [b"", b"[", b"3", b'["../kept", "kept", 7, null, "../x.opslifecycle-codegen-fresh"]']
)
def test_a_damaged_journal_removes_nothing(gates: Path, journal: bytes) -> None:
    kept = [gates / "kept", gates.parent / "kept", gates.parent / "x.opslifecycle-codegen-fresh"]
    for path in kept:
        path.write_text("mine")
    (gates / ".opslifecycle-codegen.journal").write_bytes(journal)
    assert run(gates, "generate") == 0
    assert all(path.exists() for path in kept)
    assert not (gates / ".opslifecycle-codegen.journal").exists()


def test_a_write_that_fails_leaves_nothing_behind(
    gates: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(gates / "machine/turnstile.yaml", "through for each coin", "in for each coin")
    before = contents(gates)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "chmod", full)
        assert run(gates, "generate") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert contents(gates) == before
    assert run(gates, "generate") == 0


def test_a_project_inside_this_one_keeps_its_files(gates: Path) -> None:
    inner = project(gates / "inner", TURNSTILE)
    assert run(gates, "generate") == 0
    assert run(inner, "check") == 0


def test_other_line_endings_are_told_as_such(
    gates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = gates / "src/turnstile/authority.py"
    authority.write_bytes(authority.read_bytes().replace(b"\n", b"\r\n"))
    assert run(gates, "check") == 1
    said = capsys.readouterr().out
    assert "src/turnstile/authority.py differs in its line endings alone" in said
    assert ".gitattributes" in said


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('source = "."', "source is a path inside the project"),
        ('source = "machine/turnstile.toml"', "source is a YAML file"),
        (r'source = "a\u0000.yaml"', "source is a path inside the project without '\\x00'"),
        (r'source = "a\u202e.yaml"', "source is a path inside the project without"),
        ('source = "coding=x.yaml"', "source is a path inside the project without '='"),
        ('docs = "C:/x"', "docs is a path inside the project without ':'"),
        ('lock = "."', "lock is a path inside the project"),
        ('lock = "src/turnstile/__init__.py"', "lock is a JSON file"),
        ('package = "src"', "which is no name of a module"),
        ('package = "src/__init__"', "which is no name of a module"),
        ('docs = "~/docs"', "docs is a path inside the project without '~'"),
        ('output = "x"', "needs templates and output together"),
        (r'package = "src/task\u0000"', "package is a path inside the project"),
        ('package = "class"', "imported as 'class', which is no name of a module"),
        ('package = "src/a b"', "which is no name of a module"),
        ('module = "os; import sys"', "which is no name of a module"),
        ("module = 3", "which is no name of a module"),
        ('package = "src/shop.order"', "imported as 'shop.order', which is no name of a module"),
        ('package = "src/queue"', "hides the module 'queue'"),
        ('package = "src/opslifecycle"', "hides the module 'opslifecycle'"),
        ('module = "types.order"', "hides the module 'types'"),
        ('package = ""', "package is a path inside the project"),
        ('package = "/tmp/x"', "package is a path inside the project"),
        ('tests = "../x"', "tests is a path inside the project"),
        ("packge = 1", "has no 'packge'"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_one_clear_error(
    gates: Path, line: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = line.partition(" ")[0]
    lines = (gates / "pyproject.toml").read_text().splitlines()
    kept = [each for each in lines if not each.startswith(f"{key} = ")]
    (gates / "pyproject.toml").write_text("\n".join([*kept, line]) + "\n")
    assert run(gates, "generate") == 2
    said = capsys.readouterr().err
    assert told in said
    assert re.search(r"pyproject\.toml:\d+: ", said)
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no machine is configured"),
        (b"a = [", "pyproject.toml: Invalid value"),
        (b"a = '\xff'", "this is not UTF-8: byte 5 is 0xff"),
        (b"\xef\xbb\xbfa = 1", "Invalid statement"),
        (b"tool = 3", "no machine is configured"),
        (b"tool.opslifecycle-codegen = 3", "tool.opslifecycle-codegen is not a table"),
        (b"tool.opslifecycle-codegen.machine = 3", "no machine is configured"),
        (b"tool.opslifecycle-codegen.machine = [3]", "is not a table"),
        (b"tool.opslifecycle-codegen.machine = [{}]", "lacks 'source'"),
        (b"tool.opslifecycle-codegen.machin = 3", "did you mean 'machine'?"),
        (b"[tool.opslifecycle-codegen]\nline_length = true\nmachine = [{}]", "toml:2: line_length"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a = " + b"9" * 10_000, "pyproject.toml: "),
    ],
)
def test_a_file_that_is_no_configuration_is_one_clear_error(
    tmp_path: Path, content: bytes, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_bytes(content)
    assert run(tmp_path, "check") == 2
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said


def test_a_folder_is_no_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pyproject.toml").mkdir()
    assert run(tmp_path, "check") == 2
    assert "pyproject.toml: Is a directory" in capsys.readouterr().err


def test_a_mistake_is_told_with_the_line_of_its_machine(gates: Path) -> None:
    path = gates / "pyproject.toml"
    text = path.read_text()
    table = '[[tool.opslifecycle-codegen.machine]]\nsource = "m.yaml"\npackage = "a b"\n'
    path.write_text(f"{text}\n{table}")
    with pytest.raises(InvalidConfigError, match=rf"toml:{text.count(chr(10)) + 4}: the generated"):
        load_config(path)


def test_two_machines_share_no_package(gates: Path) -> None:
    path = gates / "pyproject.toml"
    table = path.read_text().partition("[[")[2]
    path.write_text(path.read_text() + "\n[[" + table)
    with pytest.raises(InvalidConfigError, match="two machines have the same source"):
        load_config(path)


def test_two_machines_share_no_package_where_capital_letters_do_not_count(gates: Path) -> None:
    path = gates / "pyproject.toml"
    text = path.read_text()
    (package,) = re.findall(r'^package = "(.*)"$', text, re.MULTILINE)
    more = f'source = "other.yaml"\npackage = "{package.title()}"\n'
    path.write_text(f"{text}\n[[tool.opslifecycle-codegen.machine]]\n{more}")
    with pytest.raises(InvalidConfigError, match="two machines have the same package"):
        load_config(path)


@pytest.mark.parametrize("name", ["queue", "attrs", "opslifecycle"])
def test_a_new_machine_hides_no_module_of_python(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", name]) == 2
    assert f"choose another name, such as {name}_item" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


_SCALARS = st.one_of(
    st.text(max_size=8), st.integers(), st.booleans(), st.floats(allow_nan=False),
    st.sampled_from([".", "..", "a/b.yaml", "src/x", "class", "x.yaml/", "\0", "C:\\x"]),
)  # fmt: skip
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)
_KEYS = st.sampled_from(
    ["source", "package", "module", "tests", "docs", "lock", "templates", "output", "other"]
)
_MACHINE = st.dictionaries(_KEYS, _VALUES, max_size=6)
_TABLE = st.fixed_dictionaries(
    {}, optional={"line_length": _VALUES, "machine": st.lists(_MACHINE, max_size=2) | _VALUES}
)


@settings(max_examples=whole_or(150, 25))
@given(_TABLE | _VALUES)
def test_any_table_is_a_configuration_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, table: object
) -> None:
    path = tmp_path_factory.mktemp("any") / "pyproject.toml"
    text = f"tool = {{opslifecycle-codegen = {_toml(table)}}}\n"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    said = None
    try:
        load_config(path)
    except InvalidConfigError as error:
        said = str(error)
    assert said is None or str(path) in said


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "".join(['"', *(f"\\U{ord(each):08x}" for each in value), '"'])
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_toml(k)} = {_toml(v)}' for k, v in value.items())}}}"
    return repr(value)


@pytest.mark.parametrize("line", ["key: 1\n", "key{}: 1\n"])
def test_too_many_mistakes_end_the_search(
    gates: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """60,000 keys took minutes: each was compared with all before it, and each was told."""
    machine = gates / "machine/turnstile.yaml"
    lines = "".join(line.format(number) for number in range(whole_or(60_000, 6_000)))
    machine.write_text(machine.read_text() + lines)
    assert run(gates, "check") == 2
    assert "500 mistakes; nothing was written" in capsys.readouterr().err

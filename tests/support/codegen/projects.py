"""Small projects that tests compile, in folders of their own."""

from __future__ import annotations

import atexit
import fcntl
import importlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from opslifecycle_codegen.cli.main import main

from tests.support.scale import WHOLE
from tests.support.warm import python

ROOT = Path(__file__).parents[3]


def _cache_of_mypy() -> Path:
    """Return the cache for projects, which all processes of tests share, one at a time."""
    folder = ROOT / ".mypy_cache/projects"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


#: Of the tools that examine a project. mypy reads our dependencies once for all projects;
#: generated tests need no plugin of pytest.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": "src",
    "MYPY_CACHE_DIR": str(_cache_of_mypy()),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}

#: Of pytest: it reads the project alone, and no folder around it; what its tests made is gone at
#: their end; a test for the rows of a table that has none is an error, where it would be skipped.
_ALONE = [
    "-c", os.devnull, "--rootdir", ".", "--confcutdir", ".", "-p", "no:cacheprovider",
    "-o", "tmp_path_retention_policy=failed", "-o", "empty_parameter_set_mark=fail_at_collect",
]  # fmt: skip

_MACHINE = """
[[tool.opslifecycle-codegen.machine]]
source = "machine/{name}.yaml"
package = "src/{name}"
tests = "tests"
docs = "docs"
"""


def begin(folder: Path, *sources: Path, width: int = 88) -> None:
    """Copy machines into a new project, which has generated nothing yet."""
    (folder / "machine").mkdir(parents=True)
    config = f"[tool.opslifecycle-codegen]\nline_length = {width}\n"
    for source in sources:
        shutil.copy(source, folder / "machine" / source.name)
        config += _MACHINE.format(name=source.stem)
    (folder / "pyproject.toml").write_text(config, encoding="utf-8")


def project(folder: Path, source: Path, *, width: int = 88) -> Path:
    """Make a project of one machine, with its code generated."""
    made = _made(source, source.read_bytes(), width)
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder


def imported(folder: Path, name: str) -> ModuleType:
    """Import a generated package from the sources of a project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "src"))
        return importlib.import_module(name)


def package(folder: Path, source: Path, name: str, *edits: tuple[str, str]) -> ModuleType:
    """Import the package of a machine under another name, with some of its text replaced."""
    machine = folder / f"{name}.yaml"
    text = source.read_text(encoding="utf-8")
    text = text.replace(f"machine: {source.stem}\n", f"machine: {name}\n", 1)
    machine.write_text(text, encoding="utf-8")
    for old, new in edits:
        edit(machine, old, new)
    return imported(project(folder / "project", machine), name)


@cache
def _made(source: Path, text: bytes, width: int) -> Path:
    """Return a project that was generated once in this process, for tests to copy."""
    folder = Path(tempfile.mkdtemp(prefix="opslifecycle-project-"))
    atexit.register(shutil.rmtree, folder)
    begin(folder, source, width=width)
    assert main(["--project", str(folder), "generate"]) == 0
    return folder


def generated(folder: Path) -> list[Path]:
    files = [
        path for part in ("src", "tests", "docs") for path in sorted((folder / part).rglob("*.*"))
    ]
    return [*files, *(folder / "machine").glob("*.json")]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def assert_clean(
    folder: Path, *, width: int = 88, interpreters: bool = False, typed: bool = WHOLE
) -> None:
    """What was generated is formatted, linted, typed, and passes its own tests.

    Args:
        folder: The project.
        width: The length of its lines.
        interpreters: As of `ran_tests`.
        typed: Whether mypy checks it, which it does at night for every project.
    """
    length = ["--line-length", str(width)]
    rules = "E,F,I,B,RET,RUF,SIM,UP"
    commands = [
        ["ruff", "format", "--isolated", *length, "--check", "src", "tests"],
        ["ruff", "check", "--isolated", *length, "--select", rules, "src", "tests"],
        ["ruff", "check", "--isolated", "--select", "D101,D103", "src"],
    ]
    for command in commands:
        done = python("-m", *command, cwd=folder, env=ENVIRONMENT)
        assert done.returncode == 0, done.stdout
    if typed:
        assert_typed(folder)
    done = ran_tests(folder, interpreters=interpreters)
    assert done.returncode == 0, done.stdout


def assert_typed(folder: Path) -> None:
    """The generated package satisfies mypy, which two processes may not run on one cache."""
    with (_cache_of_mypy() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = ["mypy", "--strict", "--config-file", os.devnull, "src"]
        done = python("-m", *command, cwd=folder, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout[-3000:]


def ran_tests(
    folder: Path, *words: str, interpreters: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the tests of a project.

    Args:
        folder: The project.
        words: Further arguments of pytest; by default the folder of the generated tests.
        interpreters: Whether the processes that the tests kill are interpreters of their own, as
            for users. By default they are forked, which takes a tenth of the time.
    """
    forking = [] if interpreters else ["-p", "tests.support.forking"]
    command = ["pytest", "-q", *forking, *_ALONE, *(words or ["tests"])]
    return python("-m", *command, cwd=folder, env=ENVIRONMENT)

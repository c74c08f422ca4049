"""Small mistakes around the compiler, one at a time: what has been generated is no longer fresh.

A line of a generated file is gone, the machine's file was edited and nothing was generated, or a
line of a template is another. Whether that is noticed is asked of the drift check itself, or of
what it compares: the files of the shipped machine and of the examples, as they are committed. What
a template has for other machines is left to the tests that compile these.

python -m tests.support.proof.artifact_mutants [--share 0.1]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from unittest import mock

import jinja2
from attrs import frozen
from opslifecycle_codegen.analysis.analyze import analyze
from opslifecycle_codegen.base.config import MachineConfig, load_config
from opslifecycle_codegen.base.diagnostics import Diagnostics, InvalidMachineError
from opslifecycle_codegen.cli.main import main as codegen
from opslifecycle_codegen.cli.project import compile_all
from opslifecycle_codegen.emit.render import Renderer
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck.sampling import sampled
from opslifecycle_codegen.source.meaning import digest
from opslifecycle_codegen.source.parser import parse
from opslifecycle_codegen.source.reader import read

from tests.support.proof import mutants as of_the_machine
from tests.support.proof.machines import ROOT
from tests.support.proof.verdict import has_failed

PROJECTS = [ROOT, *sorted(path.parent for path in (ROOT / "examples").glob("*/pyproject.toml"))]
SOURCE = ROOT / "machine/ops_lifecycle.yaml"
CODEGEN = ROOT / "codegen"
TEMPLATES = CODEGEN / "opslifecycle_codegen/emit/templates"
#: Tests of machines whose files are not committed: with less than most, effects, unique keys.
TESTS = [
    f"tests/codegen/test_{name}.py"
    for name in ("optional_features", "effects", "migrations", "unique", "drift")
]

#: Mutants that change nothing a machine could notice, each with the reason.
EQUIVALENT = {
    'template: storage.py.j2:     """{{ function.doc }}"""': "it is of a private function",
}


@frozen
class Mutant:
    """One mistake: of which kind, and where."""

    kind: str
    where: str
    line: int = 0
    text: str = ""

    @property
    def name(self) -> str:
        return ": ".join(each for each in (self.kind, self.where, self.text) if each)


def every() -> list[Mutant]:
    """Every mutant of all kinds."""
    return [*_lines_gone(), *_edits_of_the_machine(), *_other_templates()]


def _lines_gone() -> Iterator[Mutant]:
    for compiled in compile_all(ROOT):
        for path in compiled.files:
            lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
            yield from (
                Mutant("line gone", str(path), n, line) for n, line in enumerate(lines) if line
            )


def _edits_of_the_machine() -> Iterator[Mutant]:
    yield from (Mutant("not generated", each.name) for each in of_the_machine.mutants())


def _other_templates() -> Iterator[Mutant]:
    for path in sorted(TEMPLATES.glob("*.j2")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            if _other_line(line) is not None:
                yield Mutant("template", path.name, number, line)


def _other_line(line: str) -> str | None:
    """Another line in its place: a condition is the contrary, text is gone; None if neither."""
    condition = re.sub(r"{%(-?) (el)?if (.*?) %}", r"{%\1 \2if not (\3) %}", line)
    if condition != line:
        return condition
    return "" if line.strip() and "{%" not in line and "{#" not in line else None


# Trying ------------------------------------------------------------------------------------------


def is_noticed(mutant: Mutant) -> bool:
    """Whether drift is found with this mistake."""
    return KINDS[mutant.kind](mutant)


def _check_fails_without_line(mutant: Mutant) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for path in [Path("pyproject.toml"), Path("machine"), *_generated_folders()]:
            copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / path, project / path)
        changed = project / mutant.where
        lines = changed.read_text(encoding="utf-8").splitlines(keepends=True)
        del lines[mutant.line]
        changed.write_text("".join(lines), encoding="utf-8")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return codegen(["--project", folder, "check"]) != 0


def _generated_folders() -> list[Path]:
    found: dict[Path, None] = {}
    for config in load_config(ROOT / "pyproject.toml"):
        assert config.tests is not None
        assert config.docs is not None
        found.update(dict.fromkeys(map(Path, (config.package, config.tests, config.docs))))
    return list(found)


def _machine_says_something_else(mutant: Mutant) -> bool:
    root = of_the_machine.tree()
    next(each for each in of_the_machine.mutants() if each.name == mutant.where).edit(root)
    diagnostics = Diagnostics()
    try:
        machine = parse(root, diagnostics)
        program = analyze(machine, diagnostics)
    except InvalidMachineError:
        return True
    _, config, _ = _project(ROOT)
    return _is_drift(ROOT, program, config, digest(machine))


def _template_gives_something_else(mutant: Mutant) -> bool:
    load = jinja2.PackageLoader.get_source

    def other(self: jinja2.PackageLoader, environment: jinja2.Environment, name: str) -> object:
        source, path, up_to_date = load(self, environment, name)
        return _mutated(source, mutant) if name == mutant.where else source, path, up_to_date

    with mock.patch.object(jinja2.PackageLoader, "get_source", other):
        for project in PROJECTS:
            program, config, meaning = _project(project)
            try:
                if _is_drift(project, program, config, meaning):
                    return True
            except (jinja2.TemplateError, SyntaxError, AssertionError):
                return True
    return _tests_fail_with(mutant)


def _mutated(source: str, mutant: Mutant) -> str:
    lines = source.splitlines(keepends=True)
    lines[mutant.line] = _other_line(lines[mutant.line]) or ""
    return "".join(lines)


def _tests_fail_with(mutant: Mutant) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        codegen = shutil.copytree(CODEGEN, Path(folder) / "codegen")
        template = codegen / TEMPLATES.relative_to(CODEGEN) / mutant.where
        template.write_text(_mutated(template.read_text("utf-8"), mutant), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *TESTS],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{codegen}{os.pathsep}{ROOT}"},
            capture_output=True, check=False,
        )  # fmt: skip
        return has_failed(done.returncode)


#: How each kind of mistake is noticed.
KINDS = {
    "line gone": _check_fails_without_line,
    "not generated": _machine_says_something_else,
    "template": _template_gives_something_else,
}


@cache
def _project(project: Path) -> tuple[Program, MachineConfig, str]:
    config = load_config(project / "pyproject.toml")[0]
    diagnostics = Diagnostics()
    machine = parse(read((project / config.source).read_bytes(), str(config.source)), diagnostics)
    return analyze(machine, diagnostics), config, digest(machine)


def _is_drift(project: Path, program: Program, config: MachineConfig, meaning: str) -> bool:
    files = Renderer(program, config, meaning, sampled(program)).files()
    return any((project / path).read_text("utf-8") != text for path, text in files.items())


def tried(chosen: list[Mutant]) -> list[Mutant]:
    """Which of some mutants nobody notices, tried on two processes."""
    with ProcessPoolExecutor(2) as pool:
        noticed = pool.map(is_noticed, chosen, chunksize=4)
        return [each for each, is_seen in zip(chosen, noticed, strict=True) if not is_seen]


def sample(share: float) -> list[Mutant]:
    """A share of all mutants, but for those that are equivalents."""
    found = [each for each in every() if each.name not in EQUIVALENT]
    random.Random(0).shuffle(found)
    return found[: max(1, round(len(found) * share))]


def main() -> int:
    """Try all of them, or a share, and print who lived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="how many of them to try")
    options = parser.parse_args()
    chosen = sample(options.share)
    started = time.perf_counter()
    left = tried(chosen)
    totals = Counter(each.kind for each in chosen)
    alive = Counter(each.kind for each in left)
    for kind, total in totals.items():
        print(f"{kind}: {total - alive[kind]} of {total} noticed")
    print(f"{time.perf_counter() - started:.0f} s")
    for each in left:
        print(f"  lived: {each.name}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())

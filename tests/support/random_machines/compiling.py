"""One machine through the compiler: refused with positions, or generated, imported and tested."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import itertools
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from attrs import frozen
from opslifecycle.values import conversion
from opslifecycle_codegen.base.diagnostics import Finding, InvalidMachineError
from opslifecycle_codegen.base.rule_catalogue import RULES, WAIVABLE
from opslifecycle_codegen.cli.project import compile_all
from opslifecycle_codegen.emit import write
from opslifecycle_codegen.ir.program import Program

from tests.support.random_machines.building import Tree
from tests.support.random_machines.text import yaml_of
from tests.support.random_machines.verdicts import FaultError

_NUMBERS = itertools.count()
_LOCK = "machine.lock.json"
_CONFIG = """[[tool.opslifecycle-codegen.machine]]
source = "machine.yaml"
package = "src/{name}"
tests = "tests"
docs = "docs"
"""


@frozen
class Generated:
    """A machine that was accepted, with its generated package imported."""

    program: Program
    package: ModuleType
    folder: Path
    tests: Path


@frozen
class Refused:
    """A machine that was refused, each finding with its place."""

    findings: list[Finding]


@contextmanager
def compiled(tree: Tree, before: Generated | None = None) -> Iterator[Generated | Refused]:
    """Compile a machine in a folder of its own; raises FaultError for anything but a refusal.

    Where it is the next version of a machine, that one's lock says what stores may have.
    """
    name = f"random_machine_{next(_NUMBERS)}"
    with tempfile.TemporaryDirectory(prefix="random-machine-") as path:
        folder = Path(path)
        (folder / "pyproject.toml").write_text(_CONFIG.format(name=name), encoding="utf-8")
        if before is not None:
            shutil.copy(before.folder / _LOCK, folder / _LOCK)
        found = _generated(folder, tree)
        if isinstance(found, Refused):
            yield found
            return
        sys.path.insert(0, str(folder / "src"))
        declared = list(conversion._unions), dict(conversion._left_out)
        try:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", SyntaxWarning)
                    package = importlib.import_module(name)
            except Exception as error:
                raise FaultError("import", _last(error)) from error
            (tests,) = (folder / "tests").glob("test_*.py")
            yield Generated(found, package, folder, tests)
        finally:
            sys.path.remove(str(folder / "src"))
            sys.path_importer_cache.pop(str(folder / "src"), None)
            for module in [m for m in sys.modules if m.split(".")[0] == name]:
                del sys.modules[module]
            # A package whose import failed must not spoil the conversions of the next one.
            conversion._unions[:], conversion._converter = declared[0], None
            conversion._left_out.clear()
            conversion._left_out.update(declared[1])


def _generated(folder: Path, tree: Tree) -> Program | Refused:
    """Compile and write; judgements of the compiler are waived, as their machine may do."""
    for _ in range(3):
        text = yaml_of(tree)
        (folder / "machine.yaml").write_text(text, encoding="utf-8")
        try:
            (machine,) = compile_all(folder)
            write.write(folder, machine.files)
            return machine.program
        except InvalidMachineError as error:
            _check(error.findings, text)
            waived = tree.get("waivers", [])
            meant = [f for f in error.findings if f.rule in WAIVABLE and f.of]
            if len(meant) < len(error.findings) or waived:
                return Refused(error.findings)
            pairs = dict.fromkeys((f.rule, f.of) for f in meant)
            tree = {
                **tree,
                "waivers": [{"rule": r, "of": o, "reason": "It is random."} for r, o in pairs],
            }
        except Exception as error:
            raise FaultError("the compiler crashes", _last(error)) from error
    raise AssertionError("unreachable")


def _check(findings: list[Finding], text: str) -> None:
    lines = text.splitlines()
    for each in findings:
        at = each.mark
        inside = 1 <= at.line <= max(1, len(lines)) and at.column >= 1
        if at.path != "machine.yaml" or not inside or not each.message or each.rule not in RULES:
            raise FaultError("a refusal without a place", str(each))


def _last(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" ({Path(f.filename).name}:{f.lineno}: {f.line})" for f in frames)
    return f"{type(error).__name__}: {error}{where}"


# Generated tests ----------------------------------------------------------------------------------


def run_generated_tests(generated: Generated, *, all_of_them: bool) -> int:
    """Run the generated conformance tests in this process; return how many there were.

    Those that need a folder kill a process of their own, which takes its time: only `all_of_them`
    has them run.
    """
    name = f"tests_of_{generated.package.__name__}"
    spec = importlib.util.spec_from_file_location(name, generated.tests)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    count = 0
    try:
        spec.loader.exec_module(module)
        for test, arguments in _cases(module):
            if not all_of_them and "tmp_path" in inspect.signature(test).parameters:
                continue
            with _fixtures(test) as fixtures, contextlib.suppress(pytest.skip.Exception):
                test(**arguments, **fixtures)
            count += 1
    except Exception as error:
        raise FaultError("a generated test fails", _last(error)) from error
    if not count:
        raise FaultError("a generated test fails", "there are none")
    return count


def _cases(module: ModuleType) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Every test function with each combination of its parameters."""
    for name, test in vars(module).items():
        if not name.startswith("test_") or not callable(test):
            continue
        choices: list[list[dict[str, Any]]] = []
        for mark in getattr(test, "pytestmark", []):
            if mark.name == "parametrize":
                choices.append([dict(each) for each in _parametrized(*mark.args)])
        for combination in itertools.product(*choices):
            merged: dict[str, Any] = {}
            for each in combination:
                merged |= each
            yield test, merged


def _parametrized(names: Any, values: Any) -> Iterator[list[tuple[str, Any]]]:
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")]
    for value in values:
        value = getattr(value, "values", value) if type(value).__name__ == "ParameterSet" else value
        yield list(zip(names, value if len(names) > 1 else (value,), strict=True))


@contextmanager
def _fixtures(test: Any) -> Iterator[dict[str, Any]]:
    """The one fixture that generated tests may ask for: a folder of their own."""
    given = {m.args[0] for m in getattr(test, "pytestmark", []) if m.name == "parametrize"}
    flat = {
        n.strip()
        for names in given
        for n in (names.split(",") if isinstance(names, str) else names)
    }
    wanted = [name for name in inspect.signature(test).parameters if name not in flat]
    if wanted == ["tmp_path"]:
        with tempfile.TemporaryDirectory() as folder:
            yield {"tmp_path": Path(folder)}
    elif wanted:
        raise AssertionError(f"generated tests ask for the fixtures {wanted}")
    else:
        yield {}

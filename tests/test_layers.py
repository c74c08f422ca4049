"""The layers of the house, kept by looking at imports, names and syntax trees."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from io import StringIO
from pathlib import Path

import pytest
import yaml
from opslifecycle.runtime import v1

ROOT = Path(__file__).parents[1]
RUNTIME = ROOT / "src/opslifecycle"
GENERATED = sorted(
    [
        *(RUNTIME / "operations").glob("*.py"),
        *RUNTIME.glob("protocols/*/*/*.py"),
    ]
)
COMMAND_LINE = sorted((RUNTIME / "cli").rglob("*.py"))
#: Look at stores of the shipped machine without owning them.
LOOKING = sorted([*(RUNTIME / "inspection").glob("*.py"), *(RUNTIME / "serve").glob("*.py")])
#: Runs work under the shipped machine.
WORK = sorted((RUNTIME / "work").glob("*.py"))
#: Stores for the protocols of agents, under machines of their own.
PROTOCOLS = sorted({*(RUNTIME / "protocols").rglob("*.py")} - {*GENERATED})
SHELL = sorted({*RUNTIME.rglob("*.py")} - {*GENERATED, *COMMAND_LINE, *LOOKING, *WORK, *PROTOCOLS})
COMPILER = sorted((ROOT / "codegen").rglob("*.py"))
TEMPLATES = sorted((ROOT / "codegen").rglob("*.j2"))
MACHINES = sorted(
    [
        *(ROOT / "machine").glob("*.yaml"),
        *(ROOT / "tests/codegen").glob("*.yaml"),
        *(ROOT / "examples").glob("*/machine/*.yaml"),
    ]
)
PUBLIC_SURFACE = ROOT / "src/opslifecycle/__init__.py"
MODULE_LINES_MAX, FUNCTION_LINES_MAX = 400, 60
#: Where JSON data has no static type.
JSON_BOUNDARY = {
    RUNTIME / "values/plain.py",
    RUNTIME / "values/conversion.py",
    RUNTIME / "protocols/mcp/wire.py",
    RUNTIME / "cluster/wire.py",
    ROOT / "codegen/opslifecycle_codegen/compat/lock.py",
}
#: How many other lines of the runtime, the compiler and its templates name the type Any, imports
#: included. It may fall.
ANY_LINES_MAX = 58


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a Python file, which is parsed once for all tests."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.fixture(scope="module", autouse=True)
def _nodes_are_kept_for_this_module_alone() -> Iterator[None]:
    yield
    nodes_of.cache_clear()


def test_the_folders_are_found() -> None:
    for files in (SHELL, GENERATED, COMPILER, TEMPLATES):
        assert len(files) >= 10
    assert len(MACHINES) >= 6


def words_of(machine: Path) -> set[str]:
    """The type names of a machine, its statuses, and its other names of several words."""
    data = yaml.safe_load(machine.read_text(encoding="utf-8"))
    names = set(data.get("enums", {})) | set(data["statuses"]["members"])
    members = set(data["actions"])
    for enum in data.get("enums", {}).values():
        members |= set(enum.get("members", {}))
    names |= set(data["ids"]) | {each["class"] for each in data["errors"].values()}
    for value in data.get("values", {}).values():
        names |= set(value.get("variants", {}))
    several = {member for member in members if "_" in member}
    pascal = {"".join(part.capitalize() for part in member.split("_")) for member in several}
    return names | several | pascal | {member.upper() for member in several}


@cache
def code_words(path: Path) -> dict[str, int]:
    """Identifiers and words of strings of a Python file, words of a template; each with a line."""
    if path.suffix == ".j2":
        lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        return {word: number for number, written in lines for word in re.findall(r"\w+", written)}
    return {word: line for line, word in _python_words(path)}


def _python_words(path: Path) -> Iterator[tuple[int, str]]:
    for node in nodes_of(path):
        line: int = getattr(node, "lineno", 0)
        if isinstance(node, ast.Name):
            yield line, node.id
        elif isinstance(node, ast.Attribute):
            yield line, node.attr
        elif isinstance(node, ast.arg):
            yield line, node.arg
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from ((line, word) for word in re.findall(r"\w+", node.value))


#: Single words of English or of asyncio that a status of a machine happens to be, too.
SHARED = {"absent", "running", "failed", "completed", "cancelled", "locked", "unlocked"}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda path: str(path.stem))
def test_compiler_templates_and_shell_know_no_machine(machine: Path) -> None:
    words = words_of(machine) - SHARED
    if machine != ROOT / "machine/ops_lifecycle.yaml":
        # The statuses of somebody's orders are plain English, which code may speak, too.
        words = {word for word in words if "_" in word or not word.islower()}
    assert len(words) >= 3
    found = [
        f"{path.relative_to(ROOT)}:{line} {word}"
        for path in [*SHELL, *COMPILER, *TEMPLATES]
        if path != PUBLIC_SURFACE
        for word, line in code_words(path).items()
        if word in words
    ]
    assert found == [], "take it from the machine instead"


@cache
def imports_of(path: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def test_compiler_and_runtime_do_not_import_each_other() -> None:
    for path in COMPILER:
        assert not {m for m in imports_of(path) if m.split(".")[0] == "opslifecycle"}, path
    for path in [*SHELL, *GENERATED, *COMMAND_LINE, *LOOKING, *WORK, *PROTOCOLS]:
        assert not {m for m in imports_of(path) if m.startswith("opslifecycle_codegen")}, path


def packages_imported(base: Path) -> dict[str, set[str]]:
    """Which packages and modules beside it each one directly below a package imports."""
    found: dict[str, set[str]] = {}
    for path in base.rglob("*.py"):
        here = path.relative_to(base).with_suffix("").parts[0]
        below = {m.split(".")[1] for m in imports_of(path) if m.startswith(f"{base.name}.")}
        places = {
            each for each in below if (base / each).is_dir() or (base / f"{each}.py").exists()
        }
        found.setdefault(here, set()).update(places - {here})
    return found


def packages_documented(base: Path) -> dict[str, set[str]]:
    """The same as ARCHITECTURE.md has it, in a table of its own for each package."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = text.partition(f"| `{base.name}` | imports |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [
        [re.findall(r"`(\w+)`", cell) for cell in row.split("|")[1:3]] for row in table.split("\n")
    ]
    return {name: set(imported) for (name,), imported in rows}


@pytest.mark.parametrize("base", [RUNTIME, ROOT / "codegen/opslifecycle_codegen"])
def test_packages_import_what_the_architecture_says_and_in_no_circle(base: Path) -> None:
    found = packages_imported(base)
    assert len(found) >= 6
    assert found == packages_documented(base)
    order = list(TopologicalSorter(found).static_order())
    assert order.index("errors" if base == RUNTIME else "base") < order.index("cli")


#: The modules of the compiler that read Python's grammar: those that make typed trees of the user's
#: expressions, the one that computes the imports of generated modules, and the one that breaks
#: lines of templates in which long names stand.
READ_PYTHON = {
    "analysis/expressions.py",
    "analysis/arithmetic.py",
    "analysis/calls.py",
    "analysis/decimals.py",
    "analysis/dicts.py",
    "analysis/membership.py",
    "analysis/missing.py",
    "analysis/moments.py",
    "analysis/several.py",
    "analysis/sized.py",
    "emit/fitting.py",
    "emit/imports.py",
}
PARSE_PYTHON = {"analysis/expressions.py", "emit/fitting.py", "emit/imports.py"}


def test_expressions_are_parsed_once() -> None:
    """Every other module of the compiler reads typed trees, and none the text of an expression."""
    base = ROOT / "codegen/opslifecycle_codegen"
    texts = {str(p.relative_to(base)): p.read_text(encoding="utf-8") for p in base.rglob("*.py")}
    parsers = {"ast", "symtable", "tokenize", "codeop", "lib2to3", "parser"}
    assert {name for name in texts if imports_of(base / name) & parsers} == READ_PYTHON
    calls = re.compile(r"\b(ast\.parse|ast\.literal_eval|eval|exec|compile)\(")
    found = {name for name, text in texts.items() if calls.search(text.replace("re.compile(", ""))}
    assert found == PARSE_PYTHON


def test_features_do_not_know_one_another() -> None:
    features = {"sync.watchers", "sync.barriers", "shell.feed", "shell.retention", "shell.listing"}
    for name in features:
        imported = imports_of(RUNTIME / f"{name.replace('.', '/')}.py")
        known = {module.removeprefix("opslifecycle.") for module in imported}
        assert not known & (features - {name}), name


def runtime_names(path: Path) -> set[str]:
    """What a generated module uses of the runtime's surface."""
    return {
        node.attr
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "_rt"
    }


def test_generated_code_imports_the_runtime_surface_and_nothing_else_of_ours() -> None:
    used: set[str] = set()
    generated = [*GENERATED, *(ROOT / "tests/generated").glob("*.py")]
    generated += (ROOT / "examples").glob("*/src/*/*.py")
    assert len(generated) > 40
    for path in generated:
        imported = {m for m in imports_of(path) if m.split(".")[0] == "opslifecycle"}
        allowed = {"opslifecycle.runtime", "opslifecycle.runtime.v1"}
        machines = ("opslifecycle.operations", "opslifecycle.protocols.")
        own = {m for m in imported if m.startswith(machines)}
        assert imported - own <= allowed, path
        used |= runtime_names(path)
    assert used <= set(v1.__all__)
    assert {"Engine", "Wait", "check_text", "json_text"} <= used


def test_the_authority_is_pure() -> None:
    path = RUNTIME / "operations/authority.py"
    allowed = {"__future__", "collections.abc", "operator", "typing"}
    allowed |= {"opslifecycle.runtime", "opslifecycle.runtime.v1"}
    assert {m for m in imports_of(path) if m.rpartition(".")[0] not in allowed} <= allowed
    pure = {
        "CursorOutOfRangeError",
        "InvalidSpecError",
        "OpsLifecycleError",
        "Permission",
    }
    assert runtime_names(path) <= pure


def test_only_the_clock_reads_time() -> None:
    for path in [*SHELL, *GENERATED, *LOOKING, *WORK, *PROTOCOLS]:
        if path.name != "clock.py":
            assert "time" not in imports_of(path), path
            # Times are values as well: their class may be named, and not asked for the time.
            read = {node.attr for node in nodes_of(path) if isinstance(node, ast.Attribute)}
            assert not {"now", "today", "utcnow"} & read, path


def test_only_generated_code_compares_statuses() -> None:
    for path in [*SHELL, *WORK]:
        for node in nodes_of(path):
            if isinstance(node, ast.Compare):
                assert ".status" not in ast.unparse(node), f"{path.name}:{node.lineno}"


def test_nothing_is_evaluated() -> None:
    for path in [*SHELL, *GENERATED, *COMPILER, *LOOKING, *WORK, *PROTOCOLS]:
        for node in nodes_of(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "compile", "__import__"), path


def test_folders_of_tests_have_tests_alone() -> None:
    tests = ROOT / "tests"
    support, cases = tests / "support", tests / "codegen/cases"
    files = [path for path in tests.rglob("*.py") if cases not in path.parents]
    assert len([path for path in files if support in path.parents]) > 100
    for path in files:
        is_test = path.name.startswith("test_")
        if support in path.parents:
            assert not is_test, path
        else:
            assert is_test or path.name == "conftest.py", f"{path} belongs in tests/support"


def _is_waiting(loop: ast.While) -> bool:
    """Whether a loop does nothing but let time pass."""
    done = {
        node.func for each in loop.body for node in ast.walk(each) if isinstance(node, ast.Call)
    }
    waits = [isinstance(each, ast.Pass | ast.Expr) for each in loop.body]
    return all(waits) and all(ast.unparse(each).endswith(("sleep", "collect")) for each in done)


def _unlimited_waits(node: ast.AST, limited: bool = False) -> Iterator[int]:
    """Yield the lines of loops that wait where nothing ends them at a deadline."""
    if isinstance(node, ast.AsyncWith):
        limited |= any("timeout(" in ast.unparse(each.context_expr) for each in node.items)
    if isinstance(node, ast.While) and _is_waiting(node) and not limited:
        yield node.lineno
    for each in ast.iter_child_nodes(node):
        yield from _unlimited_waits(each, limited)


def test_what_waits_has_a_deadline() -> None:
    assert [*_unlimited_waits(ast.parse("while x:\n    pass"))] == [1]
    assert [*_unlimited_waits(ast.parse("while x:\n    await asyncio.sleep(0)"))] == [1]
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "while " in text:
            lines = [*_unlimited_waits(ast.parse(text))]
            assert lines == [], f"{path} waits without a deadline: use tests/support/waiting.py"


def test_modules_and_functions_are_small() -> None:
    handwritten = [*SHELL, *COMPILER, *COMMAND_LINE, *LOOKING, *WORK, *PROTOCOLS]
    large = []
    for path in handwritten:
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > MODULE_LINES_MAX:
            large.append(str(path.relative_to(ROOT)))
        for node in nodes_of(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    large.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert large == [], "split it by who owns the state"


def lines_with_any(path: Path) -> set[int]:
    """The lines on which a file names the type Any, in code or in a quoted type."""
    text = path.read_text(encoding="utf-8")
    quoted = re.compile(r"\[Any\b|\bAny\]")
    if path.suffix == ".j2":
        lines = enumerate(text.splitlines(), 1)
        return {number for number, line in lines if re.search(r"[\[( ]Any\b", line)}
    found: set[int] = set()
    if "Any" not in text:
        return found
    for token in tokenize.generate_tokens(StringIO(text).readline):
        named = token.type == tokenize.NAME and token.string == "Any"
        one_line = token.type == tokenize.STRING and "\n" not in token.string
        if named or (one_line and quoted.search(token.string)):
            found.add(token.start[0])
    return found


def test_the_type_any_does_not_spread() -> None:
    files = {*SHELL, *GENERATED, *COMMAND_LINE, *LOOKING, *WORK, *PROTOCOLS}
    files |= {*COMPILER, *TEMPLATES}
    files -= JSON_BOUNDARY
    found = {path.relative_to(ROOT): lines for path in files if (lines := lines_with_any(path))}
    count = sum(map(len, found.values()))
    assert count <= ANY_LINES_MAX, "use a real type: a protocol, a type variable, or object"

"""Small mistakes in the handwritten shell: one at a time, and which tests notice it.

A mutant is a module with one node of its tree changed. It stands in a copy of the package, which
the test run and every process that it starts import; the run stops at the first test that fails.

python -m tests.support.proof.code_mutants [--share 0.1] [--module sync.waits] [--one NAME]
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml
from attrs import frozen

from tests.support.proof.machines import ROOT
from tests.support.proof.verdict import has_failed

SHELL = ROOT / "src/opslifecycle"
SECONDS_MAX = 90
#: CPython 3.11 counts the depth of a syntax tree once for all threads, and raises SystemError if
#: two of them parse at once.
_PARSING = threading.Lock()

#: The tests that every mutant meets first, because they are quick.
FIRST = ["tests/test_edges.py", "tests/test_identifiers.py", "tests/test_lease.py",
         "tests/test_registry.py", "tests/test_closing.py", "tests/test_waits.py",
         "tests/test_feed.py", "tests/test_values.py", "tests/stores/test_async.py",
         "tests/stores/test_capture.py", "tests/stores/test_commits.py",
         "tests/stores/test_keeping.py", "tests/generated"]  # fmt: skip
_SQLITE = ["tests/test_golden.py", "tests/test_faults.py", "tests/cli/test_looking.py",
           "tests/test_sqlite.py"]  # fmt: skip
_POSTGRES = ["tests/postgres"]
_CLUSTER = ["tests/cluster"]
_A2A = ["tests/protocols/test_a2a.py"]
_MCP = ["tests/protocols"]
_SERVE = ["tests/serve"]
_LOOKING = ["tests/cli/test_looking.py", "tests/cli/test_run.py"]
_RACES = ["tests/schedules", "tests/test_hammer.py"]
_INTERRUPTS = [*_RACES, "tests/interrupts"]
_EFFECTS = ["tests/codegen/test_effects.py"]
_WORK = ["tests/work"]
_TIMERS = ["tests/codegen/test_times.py", "tests/test_timers.py"]
#: What those meet that live on, by module; the longest run last.
THEN = {
    "sync.barriers": _INTERRUPTS,
    "shell.export": ["tests/test_golden.py"],
    "values.anything": ["tests/codegen/test_placement.py"],
    "values.checks": [],
    "gaps": [],
    "lazy": ["tests/test_package.py"],
    "clock": ["tests/test_clock.py", *_TIMERS],
    "values.closed_set": [],
    "values.trusted": [],
    "values.documented": ["tests/test_package.py"],
    "values.moments": [],
    "values.not_copyable": [],
    "shell.authority": [],
    "shell.reader": ["tests/stores/test_reader.py"],
    "shell.alarm": _TIMERS,
    "shell.timers": _TIMERS,
    "shell.history": ["tests/codegen/test_history.py"],
    "shell.fitting": ["tests/codegen/test_unique.py"],
    "stores.schema_version": ["tests/codegen/test_unique.py"],
    "shell.staging": ["tests/test_transactions.py"],
    "shell.transactions": ["tests/test_transactions.py"],
    "shell.unique_keys": ["tests/codegen/test_unique.py"],
    "shell.writes": [*_EFFECTS, "tests/test_faults.py", *_RACES],
    "shell.batch": [*_EFFECTS, "tests/test_faults.py", "tests/codegen/test_returns.py", *_RACES],
    "shell.commits": [*_EFFECTS, "tests/test_faults.py", *_RACES],
    "values.binary": ["tests/codegen/test_bytes.py"],
    "values.several": ["tests/codegen/test_collections.py"],
    "values.dicts": ["tests/codegen/test_dicts.py"],
    "values.decimals": ["tests/codegen/test_decimals.py"],
    "stores.migrating": ["tests/cli/test_migrate.py"],
    "stores.sqlite.backup": ["tests/cli/test_backup.py", "tests/cli/test_migrate.py"],
    "values.conversion": ["tests/test_golden.py", "tests/codegen/test_foreign.py"],
    "values.resolving": ["tests/interrupts/test_types.py"],
    "values.leaves": [
        "tests/codegen/test_bytes.py",
        "tests/codegen/test_decimals.py",
        "tests/codegen/test_dicts.py",
    ],
    "values.plain": ["tests/test_golden.py"],
    "shell.consuming": _WORK,
    "shell.context_managers": [],
    "shell.work": _WORK,
    "shell.effects": [*_EFFECTS, *_RACES],
    "errors": ["tests/test_types.py"],
    "shell.feed": [*_RACES],
    "shell.opening": [],
    "shell.delivery": _EFFECTS,
    "shell.mailbox": [*_EFFECTS, *_INTERRUPTS],
    "shell.messages": _EFFECTS,
    "logs": ["tests/test_logs.py"],
    "shell.observer": ["tests/telemetry"],
    "shell.observing": ["tests/telemetry"],
    "shell.inspected": ["tests/serve/test_machines.py"],
    "telemetry.instrumenting": ["tests/telemetry"],
    "telemetry.measures": ["tests/telemetry"],
    "telemetry.spans": ["tests/telemetry"],
    "shell.outbox": _EFFECTS,
    "values.identifiers": [],
    "stores.sqlite.catalog": [*_SQLITE, "tests/stores/test_crafted.py"],
    "stores.sqlite.checkpoints": [*_SQLITE, "tests/stores/test_bounds.py"],
    "stores.sqlite.connection": [*_SQLITE, "tests/stores/test_places.py"],
    "stores.sqlite.failures": [*_SQLITE, "tests/stores/test_places.py"],
    "stores.sqlite.files": [*_SQLITE, "tests/stores/test_places.py"],
    "stores.sqlite.lease": [*_SQLITE, "tests/test_lease.py"],
    "stores.sqlite.lease_file": [*_SQLITE, "tests/test_lease.py"],
    "stores.sqlite.owner": [*_SQLITE, "tests/stores/test_ownership.py"],
    "stores.sqlite.place": [*_SQLITE, "tests/stores/test_copies.py"],
    "stores.sqlite.log_reader": [*_SQLITE, "tests/stores/test_crafted.py"],
    "inspection.feed": [*_LOOKING, *_SERVE],
    "inspection.locations": _LOOKING,
    "inspection.machines": [*_LOOKING, "tests/serve/test_machines.py"],
    "inspection.logs": [*_LOOKING, "tests/cli/test_capture.py"],
    "inspection.paging": _LOOKING,
    "inspection.records": _LOOKING,
    "locks": _INTERRUPTS,
    "shell.archive": ["tests/stores/test_archive.py"],
    "stores.sqlite.archive": ["tests/stores/test_archive.py"],
    "stores.postgres.archive": ["tests/stores/test_archive.py"],
    "shell.listing": ["tests/test_pages.py", *_INTERRUPTS],
    "shell.columns": ["tests/test_pages.py"],
    "shell.pages": ["tests/test_pages.py", "tests/codegen/test_pages.py"],
    "values.pages": ["tests/test_pages.py"],
    "stores.migration": [
        *_EFFECTS,
        "tests/codegen/test_migrations.py",
        "tests/codegen/test_dicts.py",
    ],
    "sync.publication": _INTERRUPTS,
    "shell.retention": _RACES,
    "shell.settings": [],
    "shell.definitions": [],
    "shell.build": [
        *_EFFECTS,
        "tests/test_golden.py",
        "tests/codegen/test_optional_features.py",
        *_INTERRUPTS,
    ],
    "shell.codec": [*_EFFECTS, "tests/test_golden.py"],
    "shell.engine": ["tests/work/test_recovering.py", *_EFFECTS, *_INTERRUPTS],
    "shell.executor": _INTERRUPTS,
    "shell.replica": _CLUSTER,
    "shell.direct": [*_EFFECTS, *_INTERRUPTS],
    "shell.group_commit": [*_EFFECTS, "tests/test_faults.py", *_INTERRUPTS],
    "protocols.a2a.event_stream": _A2A,
    "protocols.a2a.interrupted": _A2A,
    "protocols.a2a.listing": _A2A,
    "protocols.a2a.push_configs": _A2A,
    "protocols.a2a.task_stores": _A2A,
    "protocols.a2a.wire": _A2A,
    "protocols.mcp.calls": _MCP,
    "protocols.mcp.changes": _MCP,
    "protocols.mcp.client": _MCP,
    "protocols.mcp.current": _MCP,
    "protocols.mcp.extension": _MCP,
    "protocols.mcp.listening": _MCP,
    "protocols.mcp.tools": _MCP,
    "protocols.mcp.wire": _MCP,
    "cluster.applying": _CLUSTER,
    "cluster.cluster": _CLUSTER,
    "cluster.errors": _CLUSTER,
    "cluster.following": _CLUSTER,
    "cluster.placement": _CLUSTER,
    "cluster.post": _CLUSTER,
    "cluster.questions": _CLUSTER,
    "cluster.remote": _CLUSTER,
    "cluster.shares": _CLUSTER,
    "cluster.requests": _CLUSTER,
    "cluster.wire": _CLUSTER,
    "cluster.worker": _CLUSTER,
    "serve.app": _SERVE,
    "serve.changing": _SERVE,
    "serve.cloudevents": _SERVE,
    "serve.feeds": _SERVE,
    "serve.files": _SERVE,
    "serve.guarding": _SERVE,
    "serve.live": _SERVE,
    "serve.metrics": ["tests/serve/test_metrics.py"],
    "serve.openapi": _SERVE,
    "serve.operations": _SERVE,
    "serve.parameters": _SERVE,
    "serve.picture": ["tests/serve/test_machines.py"],
    "serve.problems": _SERVE,
    "serve.records": ["tests/serve/test_machines.py"],
    "serve.rows": _SERVE,
    "serve.source": _SERVE,
    "serve.streams": _SERVE,
    "stores.sqlite.log_index": _SQLITE,
    "stores.epochs": ["tests/stores/test_copies.py"],
    "stores.postgres.admin": _POSTGRES,
    "stores.postgres.claims": _POSTGRES,
    "stores.postgres.failures": _POSTGRES,
    "stores.postgres.importing": _POSTGRES,
    "stores.postgres.inspection": _POSTGRES,
    "stores.postgres.lease": _POSTGRES,
    "stores.postgres.link": _POSTGRES,
    "stores.postgres.log_index": _POSTGRES,
    "stores.postgres.log_tail": _POSTGRES,
    "stores.postgres.reader": _POSTGRES,
    "stores.postgres.schema": _POSTGRES,
    "stores.postgres.session": _POSTGRES,
    "stores.postgres.statements": _POSTGRES,
    "stores.postgres.store": _POSTGRES,
    "stores.postgres.writer": _POSTGRES,
    "stores.reading": _SQLITE,
    "stores.sqlite.admin": _SQLITE,
    "stores.sqlite.inbox": ["tests/cli/test_looking.py"],
    "stores.sqlite.schema": _SQLITE,
    "stores.sqlite.reader": _SQLITE,
    "stores.sqlite.statements": _SQLITE,
    "stores.sqlite.store": [*_SQLITE, "tests/test_crash_images.py"],
    "stores.sqlite.upgrade": _SQLITE,
    "shell.overlay": ["tests/test_faults.py"],
    "shell.commands": [
        *_EFFECTS,
        "tests/codegen/test_optional_features.py",
        "tests/codegen/test_returns.py",
    ],
    "stores.base": _SQLITE,
    "shell.pending": _RACES,
    "values.token": [],
    "sync.waits": _INTERRUPTS,
    "sync.waking": _INTERRUPTS,
    "sync.watchers": _INTERRUPTS,
    "work.admission": _WORK,
    "work.answers": _WORK,
    "work.arguments": _WORK,
    "work.attempts": _WORK,
    "work.block": _WORK,
    "work.cancelling": _WORK,
    "work.context": _WORK,
    "work.ends": _WORK,
    "work.errors": _WORK,
    "work.executor": _WORK,
    "work.guardian": _WORK,
    "work.guarding": _WORK,
    "work.job": _WORK,
    "work.jobs": _WORK,
    "work.machines": _WORK,
    "work.lifecycle": _WORK,
    "work.operation": _WORK,
    "work.processes": _WORK,
    "work.progress": _WORK,
    "work.queue": _WORK,
    "work.recorder": _WORK,
    "work.registering": _WORK,
    "work.recovering": _WORK,
    "work.stored_calls": _WORK,
    "work.retry": _WORK,
    "work.runner": _WORK,
    "work.supervisor": _WORK,
    "work.threads": _WORK,
    "work.tending": [*_WORK, *_INTERRUPTS],
    "work.timeouts": _WORK,
    "work.waiting": _WORK,
}

#: Mutants that do the same in other ways, each with the reason.
EQUIVALENT: dict[str, str] = {
    name: each["reason"]
    for each in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    for name in each["mutants"]
}

Edit = Callable[[ast.AST, ast.Module], None]


@frozen
class Mutant:
    """One mistake: in which module, what it is, and what makes the module's text with it."""

    module: str
    name: str
    source: Callable[[], str]


@frozen
class Result:
    """What became of mutants."""

    killed: Counter[str]
    lived: tuple[str, ...]


_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add,
}  # fmt: skip


def mutants(module: str) -> list[Mutant]:
    """Every mutant of a module."""
    counts: Counter[str] = Counter()
    found = []
    for owner, function in _functions(_tree(module), ""):
        for index, node in enumerate(ast.walk(function)):
            for what, edit in _edits(node):
                name = f"{module}.{owner}: {what}"
                counts[name] += 1
                if counts[name] > 1:
                    name += f" ({counts[name]})"
                found.append(Mutant(module, name, _Changed(module, owner, index, edit)))
    return found


def path_of(package: Path, module: str) -> Path:
    """The file of a module, which is named from the package on."""
    return package / f"{module.replace('.', '/')}.py"


def _tree(module: str) -> ast.Module:
    return ast.parse(path_of(SHELL, module).read_text(encoding="utf-8"))


@frozen
class _Changed:
    """The text of a module with one node changed, made when it is asked for."""

    module: str
    owner: str
    index: int
    edit: Edit

    def __call__(self) -> str:
        whole = _tree(self.module)
        self.edit(_node(whole, self.owner, self.index), whole)
        return ast.unparse(ast.fix_missing_locations(whole))


def _node(tree: ast.Module, owner: str, index: int) -> ast.AST:
    function = next(each for name, each in _functions(tree, "") if name == owner)
    return list(ast.walk(function))[index]


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    seen: Counter[str] = Counter()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            seen[child.name] += 1
            again = f"#{seen[child.name]}" if seen[child.name] > 1 else ""
            # What only people read is judged by people.
            if child.name not in ("__repr__", "__str__"):
                yield f"{prefix}{child.name}{again}", child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")


def _edits(node: ast.AST) -> Iterator[tuple[str, Edit]]:
    """What may be done to a node, each with its name."""
    if not isinstance(node, ast.expr | ast.stmt):
        return
    text = " ".join(ast.unparse(node).split())[:60]
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPS:
        yield f"other comparison in `{text}`", _swap_comparison
    elif isinstance(node, ast.BoolOp):
        yield f"other junction in `{text}`", _swap_operator
    elif isinstance(node, ast.BinOp) and type(node.op) in _SWAPS:
        yield f"other sign in `{text}`", _swap_operator
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"without not: `{text}`", _unnegate
    elif isinstance(node, ast.Constant) and type(node.value) in (int, bool):
        yield f"other constant than `{text}`", _other_constant
    elif isinstance(node, ast.Return) and node.value is not None and not _is_plain(node.value):
        yield f"nothing for `{text}`", _return_nothing
    elif _is_droppable(node):
        yield f"without `{text}`", _drop


def _is_droppable(node: ast.AST) -> bool:
    """Whether a statement is there for what it does."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call | ast.Await)
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Attribute)
    return isinstance(node, ast.AugAssign | ast.Delete)


def _is_plain(node: ast.expr) -> bool:
    """None, and names that a mutant of their own stands for."""
    return isinstance(node, ast.Constant)


def _swap_comparison(node: ast.AST, whole: ast.Module) -> None:
    assert isinstance(node, ast.Compare)
    made = _SWAPS[type(node.ops[0])]()
    assert isinstance(made, ast.cmpop)
    node.ops[0] = made


def _swap_operator(node: ast.AST, whole: ast.Module) -> None:
    assert isinstance(node, ast.BoolOp | ast.BinOp)
    made = _SWAPS[type(node.op)]()
    node.op = made  # type: ignore[assignment]


def _unnegate(node: ast.AST, whole: ast.Module) -> None:
    assert isinstance(node, ast.UnaryOp)
    double = ast.UnaryOp(ast.Not(), node.operand)
    node.operand = double


def _other_constant(node: ast.AST, whole: ast.Module) -> None:
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, int)
    node.value = not node.value if isinstance(node.value, bool) else node.value + 1


def _return_nothing(node: ast.AST, whole: ast.Module) -> None:
    assert isinstance(node, ast.Return)
    node.value = ast.Constant(None)


def _drop(node: ast.AST, whole: ast.Module) -> None:
    for parent in ast.walk(whole):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(parent, field, None)
            if isinstance(statements, list) and node in statements:
                statements[statements.index(node)] = ast.Pass()


# Trying ------------------------------------------------------------------------------------------


def killer(mutant: Mutant) -> str | None:
    """The first test file whose run notices a mutant; None if it lives."""
    for tests in (FIRST, THEN[mutant.module]):
        for chosen in [tests] if tests is FIRST else [[each] for each in tests]:
            if not _passes(mutant, chosen):
                return "the quick tests" if tests is FIRST else chosen[0]
    return None


def _passes(mutant: Mutant, tests: Sequence[str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        package = shutil.copytree(SHELL, Path(folder) / "opslifecycle")
        with _PARSING:
            source = mutant.source()
        path_of(package, mutant.module).write_text(source, encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
                cwd=ROOT, env=environment, capture_output=True, timeout=SECONDS_MAX, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return False
    return not has_failed(done.returncode)


def tried(chosen: Sequence[Mutant], *, told: bool = False) -> Result:
    """Try mutants, two at a time."""
    killed: Counter[str] = Counter()
    lived = []
    with ThreadPoolExecutor(2) as pool:
        for mutant, by in zip(chosen, pool.map(killer, chosen), strict=True):
            if by is None:
                lived.append(mutant.name)
                if told:
                    print(f"lived: {mutant.name}", flush=True)
            else:
                killed[by] += 1
    return Result(killed, tuple(lived))


def every() -> list[Mutant]:
    """Every mutant of every module, but for those that change nothing."""
    found = [mutant for module in sorted(THEN) for mutant in mutants(module)]
    return [mutant for mutant in found if mutant.name not in EQUIVALENT]


def modules() -> set[str]:
    """The modules of the shell."""
    files = [path.relative_to(SHELL).with_suffix("") for path in SHELL.rglob("*.py")]
    return {
        ".".join(file.parts)
        for file in files
        if file.parts[0] not in ("cli", "operations")
        and file.parts[-2:-1] not in (("tasks",), ("configs",))
        and file.stem != "__init__"
    }


def main() -> int:
    """Try all of them, or a share, and print what became of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--module", choices=sorted(THEN))
    parser.add_argument("--one")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chosen = [each for each in every() if options.module in (None, each.module)]
    if options.one:
        chosen = [each for each in chosen if each.name == options.one]
    if options.share < 1:
        chosen = random.Random(options.seed).sample(chosen, round(len(chosen) * options.share))
    started = time.perf_counter()
    result = tried(chosen, told=True)
    total, seconds = len(chosen), time.perf_counter() - started
    print(f"{result.killed.total()} of {total} killed in {seconds:.0f} s")
    for by, count in result.killed.most_common():
        print(f"  {count} by {by}")
    return 0 if result.killed.total() >= 0.9 * total > 0 else 1


if __name__ == "__main__":
    sys.exit(main())

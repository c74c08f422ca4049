"""The example with 200 tools, killed at steps of its loop and by a signal, loses nothing."""

from __future__ import annotations

import ast
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import Completed, Registry, SqliteStore

from tests.support.audit import AuditedLoop
from tests.support.scale import whole_or
from tests.work.test_agent import KILLED, Deliveries, Killed, Mortal, deliveries

__all__ = ["deliveries"]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/work/toolbox.py"
STEPS_MAX = 2_000
GLUE_LINES_MAX = 10


@pytest.fixture(scope="module")
def toolbox() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLE))


def run_until(toolbox: dict[str, Any], store: Mortal, path: Path, step: int | None) -> bool:
    """Run the example, killed in that round of its loop; return whether it came to its end."""
    memory, rounds = toolbox["Memory"](path), 0

    async def main() -> None:
        # Not closed by a block: a process that is killed closes nothing.
        registry = toolbox["AsyncRegistry"](store=store)
        await toolbox["run"](registry, memory)
        await registry.close()

    class Loop(AuditedLoop):
        def _run_once(self) -> None:
            nonlocal rounds
            rounds += 1
            if rounds == step:
                raise Killed
            super()._run_once()

    loop = Loop()
    try:
        loop.run_until_complete(main())
    except Killed:
        return False
    else:
        return True
    finally:
        loop.close()
        memory.close()


def check(toolbox: dict[str, Any], path: Path, registry: Registry) -> None:
    """Every tool has completed once, and every result was acted on once."""
    names = list(toolbox["TOOLS"])
    entries = registry.completion_feed().list_since(0).entries
    assert sorted(each.display_name for each in entries) == sorted(names)
    assert all(isinstance(each.terminal_outcome, Completed) for each in entries)
    assert registry.list_operations(terminal=False) == []
    lines = path.read_text(encoding="utf-8").splitlines()
    assert sorted(lines) == sorted(f"times_{each} {3 * each}" for each in range(1, 201))


def steps() -> Iterable[int]:
    """Return steps of the whole run at night, and otherwise some early ones."""
    return range(1, STEPS_MAX, 20) if whole_or(1, 0) else (2, 5, 30)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_is_killed_at_steps_of_its_loop(
    toolbox: dict[str, Any],
    deliveries: Deliveries,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    came_to_its_end = False
    for step in steps():
        path = tmp_path / f"{step}.txt"
        deliveries.seen.clear()
        store = Mortal()
        came_to_its_end = run_until(toolbox, store, path, step)
        store = store.survivor()
        # Once more while it recovers.
        run_until(toolbox, store, path, step // 2 + 1)
        store = store.survivor()
        assert run_until(toolbox, store, path, None)
        with Registry(store=store) as registry:
            check(toolbox, path, registry)
        if came_to_its_end:
            break
    assert came_to_its_end is bool(whole_or(1, 0))


@pytest.mark.nightly
def test_it_is_killed_by_a_signal(toolbox: dict[str, Any], tmp_path: Path) -> None:
    for round in whole_or(6, 2) * (40,):
        run = [sys.executable, "-c", KILLED, str(EXAMPLE), str(tmp_path), str(round)]
        done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode in (-signal.SIGKILL, 0), done.stderr
    run = [sys.executable, str(EXAMPLE), str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "200 results applied\n"
    with Registry(store=SqliteStore(tmp_path / "toolbox.db")) as registry:
        check(toolbox, tmp_path / "applied.txt", registry)


def test_its_glue_is_small() -> None:
    tree = ast.parse(EXAMPLE.read_text(encoding="utf-8"))
    (glue,) = [each for each in tree.body if getattr(each, "name", "") == "run"]
    assert glue.end_lineno is not None
    assert glue.end_lineno - glue.lineno + 1 <= GLUE_LINES_MAX

"""Programs in processes that need not import the project: the process they are forked from has.

For tests of what a program prints and how it ends. Tests whose subject is the start of an
interpreter, an import or a signal start an interpreter.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Mapping
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

DEADLINE_SECONDS = 120
#: Of packages that import their modules when these are needed, the modules.
_IMPORTED = [
    "tests.support.warm", "opslifecycle.cli.run", "opslifecycle.cli.running.execution",
    "opslifecycle.cli.streams", "opslifecycle.cli.tables", "opslifecycle.inspection.feed",
    "opslifecycle.stores.postgres.store", "opslifecycle.stores.sqlite.reader",
    "opslifecycle.stores.sqlite.store", "opslifecycle.work", "opslifecycle_codegen.cli.main",
    "cattrs", "mypy.main", "pytest", "tests.support.preloaded",
]  # fmt: skip


def python(
    *words: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    errors_apart: bool = False,
    deadline: float = DEADLINE_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run what an interpreter would run with these words: `-c TEXT`, `-m MODULE …` or `FILE …`.

    Args:
        cwd: The folder in which it runs.
        env: Its environment; by default that of the test.
        errors_apart: Whether what it writes to standard error is a text of its own. By default it
            stands in the output, where it was written.
        deadline: After how many seconds it is killed.

    Returns:
        What it wrote, and its exit status.

    Raises:
        TimeoutError: It had not ended then.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        errors = Path(folder) / "errors" if errors_apart else output
        environment = dict(os.environ if env is None else env)
        process = _context().Process(
            target=_run, args=(words, cwd, environment, _path_at_start(), output, errors)
        )
        process.start()
        process.join(deadline)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"{words} had not ended after {deadline} seconds")
        written = output.read_text(encoding="utf-8")
        told = errors.read_text(encoding="utf-8") if errors_apart else ""
    return subprocess.CompletedProcess(words, process.exitcode, written, told)


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    return context


@cache
def _path_at_start() -> list[str]:
    """Where an interpreter looks for modules that are not the program's."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", "import sys; print(*sys.path[1:], sep='\\n')"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _run(
    words: tuple[str, ...],
    cwd: Path,
    environment: dict[str, str],
    path: list[str],
    output: Path,
    errors: Path,
) -> None:
    """Be the program, in the new process."""
    for descriptor, file in ((1, output), (2, errors)):
        opened = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    what, *arguments = words
    is_option = what in ("-c", "-m")
    given = [each for each in environment.get("PYTHONPATH", "").split(os.pathsep) if each]
    first = {"-c": "", "-m": str(cwd)}.get(what, str((cwd / what).parent))
    sys.path[:] = [first, *given, *path]
    sys.argv[:] = [what, *arguments[is_option:]]
    try:
        if what == "-c":
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(arguments[0], "<string>", "exec"), main.__dict__)
        elif what == "-m":
            if not hasattr(sys.modules.get(arguments[0]), "__path__"):
                # It is run, and not imported.
                sys.modules.pop(arguments[0], None)
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(what, run_name="__main__")
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__
        sys.excepthook(type(error), error, trace and trace.tb_next)
        raise SystemExit(1) from None
    finally:
        threading._shutdown()  # type: ignore[attr-defined]

"""Processes that own a store, for tests of ownership: started, suspended, in other containers."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 60
_NOBODY = 65534

#: Owns a store, registers an operation and reports its progress until a line comes in.
OWNER = """
import sys, threading
from opslifecycle import *
with Registry(store=SqliteStore(sys.argv[1], durability="process")) as registry:
    id = OperationId.new()
    kind = OperationKind.BACKGROUND_TOOL_OP
    registry.register_operation(OperationSpec(id, kind, SessionId.new(), "owned", "test"))
    registry.provisioning_succeeded(id)
    print(id, flush=True)
    for line in sys.stdin:
        registry.report_progress(id, OperationProgressUpdate(line.strip(), 1.0))
        registry.register_operation(
            OperationSpec(OperationId.new(), kind, SessionId.new(), line.strip(), "test")
        )
        print("done", flush=True)
"""


class OwnerProcess:
    """A process that owns a store."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.id = self.line()

    def line(self) -> str:
        """Return the next line that it has written; empty at its end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def work(self) -> None:
        """Have it commit something, and wait for that."""
        assert self.process.stdin is not None
        self.process.stdin.write("more\n")
        self.process.stdin.flush()

    def errors(self) -> str:
        """Return what it wrote to standard error, once it has ended."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        assert self.process.stderr is not None
        found = self.process.stderr.read()
        self.process.wait(DEADLINE_SECONDS)
        return found


@contextlib.contextmanager
def owning(path: Path, *prefix: str, **options: Any) -> Iterator[OwnerProcess]:
    """Start a process that owns a store, behind a command such as `unshare`."""
    command = [*prefix, sys.executable, "-c", OWNER, str(path)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=-1, stdout=-1, stderr=-1, text=True, **options
    )
    try:
        yield OwnerProcess(process)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                assert stream is not None
                stream.close()


def query(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a statement on a store's file, waiting for locks."""
    database = sqlite3.connect(path, isolation_level=None, timeout=DEADLINE_SECONDS)
    try:
        return database.execute(statement, values).fetchall()
    finally:
        database.close()


@cache
def can_run(*command: str) -> bool:
    """Whether a command such as `unshare` may be used here."""
    if shutil.which(command[0]) is None:
        return False
    done = subprocess.run([*command, "true"], capture_output=True, check=False)
    return done.returncode == 0


def needs(*command: str) -> pytest.MarkDecorator:
    """Skip a test, in words, where a command may not be used."""
    reason = f"SKIPPED: {' '.join(command)} is not allowed here"
    return pytest.mark.skipif(not can_run(*command), reason=reason)


def as_nobody(work: Callable[[], None]) -> str:
    """Return what a function prints in a child process of another user; skips without root.

    The child is forked and executes no program: the interpreter may stand where others cannot read.
    """
    if os.geteuid() != 0:
        pytest.skip("SKIPPED: only root can start processes of another user")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            sys.stdout = sys.stderr = os.fdopen(writing, "w")
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    assert os.waitpid(child, 0)[1] == 0, told
    return told

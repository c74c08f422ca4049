"""A plugin of pytest: the process that a generated test kills is forked from that of the tests.

So it imports neither pytest nor the project, which takes longer than what it does.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence

import pytest


def run(words: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Do what `subprocess.run` does with an interpreter, a file and its arguments."""
    executable, file, *arguments = words
    assert executable == sys.executable
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = os.fork()
        if not process:
            os.dup2(errors.fileno(), 2)
            sys.argv[:] = [file, *arguments]
            try:
                runpy.run_path(file, run_name="__main__")
            except BaseException:
                os.write(2, traceback.format_exc().encode())
            # It was to be killed: it has failed, and cleans up nothing that its parent needs.
            os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        errors.seek(0)
        return subprocess.CompletedProcess(words, status, "", errors.read())


@pytest.fixture(autouse=True)
def _killed_processes_are_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", run)

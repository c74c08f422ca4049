"""The types of the project; and generated code satisfies a second, stricter type checker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.scale import WHOLE

ROOT = Path(__file__).parents[1]
#: By day, what users run; `make check` and `make nightly` read the tests and the documentation too.
BY_DAY = ["src", "codegen"]
EXAMPLES = sorted((ROOT / "examples").glob("*/src"))


def test_mypy_finds_nothing() -> None:
    command = [sys.executable, "-m", "mypy", *([] if WHOLE else BY_DAY)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "no issues found" in done.stdout


@pytest.mark.nightly
def test_basedpyright_finds_nothing_in_strict_mode(tmp_path: Path) -> None:
    assert len(EXAMPLES) >= 3
    config = {
        "include": [str(path) for path in (*EXAMPLES, ROOT / "src/opslifecycle/operations")],
        "extraPaths": [str(path) for path in (ROOT / "src", *EXAMPLES)],
        "pythonVersion": "3.11",
        "typeCheckingMode": "strict",
        # A guard may ask what a value is that could only be something else by a caller's mistake.
        "reportUnnecessaryIsInstance": False,
    }
    path = tmp_path / "pyrightconfig.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    command = [sys.executable, "-m", "basedpyright", "-p", str(path), "--pythonpath"]
    done = subprocess.run([*command, sys.executable], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 errors, 0 warnings" in done.stdout

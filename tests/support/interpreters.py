"""The test suite on every supported interpreter that is found: `make test-all`.

Each has an environment of its own below `build/`, which is made anew when `pyproject.toml` changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSIONS = ["3.11", "3.12", "3.13"]


def interpreter(version: str) -> Path | None:
    """Return a working interpreter of a version, or None if none is found."""
    for path in _candidates(version):
        asked = [str(path), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        # The name alone says little: a version manager's stand-in may find nothing behind it.
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return path
    return None


def _candidates(version: str) -> Iterator[Path]:
    name = f"python{version}"
    found = shutil.which(name)
    if found is not None:
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"), reverse=True)


def environment(version: str, python: Path) -> Path:
    """Return the interpreter of an environment with the project and its tools installed."""
    folder = ROOT / "build" / f"python{version}"
    installed = folder / ".installed"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if not installed.exists() or installed.read_text() != wanted:
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet"]
        options = ["--disable-pip-version-check", "--editable", ".[dev]"]
        subprocess.run([*pip, *options], cwd=ROOT, check=True)
        installed.write_text(wanted)
    return folder / "bin/python"


def main(arguments: list[str]) -> int:
    """Run pytest on each interpreter, one after another; return 1 if any run fails."""
    results = {}
    for version in VERSIONS:
        python = interpreter(version)
        if python is None:
            results[version] = "ABSENT"
            continue
        print(f"Python {version}: {python}", flush=True)
        options = ["--numprocesses", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]
        run = [str(environment(version, python)), "-m", "pytest", *options, *arguments]
        done = subprocess.run(run, cwd=ROOT, check=False)
        results[version] = "passed" if done.returncode == 0 else "FAILED"
    for version, result in results.items():
        print(f"Python {version}: {result}")
    return 0 if "passed" in results.values() and "FAILED" not in results.values() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

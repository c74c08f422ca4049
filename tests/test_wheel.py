"""A stranger's first hour: only the wheel, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python(folder: Path, site: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    # The first of these processes compiles the modules of the site for those that follow.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_begin_edit_generate_check_test_and_run(tmp_path: Path) -> None:
    wheels, site, folder = (tmp_path / name for name in ("wheels", "site", "project"))
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    # As an installation of pure Python does, which pip takes a second for.
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert (site / "opslifecycle/serve/page/main.js").is_file()
    folder.mkdir()
    codegen = ("-m", "opslifecycle_codegen.cli.main")
    where = python(folder, site, "-c", "import opslifecycle; print(opslifecycle.__file__)")
    assert where.startswith(str(site))

    python(folder, site, *codegen, "init", "task")
    machine = folder / "machine/task.yaml"
    text = machine.read_text(encoding="utf-8")
    text = text.replace("  pause: {", "  stall: {", 1).replace("[pause]", "[stall]", 1)
    machine.write_text(text, encoding="utf-8")
    assert "wrote src/task/authority.py" in python(folder, site, *codegen, "generate")
    test = folder / "tests/test_task.py"
    test.write_text(test.read_text(encoding="utf-8").replace(".pause(", ".stall("), "utf-8")
    assert "17 generated files" in python(folder, site, *codegen, "check")
    assert " passed in " in python(folder, site, "-m", "pytest", "-q")
    script = (
        "import sys; sys.path.insert(0, 'src')\n"
        "from task import TaskRegistry, TaskId\n"
        "from opslifecycle import SqliteStore\n"
        "with TaskRegistry(store=SqliteStore('tasks.db')) as tasks:\n"
        "    id = TaskId.new(); tasks.add(id, 'first'); tasks.begin(id); tasks.stall(id)\n"
        "with TaskRegistry(store=SqliteStore('tasks.db')) as tasks:\n"
        "    print(tasks.snapshot(id).attempts)\n"
    )
    assert python(folder, site, "-c", script) == "1\n"

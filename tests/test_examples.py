"""The example projects: up to date, clean, tested, and run for real."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from opslifecycle_codegen.cli.main import main

from tests.support.codegen.projects import assert_clean
from tests.support.scale import WHOLE
from tests.support.warm import python

EXAMPLES = Path(__file__).parents[1] / "examples"
PROJECTS = {
    "lamp": ("house.py", "hall: lit, switched 2 times"),
    "approval": ("office.py", "told: \n"),
    "deadlines": ("shop.py", "order of 20: expire\n2 paid, and none forgotten"),
    "download": ("mirror.py", "c.example/slow: dropped"),
    "fulfilment": ("warehouse.py", "50 orders, none lost on the way"),
    "microwave": (
        "kitchen.py",
        "soup: closed_ready, although its process was killed\npie, with an open door: ",
    ),
    "pull_request": (
        "repository.py",
        "day 5: remind\nday 7: remind\nday 7: decline\nday 97: archive\n",
    ),
    "shipping": (
        "dock.py",
        "parcel: delivered, 2 failed bookings, problem: none\ncrate: failed, 0 failed bookings",
    ),
    "payment": (
        "till.py",
        "4 payments, each at most as large as agreed\n28.04 earned, 7.01 each\n"
        "not confirmed in time: canceled",
    ),
}

#: The one whose tests `make test` runs.
TESTED = {"payment"}
#: Those whose programs it runs.
RUN = {"lamp", "microwave", "payment"}


def test_every_project_is_here() -> None:
    assert set(PROJECTS) == {path.parent.name for path in EXAMPLES.glob("*/pyproject.toml")}


@pytest.fixture(params=PROJECTS)
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a project, which nothing of this repository is beside."""
    folder: Path = tmp_path / request.param
    ignored = shutil.ignore_patterns("__pycache__", "*.db*", ".*_cache")
    shutil.copytree(EXAMPLES / request.param, folder, ignore=ignored)
    return folder


def test_it_is_up_to_date_and_clean(example: Path) -> None:
    assert main(["--project", str(example), "check"]) == 0
    assert main(["--project", str(example), "fmt", "--check"]) == 0
    if WHOLE or example.name in TESTED:
        assert_clean(example, interpreters=WHOLE)


@pytest.mark.parametrize(
    "example",
    [pytest.param(name, marks=[pytest.mark.nightly] * (name not in RUN)) for name in PROJECTS],
    indirect=True,
)
def test_its_program_runs_and_goes_on_where_it_ended(example: Path) -> None:
    program, expected = PROJECTS[example.name]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for _ in range(2):
        done = python(program, "store.db", cwd=example, env=environment)
        assert done.returncode == 0, done.stdout
    assert expected in done.stdout

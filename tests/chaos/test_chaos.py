"""A share of the campaign of real faults, and stores that are wrong on purpose, which it finds."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chaos.batch_model import BatchModel, planned
from tests.support.chaos.episodes import Findings, batch_episode, library_episode
from tests.support.chaos.processes import marked, require_none
from tests.support.chaos.rules import State
from tests.support.chaos.target import Limits
from tests.support.chaos.verdict import ViolationError
from tests.support.scale import whole_or

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="SKIPPED: these faults are those of Linux"
)

SEED = 20261126
SHORT = Limits(lock_max=3.0, stop_max=2.0, full_max=1.0, calm_max=0.4)
LIBRARY_SECONDS, BATCH_SECONDS = whole_or(8, 3), whole_or(4, 2)


def told(findings: Findings) -> str:
    return "\n".join(findings.lines())


def test_a_library_program_loses_and_invents_nothing() -> None:
    findings = Findings(SEED)
    library_episode(findings, SEED, LIBRARY_SECONDS, SHORT)
    print(told(findings))
    assert not findings.kinds, told(findings)
    assert findings.faults.total() > 0
    assert findings.counts["commands acknowledged"] > 100
    assert findings.counts["effects handled"] > 10
    assert findings.counts["full comparisons"] > findings.faults.total()


def test_a_batch_loses_and_invents_nothing() -> None:
    findings = Findings(SEED)
    batch_episode(findings, SEED, BATCH_SECONDS, SHORT)
    print(told(findings))
    assert not findings.kinds, told(findings)
    assert findings.faults.total() > 0
    assert findings.counts["comparisons by other processes"] > 1


@pytest.mark.parametrize(
    ("defect", "kinds", "deadline"),
    [
        # What a collect that was lost had erased is there again.
        ("forgetful", ["lost", "duplicated"], 60.0),
        pytest.param("clinging", ["duplicated"], 60.0, marks=pytest.mark.nightly),
        pytest.param("noisy", ["traceback"], 60.0, marks=pytest.mark.nightly),
        # It never goes on, however long the deadline is.
        pytest.param("stuck", ["hang"], 5.0, marks=pytest.mark.nightly),
    ],
)
def test_a_planted_defect_is_found(defect: str, kinds: list[str], deadline: float) -> None:
    limits = Limits(deadline=deadline, calm_max=1.0)
    findings = Findings(SEED)
    library_episode(findings, SEED, 60.0, limits, defect=defect, faults=("kill",))
    assert len(findings.kinds) == 1, told(findings)
    assert findings.kinds[0] in kinds, told(findings)


@pytest.fixture
def batch(tmp_path: Path) -> BatchModel:
    """A model with one command, `run-0`, that has begun and ended well."""
    (command,) = planned(random.Random(0), "run", tmp_path / "deeds")[:1]
    command.status, command.lines = 0, 1
    command.deeds.write_text("begin run-0\nend run-0\n")
    model = BatchModel({"run-0": command})
    model.acknowledge(entry("completed", content="run-0 line 1\n"))
    return model


def entry(status: str, **facts: object) -> dict[str, object]:
    return {"display_name": "run-0", "terminal_outcome": {"outcome_type": status, **facts}}


def row(status: str, **facts: object) -> dict[str, object]:
    return {**entry(status, **facts), "status": status}


GOOD = row("completed", content="run-0 line 1\n")


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("lost", []),
        ("lost", [row("failed", error="exit status 1")]),
        ("lost", [{**GOOD, "status": "running", "terminal_outcome": None}]),
        ("duplicated", [GOOD, GOOD]),
        ("duplicated", [{**GOOD, "display_name": "another"}]),
    ],
)
def test_wrong_rows_of_a_batch_are_found(
    batch: BatchModel, kind: str, rows: list[dict[str, object]]
) -> None:
    batch.verify_rows([GOOD], running=set())
    with pytest.raises(ViolationError) as found:
        batch.verify_rows(rows, running=set())
    assert found.value.kind == kind


def test_a_command_that_ran_twice_or_differently_is_found(batch: BatchModel) -> None:
    batch.acknowledged.clear()
    with pytest.raises(ViolationError, match=r"^wrong: run-0 printed"):
        batch.acknowledge(entry("completed", content="something else"))
    deeds = batch.commands["run-0"].deeds
    deeds.write_text(deeds.read_text() + "begin run-0\n")
    with pytest.raises(ViolationError, match=r"^duplicated: run-0 was started 2 times"):
        batch.acknowledge(entry("completed", content="run-0 line 1\n"))


def test_what_a_collect_leaves_out_is_found(batch: BatchModel) -> None:
    batch.verify_rows([GOOD], running=set())
    assert batch.shown == {"run-0": State("completed", "run-0 line 1\n")}
    with pytest.raises(ViolationError, match=r"^lost: collect printed"):
        batch.verify_collected([])


@pytest.fixture
def orphan() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, "CHAOS_RUN": "planted"})
    yield process.pid
    process.kill()
    process.wait()


def test_a_process_that_is_left_is_found(orphan: int) -> None:
    assert marked("CHAOS_RUN=planted") == [orphan]
    with pytest.raises(ViolationError, match=rf"^orphan: .*{orphan}"):
        require_none("CHAOS_RUN=planted", 0.1)

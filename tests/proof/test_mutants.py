"""Some mutants of the machine's file and of what is generated; `make mutate` tries all."""

from __future__ import annotations

import random

import pytest

from tests.support.proof import artifact_mutants, code_mutants
from tests.support.proof.machines import ROOT
from tests.support.proof.mutants import EQUIVALENT, Mutant, mutants
from tests.support.proof.mutation import killer, tried
from tests.support.proof.verdict import has_failed
from tests.support.scale import whole_or

SHARE = whole_or(12, 2)


def test_mutants_are_noticed() -> None:
    every = [each for each in mutants() if each.name not in EQUIVALENT]
    assert len(every) > 300
    result = tried(random.Random(1).sample(every, SHARE))
    print(f"{result.killed.total()} of {result.total} of {len(every)} mutants killed")
    assert result.lived == ()
    assert result.killed.total() == SHARE


@pytest.mark.nightly
def test_a_mutant_that_changes_nothing_lives() -> None:
    assert killer(Mutant("nothing", lambda root: None)) is None


def test_mutants_of_what_is_generated_are_noticed() -> None:
    every = artifact_mutants.every()
    assert set(artifact_mutants.EQUIVALENT) <= {each.name for each in every}
    for kind in artifact_mutants.KINDS:
        of_kind = [each for each in every if each.kind == kind]
        assert len(of_kind) > 300
        chosen = random.Random(2).sample(of_kind, whole_or(4, 1))
        assert [each.name for each in chosen if not artifact_mutants.is_noticed(each)] == []


def test_files_of_tests_that_are_not_there_notice_nothing() -> None:
    named = {*artifact_mutants.TESTS, *code_mutants.FIRST}.union(*code_mutants.THEN.values())
    assert [each for each in named if not (ROOT / each).exists()] == []
    assert has_failed(pytest.ExitCode.TESTS_FAILED)
    assert not has_failed(pytest.ExitCode.OK)
    for status in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        with pytest.raises(AssertionError, match="not there"):
            has_failed(status)


@pytest.mark.nightly
def test_a_line_that_is_not_there_is_not_missed() -> None:
    place = next(
        number
        for number, line in enumerate(artifact_mutants.SOURCE.read_text("utf-8").splitlines())
        if line.startswith("#")
    )
    source = artifact_mutants.SOURCE.relative_to(ROOT)
    comment = artifact_mutants.Mutant("line gone", str(source), place)
    assert not artifact_mutants.is_noticed(comment)

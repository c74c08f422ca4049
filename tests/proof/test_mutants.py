"""Some mutants of the machine's file, the shell and what is generated; `make mutate` tries all."""

from __future__ import annotations

import random

from tests.proof import artifact_mutants, code_mutants
from tests.proof.machines import ROOT
from tests.proof.mutants import EQUIVALENT, Mutant, mutants
from tests.proof.mutation import killer, tried

SHARE = 12


def test_mutants_are_noticed() -> None:
    every = [each for each in mutants() if each.name not in EQUIVALENT]
    assert len(every) > 350
    result = tried(random.Random(1).sample(every, SHARE))
    print(f"{result.killed.total()} of {result.total} of {len(every)} mutants killed")
    assert result.lived == ()
    assert result.killed.total() == SHARE


def test_a_mutant_that_changes_nothing_lives() -> None:
    assert killer(Mutant("nothing", lambda root: None)) is None


#: One of each kind of mistake, each in another module.
OF_THE_SHELL = [
    "watchers.Watchers.forget: without `cells.pop(cell, None)`",
    "retention.Retention.overdue: other comparison in `len(self._rows) > self._rows_max`",
    "barriers.Barriers.count: other comparison in `barrier.unfinished == 0`",
    "waits.Wait.done: nothing for `return self._cell.state is not _PENDING`",
]


def test_mutants_of_the_shell_are_noticed() -> None:
    every = code_mutants.every()
    assert len(every) > 1_000
    chosen = [each for each in every if each.name in OF_THE_SHELL]
    assert len(chosen) == len(OF_THE_SHELL)
    result = code_mutants.tried(chosen)
    assert result.lived == ()
    assert result.killed.total() == len(chosen)


def test_every_module_of_the_shell_is_mutated_or_has_nothing_to_mutate() -> None:
    # The first two are lists of names, the third has one class without a method.
    assert code_mutants.modules() - set(code_mutants.THEN) == {
        "__init__", "permissions", "cancellation"
    }  # fmt: skip
    known = {each.name for module in code_mutants.THEN for each in code_mutants.mutants(module)}
    assert set(code_mutants.EQUIVALENT) <= known


def test_a_module_as_it_is_lives() -> None:
    source = (code_mutants.SHELL / "token.py").read_text(encoding="utf-8")
    assert code_mutants.killer(code_mutants.Mutant("token", "nothing", lambda: source)) is None


def test_mutants_of_what_is_generated_are_noticed() -> None:
    every = artifact_mutants.every()
    assert set(artifact_mutants.EQUIVALENT) <= {each.name for each in every}
    for kind in artifact_mutants.KINDS:
        of_kind = [each for each in every if each.kind == kind]
        assert len(of_kind) > 300
        chosen = random.Random(2).sample(of_kind, 4)
        assert [each.name for each in chosen if not artifact_mutants.is_noticed(each)] == []


def test_a_line_that_is_not_there_is_not_missed() -> None:
    place = next(
        number
        for number, line in enumerate(artifact_mutants.SOURCE.read_text("utf-8").splitlines())
        if line.startswith("#")
    )
    source = artifact_mutants.SOURCE.relative_to(ROOT)
    comment = artifact_mutants.Mutant("line gone", str(source), place)
    assert not artifact_mutants.is_noticed(comment)

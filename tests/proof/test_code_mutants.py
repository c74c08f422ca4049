"""Some mutants of the shell; `make mutate` tries all."""

from __future__ import annotations

import pytest

from tests.proof import code_mutants
from tests.scale import whole_or

#: One of each kind of mistake, each in another module.
OF_THE_SHELL = [
    "sync.watchers.Watchers.resolve: without `cell.end(outcome)`",
    "shell.retention.Retention.evict: other comparison in `oldest < published`",
    "sync.barriers.Barriers.count: other comparison in `barrier.unfinished == 0`",
    "sync.waits.Wait.done: nothing for `return self._cell.state is not _PENDING`",
]


def test_mutants_of_the_shell_are_noticed() -> None:
    every = code_mutants.every()
    assert len(every) > 1_000
    names = OF_THE_SHELL[: whole_or(len(OF_THE_SHELL), 1)]
    chosen = [each for each in every if each.name in names]
    assert len(chosen) == len(names)
    result = code_mutants.tried(chosen)
    assert result.lived == ()
    assert result.killed.total() == len(chosen)


def test_every_module_of_the_shell_is_mutated_or_has_nothing_to_mutate() -> None:
    # Lists of fields or of names, one class without a method, and what kills its own process.
    assert code_mutants.modules() - set(code_mutants.THEN) == {
        "conformance", "runtime.v1", "shell.permissions", "sync.cancellation",
        "protocols.a2a.server", "protocols.mcp.server",
    }  # fmt: skip
    known = {each.name for module in code_mutants.THEN for each in code_mutants.mutants(module)}
    assert set(code_mutants.EQUIVALENT) <= known


@pytest.mark.nightly
def test_a_module_as_it_is_lives() -> None:
    source = code_mutants.path_of(code_mutants.SHELL, "values.token").read_text(encoding="utf-8")
    assert (
        code_mutants.killer(code_mutants.Mutant("values.token", "nothing", lambda: source)) is None
    )

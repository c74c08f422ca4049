"""Some mutants of the shell; `make mutate` tries all."""

from __future__ import annotations

import pytest

from tests.support.proof import code_mutants
from tests.support.scale import whole_or

#: One of each kind of mistake, by module; `make test` tries the first, those of waits hang a test.
OF_THE_SHELL = {
    "sync.barriers": "sync.barriers.Barriers.count: other comparison in `barrier.unfinished == 0`",
    "shell.retention": "shell.retention.Retention.evict: other comparison in `oldest < published`",
    "sync.watchers": "sync.watchers.Watchers.resolve: without `cell.end(outcome)`",
    "sync.waits": "sync.waits.Wait.done: nothing for `return self._cell.state is not _PENDING`",
}


@pytest.mark.nightly
def test_mutants_of_the_shell_are_noticed() -> None:
    tried = list(OF_THE_SHELL.items())[: whole_or(len(OF_THE_SHELL), 1)]
    chosen = [
        mutant
        for module, name in tried
        for mutant in code_mutants.mutants(module)
        if mutant.name == name
    ]
    assert len(chosen) == len(tried)
    result = code_mutants.tried(chosen)
    assert result.lived == ()
    assert result.killed.total() == len(chosen)


def test_every_module_of_the_shell_is_mutated_or_is_left_out() -> None:
    # Lists of fields or of names, one class without a method, and what kills its own process.
    assert code_mutants.modules() - set(code_mutants.THEN) == {
        "conformance", "runtime.v1", "shell.permissions", "sync.cancellation",
        "protocols.a2a.server", "protocols.mcp.server",
    }  # fmt: skip


@pytest.mark.nightly
def test_mutants_that_change_nothing_are_mutants() -> None:
    known = {each.name for module in code_mutants.THEN for each in code_mutants.mutants(module)}
    assert set(code_mutants.EQUIVALENT) <= known
    assert len(known) - len(code_mutants.EQUIVALENT) > 1_000


@pytest.mark.nightly
def test_a_module_as_it_is_lives() -> None:
    source = code_mutants.path_of(code_mutants.SHELL, "values.token").read_text(encoding="utf-8")
    assert (
        code_mutants.killer(code_mutants.Mutant("values.token", "nothing", lambda: source)) is None
    )

"""Calls of a registry on a server that are interrupted; each world has a registry of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import pytest
from opslifecycle import Store

from tests.support.interrupts import trying
from tests.support.interrupts.calls import CALLS
from tests.support.interrupts.checking import Helper
from tests.support.interrupts.clustering import HOSTS_CALLS, HostsCall, clustered
from tests.support.interrupts.examinations import opened
from tests.support.interrupts.injecting import Injection
from tests.support.interrupts.planning import Examination, Examiner
from tests.support.interrupts.trying import MakeStores
from tests.support.postgres.databases import Database
from tests.support.scale import whole_or

_CALLS = {each.name: each for each in CALLS if each.name in ("register", "complete", "close")}


@pytest.fixture
def make(postgres: Database) -> MakeStores:
    numbers = itertools.count()

    def make() -> tuple[Store, Callable[[], Store]]:
        name = f"r{next(numbers)}"
        return postgres.store(name), partial(postgres.store, name)

    return make


def _examine(attempt: Callable[[Injection], None], step: int) -> None:
    Examiner(step).carry_out(Examination("on a server", attempt)).check()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", _CALLS)
def test_a_call_of_a_registry_on_a_server(make: MakeStores, name: str) -> None:
    _examine(partial(trying.calling, _CALLS[name], make, Helper()), whole_or(7, 61))


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
def test_the_opening_of_a_registry_on_a_server(make: MakeStores) -> None:
    _examine(partial(trying.opening, opened, make), whole_or(23, 499))


@pytest.mark.filterwarnings("ignore")
def test_a_commit_on_a_server(make: MakeStores) -> None:
    _examine(partial(trying.commit, make), whole_or(7, 61))


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
def test_the_opening_of_an_older_version_on_a_server(make: MakeStores) -> None:
    _examine(partial(trying.migration, make), whole_or(23, 499))


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", HOSTS_CALLS, ids=lambda call: call.name)
def test_a_call_of_a_cluster(postgres: Database, call: HostsCall) -> None:
    _examine(partial(clustered, call, postgres, Helper()), 7)

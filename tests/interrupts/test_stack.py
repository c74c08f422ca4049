"""A stack that runs out at any depth of a command leaves the registry consistent or closed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from opslifecycle import OperationId, Registry, RegistryClosedError

from tests.support.builders import registered, spec

_DEPTHS = 70

CALLS: dict[str, Callable[[Registry, OperationId], object]] = {
    "rollback": lambda registry, id: registry.rollback_unreturned_operation(id),
    "cancel": lambda registry, id: registry.cancel_operation(id),
    "listing": lambda registry, id: registry.list_operations(terminal=False),
}


@pytest.fixture
def limit() -> Iterator[int]:
    before = sys.getrecursionlimit()
    depth = 0
    frame = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    sys.setrecursionlimit(depth + 2 * _DEPTHS)
    yield 2 * _DEPTHS
    sys.setrecursionlimit(before)


def _at(depth: int, call: Callable[[], object]) -> object:
    return call() if depth <= 0 else _at(depth - 1, call)


@pytest.mark.parametrize("name", CALLS)
def test_a_full_stack_at_any_depth_loses_nothing(limit: int, name: str) -> None:
    failed = 0
    for depth in range(limit - _DEPTHS, limit):
        registry = Registry()
        id = registered(registry)
        registered(registry)
        watch = registry.register_watcher(id)
        registry.list_operations(terminal=False)
        registered(registry)
        try:
            _at(depth, lambda r=registry, i=id: CALLS[name](r, i))  # type: ignore[misc]
        except RecursionError:
            failed += 1
        try:
            registry.register_operation(spec())
            assert registry.broken_invariants() == []
        except RegistryClosedError:
            assert watch.done()
        every = registry.list_operations()
        ended = [registry.list_operations(terminal=each) for each in (True, False)]
        assert sum(map(len, ended)) == len(every)
        registry.close()
        assert watch.done()
    # As many as the call has frames, which differs between versions of Python.
    assert 0 < failed < _DEPTHS

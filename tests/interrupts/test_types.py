"""Interrupts of decoding are no mistakes in the data, and change no later decoding."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from opslifecycle import (
    OperationSource,
    Registry,
    SessionChild,
    SessionId,
    SqliteStore,
    register_type,
    structure,
    unstructure,
)
from opslifecycle.stores.base import StoreContents
from opslifecycle.stores.reading import StoredRegistry
from opslifecycle.values import conversion

from tests.support.builders import completed, running
from tests.support.interrupts.injecting import INTERRUPTS, Alarm, Deep, Full, Injection
from tests.support.scale import whole_or

VALUE = SessionChild(SessionId.new())
DATA = {"sources": [unstructure(VALUE), None]}


@attrs.frozen
class Sources:
    sources: list[OperationSource | None]


@pytest.mark.parametrize("kind", INTERRUPTS)
def test_an_interrupt_reaches_the_caller_and_changes_no_decoding(kind: type[BaseException]) -> None:
    """The first decoding of a type finds out how it is decoded, and later ones rely on that."""
    for at in range(1, 10_000, whole_or(1, 67)):
        conversion._converter = None
        injection = Injection(at, kind)
        try:
            found = injection.during(lambda: structure(DATA, Sources))
        except kind:
            pass
        else:
            assert injection.place is None, f"swallowed: {injection.place}"
            assert found == Sources([VALUE, None])
            assert at > 20
            return
        assert structure(DATA, Sources) == Sources([VALUE, None]), injection.place
        assert unstructure(Sources([VALUE, None])) == DATA, injection.place
    raise AssertionError


def test_types_are_resolved_where_the_system_has_no_thread_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    monkeypatch.setattr(conversion, "_converter", None)
    assert structure(DATA, Sources) == Sources([VALUE, None])


def test_what_fails_while_a_type_is_resolved_reaches_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing() -> None:
        raise Full("no memory")

    monkeypatch.setattr(conversion, "_build", failing)
    monkeypatch.setattr(conversion, "_converter", None)
    with pytest.raises(Full, match="no memory"):
        structure(DATA, Sources)


class Odd:
    """A class of the program whose conversion is interrupted."""


@attrs.frozen
class Holder:
    first: int
    odd: list[Odd]


@pytest.mark.parametrize("raised", [Alarm("a"), Deep("b"), Full("c"), ZeroDivisionError("d")])
def test_what_interrupts_a_part_is_raised_as_it_is(raised: Exception) -> None:
    def interrupted(data: object) -> Odd:
        raise raised

    register_type(Odd, str, interrupted)
    # It counts for more than a mistake that cattrs has collected before.
    for first in (1, "no integer"):
        with pytest.raises(type(raised)) as caught:
            structure({"first": first, "odd": [1]}, Holder)
        assert caught.value is raised


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    with Registry(store=SqliteStore(path)) as registry:
        completed(registry)
        running(registry)
    return path


def _at(depth: int, call: Callable[[], object]) -> object:
    return call() if depth <= 0 else _at(depth - 1, call)


def test_a_full_stack_is_no_damage(path: Path) -> None:
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    before, failed = sys.getrecursionlimit(), 0

    def look() -> None:
        with Registry(store=SqliteStore(path)):
            pass

    for room in range(1, 60, whole_or(1, 4)):
        sys.setrecursionlimit(depth + 100)
        try:
            _at(95 - room, look)
        except RecursionError:
            failed += 1
        finally:
            sys.setrecursionlimit(before)
    assert failed
    with Registry(store=SqliteStore(path)) as registry:
        assert len(registry.list_operations()) == 2


@pytest.mark.parametrize("raised", [Alarm("a"), Deep("b"), Full("c")])
def test_an_interrupted_reader_reports_no_damage(raised: Exception) -> None:
    registry = StoredRegistry("a", 1, None, False, StoreContents({}, {}, None), "a.db", {}, {})

    def interrupted(id: str, text: str) -> object:
        raise raised

    with pytest.raises(type(raised)):
        registry.decode(interrupted, "a", "{}")

"""The nightly run: a machine that ends its process, or does not end, is a finding."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.support.random_machines.building import Tree
from tests.support.random_machines.coverage import FEATURES
from tests.support.random_machines.isolating import Chunk, Findings, Source, examined
from tests.support.random_machines.nightly import seek
from tests.support.random_machines.parcels import parcel

Made = tuple[Tree, frozenset[str]]


def _right(number: int) -> Made:
    return parcel()[0], frozenset()


def _dies(number: int) -> Made:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return _right(number)


def _hangs(number: int) -> Made:
    if number == 1:
        time.sleep(3600)
    return _right(number)


def _crashes(number: int) -> Made:
    if number == 1:
        raise RuntimeError("the generator is wrong")
    return _right(number)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("make", "first", "seconds", "kind", "accepted"),
    [
        (_dies, 0, 600, "an examination dies", 1),
        (_hangs, 1, 1, "an examination hangs", 0),
        pytest.param(_crashes, 0, 600, "the examination crashes", 1, marks=pytest.mark.nightly),
    ],
)
def test_what_a_process_does_not_survive_is_found_with_its_number(
    make: Source, first: int, seconds: float, kind: str, accepted: int
) -> None:
    chunks = iter([Chunk("planted", make, range(first, first + 2))])
    until = time.monotonic() + 600
    found = examined(chunks, until=until, processes=2, seconds_max=seconds)
    assert [(each.number, each.kind) for each in found.failures] == [(1, kind)]
    assert "--planted --number 1" in str(found.failures[0])
    assert found.tally.accepted == accepted


@pytest.mark.nightly
def test_what_chance_has_left_out_is_sought() -> None:
    found = Findings()
    found.tally.features.update(FEATURES)
    del found.tally.features["field: bytes"]
    seek(found, 1, processes=1)
    assert found.failures == []
    assert found.tally.accepted
    assert found.tally.missing(FEATURES) == []

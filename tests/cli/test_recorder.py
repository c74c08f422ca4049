"""How long a run tries to record what its store refuses."""

from __future__ import annotations

import asyncio

import pytest
from opslifecycle import PersistenceError, StoreDamagedError
from opslifecycle.cli.running.recorder import NotRecordedError, Recorder


class Refusing:
    """A store that refuses what is recorded, after it has waited for a lock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._now = 0.0
        self.calls = 0

    async def call(self) -> None:
        self.calls += 1
        self._now += self._seconds
        raise PersistenceError("a.db", "it is locked")

    def time(self) -> float:
        return self._now


async def given_up(recorder: Recorder, store: Refusing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "time", store.time)
    with pytest.raises(NotRecordedError, match="it is locked"):
        await recorder.record(store.call)


def test_what_the_store_has_waited_counts_against_the_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, recorder = Refusing(5.0), Recorder(5.0)
    asyncio.run(given_up(recorder, store, monkeypatch))
    assert store.calls == 1
    assert recorder.given_up.is_set()


def test_once_a_store_is_given_up_so_is_every_call() -> None:
    async def scenario() -> None:
        recorder, refused = Recorder(1e9), asyncio.Event()

        async def refuse() -> None:
            refused.set()
            raise PersistenceError("a.db", "it is locked")

        async def lose() -> None:
            raise StoreDamagedError("a.db", 1, "damaged")

        waiting = [asyncio.ensure_future(recorder.record(refuse)) for _ in range(20)]
        await refused.wait()
        with pytest.raises(NotRecordedError):
            await recorder.record(lose)
        async with asyncio.timeout(30):
            results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(each, NotRecordedError) for each in results)

    asyncio.run(scenario())

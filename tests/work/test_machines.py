"""A supervisor under machines of users: what `work` of their machine file says is what happens."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opslifecycle import InvalidValueError, MemoryStore, UnsupportedError
from opslifecycle.work import (
    AlreadyFinished,
    Retry,
    Supervisor,
    UnknownOperation,
    WorkCancelled,
    WorkNotRecordedError,
    current,
)

from tests.support.audit import run
from tests.support.codegen.projects import edit, project

MACHINE = Path(__file__).parents[2] / "examples/download/machine/download.yaml"
AT = {"address": "a.example"}


def imported(folder: Path) -> Iterator[ModuleType]:
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("download")
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == "download"]:
            del sys.modules[name]


@pytest.fixture
def download() -> Iterator[Any]:
    yield from imported(MACHINE.parents[1] / "src")


async def give(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def fail() -> None:
    raise LookupError("it is gone")


def test_work_ends_as_the_machine_says(download: Any) -> None:
    async def main() -> None:
        async with download.AsyncDownloadRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry, max_running=2) as work:
                saved = await work.start(give, "/srv/a", name="a", given=AT)
                broken = await work.start(fail, given=AT, retry=Retry(attempts=2))
                dropped = await work.start(asyncio.Event().wait, given=AT)
                waiting = await work.start(give, "late", given=AT)
                assert type(saved.id) is download.DownloadId
                assert await saved is download.DownloadStatus.SAVED
                assert await broken is download.DownloadStatus.BROKEN
                answer = await dropped.cancel("enough")
                assert answer == WorkCancelled(download.DownloadStatus.DROPPED)
                assert await saved.cancel() == AlreadyFinished(download.DownloadStatus.SAVED)
                unknown = await work.cancel(download.DownloadId.new())
                assert unknown == UnknownOperation()
                assert await waiting is download.DownloadStatus.SAVED
            found = registry.snapshot(saved.id)
            assert (found.address, found.label, found.place) == ("a.example", "a", "/srv/a")
            assert registry.snapshot(broken.id).reason.startswith("LookupError: it is gone")

    run(main())


def test_progress_goes_where_the_machine_says(download: Any) -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def report() -> None:
            current().progress("half", percent=50)
            await gate.wait()

        async with download.AsyncDownloadRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry) as work:
                operation = await work.start(report, given=AT)
                async for update in operation.progress():
                    assert (update.message, update.percent) == ("half", 50)
                    gate.set()
            assert registry.snapshot(operation.id).percent == 50

    run(main())


def test_a_result_that_the_machine_rejects_is_a_failure(download: Any) -> None:
    async def main() -> None:
        async with download.AsyncDownloadRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry) as work:
                operation = await work.start(give, "", given=AT)
                assert await operation is download.DownloadStatus.BROKEN
            assert registry.snapshot(operation.id).reason == "nothing is fetched from a.example"

    run(main())


def test_another_caller_ends_or_changes_the_record(download: Any) -> None:
    async def main() -> None:
        async with download.AsyncDownloadRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry) as work:
                gate = asyncio.Event()
                one = await work.start(gate.wait, given=AT)
                two = await work.start(gate.wait, given=AT)
                await asyncio.sleep(0)
                await registry.pause(one.id)
                await registry.drop(two.id)
                assert await two is download.DownloadStatus.DROPPED
                gate.set()
                assert await one is download.DownloadStatus.SAVED

    run(main())


def test_parameters_are_those_that_the_machine_declares(download: Any) -> None:
    async def main() -> None:
        async with download.AsyncDownloadRegistry() as registry, Supervisor(registry) as work:
            with pytest.raises(InvalidValueError, match="needs 'address'"):
                await work.start(give, "x")
            with pytest.raises(InvalidValueError, match="expected address, got 'adress'"):
                await work.start(give, "x", given={**AT, "adress": "b"})
            with pytest.raises(InvalidValueError, match="address"):
                await work.start(give, "x", given={"address": 12})
            with pytest.raises(UnsupportedError, match="gather"):
                await work.gather([])

    run(main())


def test_keys_and_cancelled_starts_without_rollback(download: Any) -> None:
    """The machine cannot erase a live record: what was registered for nothing is dropped."""

    async def main() -> None:
        async with download.AsyncDownloadRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry) as work:
                one, two = await asyncio.gather(
                    *(work.start(give, "/srv", key="k", given=AT) for _ in range(2))
                )
                assert one.id == two.id
                starting = asyncio.create_task(work.start(give, "/srv", given=AT))
                await asyncio.sleep(0)
                starting.cancel()
                await asyncio.wait([starting])
                assert starting.cancelled()
            statuses = {each.id: each.status for each in registry.downloads()}
            assert statuses.pop(one.id) is download.DownloadStatus.SAVED
            assert set(statuses.values()) <= {download.DownloadStatus.DROPPED}

    run(main())


def test_keys_with_ids_that_have_a_prefix(tmp_path: Path) -> None:
    """A later registry finds the same record by its key."""
    machine = tmp_path / "download.yaml"
    machine.write_text(MACHINE.read_text(encoding="utf-8"), encoding="utf-8")
    edit(machine, "{summary: Names one download.}", "{summary: Names one download., prefix: dl_}")

    async def main(download: Any) -> None:
        store, found = MemoryStore(), []
        for _ in range(2):
            registry = await download.AsyncDownloadRegistry.open(store=store)
            async with registry, Supervisor(registry) as work:
                operation = await work.start(give, "/srv", key="k", given=AT)
                assert await operation is download.DownloadStatus.SAVED
                found.append(str(operation.id))
        assert found[0] == found[1]
        assert re.fullmatch("dl_[0-9a-f]{32}", found[0])

    for download in imported(project(tmp_path / "project", machine) / "src"):
        run(main(download))


def test_work_in_threads_ends_as_its_machine_says(download: Any) -> None:
    with download.DownloadRegistry(store=MemoryStore()) as registry:
        with Supervisor(registry) as work:
            operation = work.start(str, 12, given=AT)
            assert operation.result(timeout=30) is download.DownloadStatus.SAVED


def test_a_machine_without_work_is_refused() -> None:
    class Other: ...

    with pytest.raises(InvalidValueError, match="declares `work`, got Other"):
        Supervisor(Other())  # type: ignore[arg-type]


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[Any]:
    """The machine with a number as its result, which the work itself returns."""
    machine = tmp_path / "download.yaml"
    machine.write_text(MACHINE.read_text(encoding="utf-8"), encoding="utf-8")
    for old, new in (
        ("place: {type: str | None}", "place: {type: int | None}"),
        ("params: {place: str}", "params: {place: int}"),
        ("when: place != ''", "when: place > 0"),
        ("{do: save, with: {place: content}}", "save"),
        ("  progress: {do: note, with: {percent: percent}}\n", ""),
    ):
        edit(machine, old, new)
    yield from imported(project(tmp_path / "project", machine) / "src")


def test_work_returns_what_the_machine_takes(counting: Any) -> None:
    async def main() -> None:
        async with counting.AsyncDownloadRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry) as work:
                saved = await work.start(give, 12, given=AT)
                wrong = await work.start(give, "12", given=AT)
                rejected = await work.start(give, 0, given=AT)
            assert registry.snapshot(saved.id).place == 12
            assert registry.snapshot(wrong.id).reason == "place: expected an integer, got '12'"
            assert registry.snapshot(rejected.id).status is counting.DownloadStatus.BROKEN

    run(main())


def test_an_end_that_the_machine_never_accepts_is_reported(download: Any) -> None:
    async def main() -> None:
        async with download.AsyncDownloadRegistry(store=MemoryStore()) as registry:

            async def refuse(id: Any, reason: str) -> None:
                raise download.AddressForbiddenError("a.example")

            registry.break_off = refuse
            with pytest.raises(WorkNotRecordedError, match="nothing is fetched"):
                async with Supervisor(registry) as work:
                    await work.start(fail, given=AT)

    run(main())


def test_a_machine_that_stores_no_calls_recovers_none(download: Any) -> None:
    async def main() -> None:
        async with download.AsyncDownloadRegistry() as registry, Supervisor(registry) as work:
            with pytest.raises(UnsupportedError, match="recover"):
                await work.recover({"give": give})
            with pytest.raises(InvalidValueError, match="metadata"):
                await work.start(give, "/srv/a", given=AT, metadata={})

    run(main())

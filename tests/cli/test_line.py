"""When the jobs of a run may start."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest
from opslifecycle import SessionId
from opslifecycle.cli.batches.model import Command, When
from opslifecycle.cli.running.job import Job, job_of
from opslifecycle.cli.running.line import Line

_OWNER = SessionId.new()


def job(name: str, *needs: str, when: When = When.SUCCESS) -> Job:
    return job_of(Command(name, "true", needs=frozenset(needs), when=when), _OWNER)


def scenario(work: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def waits(line: Line) -> list[str]:
    return [each.command.name for each in line]


def test_jobs_come_in_their_order_and_after_what_they_need() -> None:
    async def work() -> None:
        line = Line(4)
        assert line.add([job("d", "a", "c"), job("a"), job("b"), job("c", "b")]) == []
        for name in "ab":
            taken = await line.next()
            assert taken is not None
            assert taken.command.name == name
        assert line.end("a", completed=True) == []
        waiting = asyncio.create_task(line.next())
        await asyncio.sleep(0)
        assert not waiting.done()
        line.end("b", completed=True)
        taken = await waiting
        assert taken is not None
        assert taken.command.name == "c"
        assert waits(line) == ["d"]
        line.end("c", completed=True)
        taken = await line.next()
        assert taken is not None
        assert not line.all_completed
        line.end("d", completed=True)
        assert await line.next() is None
        assert line.all_completed

    scenario(work())


@pytest.mark.parametrize("added_first", [True, False])
def test_what_needs_a_failed_command_is_returned_and_what_always_starts_is_kept(
    added_first: bool,
) -> None:
    async def work() -> None:
        line = Line(3)
        line.add([job("a")])
        await line.next()
        dependents = [job("b", "a"), job("c", "a", when=When.ALWAYS)]
        lost = line.add(dependents) if added_first else []
        lost += line.end("a", completed=False)
        lost += [] if added_first else line.add(dependents)
        assert lost == [(dependents[0], "a")]
        assert await line.next() is dependents[1]
        line.end("b", completed=False)
        line.end("c", completed=True)
        assert await line.next() is None
        assert not line.all_completed

    scenario(work())


def test_a_later_attempt_is_due_after_its_pause_and_holds_up_no_other() -> None:
    async def work() -> None:
        line = Line(2)
        later, soon, other = job("later"), job("soon"), job("other")
        line.add_later(later, 3600)
        line.add_later(soon, 0.01)
        line.add([other])
        assert await line.next() is other
        assert await line.next() is soon
        assert waits(line) == ["later"]

    scenario(work())


def test_stopped_jobs_leave_the_line_wherever_they_wait() -> None:
    async def work() -> None:
        line = Line(4)
        ready, held, later, left = job("ready"), job("held", "x"), job("later"), job("left")
        line.add([ready, held, left])
        line.add_later(later, 3600)
        for each in (ready, held, later):
            each.request_stop("interrupted")
        assert line.take_stopped() == [ready, later, held]
        assert line.take_stopped() == []
        assert await line.next() is left
        assert line.end("x", completed=True) == []
        assert waits(line) == []

    scenario(work())


def test_a_closed_line_gives_nothing_out_and_wakes_who_waits() -> None:
    async def work() -> None:
        line = Line(2)
        waiting = [asyncio.create_task(line.next()) for _ in range(2)]
        await asyncio.sleep(0)
        line.close()
        assert await asyncio.gather(*waiting) == [None, None]
        line.add([job("a")])
        assert await line.next() is None

    scenario(work())

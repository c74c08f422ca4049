"""What asyncio cannot promise, and therefore no program in its loops (ADR 0019).

These programs use nothing of this project. If one of these tests fails, asyncio has been mended,
and the limit can be struck from the decision.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import gc
import subprocess
import sys

import pytest

from tests.support.interrupts import checking, injecting
from tests.support.interrupts.checking import HangsError, Helper
from tests.support.interrupts.injecting import Alarm, Injection

_STARTING = """
import asyncio

async def main():
    loop = asyncio.get_running_loop()
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), -1)
    starting = loop.subprocess_exec(asyncio.SubprocessProtocol, "sh", "-c", "read line", **pipes)
    task = asyncio.create_task(starting)
    await asyncio.sleep(0)
    raise KeyboardInterrupt

asyncio.run(main())
"""


def test_ctrl_c_while_a_process_is_starting_hangs() -> None:
    program = [sys.executable, "-c", _STARTING]
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(program, capture_output=True, check=False, timeout=5)


async def _woken_once(injection: Injection) -> None:
    """Wait for a future that a callback completes."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_soon(done.set_result, None)
    with injection.here():
        await done


def test_an_interrupt_of_the_loop_itself_loses_the_waking_of_a_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(injecting, "OURS", [asyncio.base_events.__file__])
    monkeypatch.setattr(checking, "DEADLINE_SECONDS", 1.0)
    for at in range(1, 2_000):
        injection = Injection(at, Alarm)

        def run(injection: Injection = injection) -> None:
            try:
                asyncio.run(_woken_once(injection))
            except Alarm:
                pass

        try:
            Helper().ask(run)
        except HangsError:
            return
        finally:
            # What hangs has disabled it.
            gc.enable()
        assert injection.place is not None, "asyncio loses nothing"

"""The effects of signals on a run.

| signal | effect |
|---|---|
| SIGINT, SIGTERM, SIGHUP | the first ends every command by SIGTERM, the second by SIGKILL |
| SIGQUIT | ends every command by SIGKILL at once |
| SIGTSTP (Ctrl-Z) | stops the commands, then the run; SIGCONT continues both |

A signal that was ignored when the run began (`nohup`, a background job) stays ignored.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Signals:
    """The handlers of one run, installed as long as the block lasts."""

    def __init__(
        self,
        interrupt: Callable[[signal.Signals], None],
        suspend: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:
        self._interrupt = interrupt
        self._suspend = suspend
        self._resume = resume
        self._installed: list[signal.Signals] = []

    def __enter__(self) -> Signals:
        for number in _ENDING:
            self._install(number, partial(self._interrupt, number))
        self._install(signal.SIGTSTP, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in self._installed:
            loop.remove_signal_handler(number)

    def _install(self, number: signal.Signals, handler: Callable[[], None]) -> None:
        if signal.getsignal(number) is signal.SIG_IGN:
            return
        asyncio.get_running_loop().add_signal_handler(number, handler)
        self._installed.append(number)

    def _stop(self) -> None:
        self._suspend()
        # Returns after SIGCONT.
        os.kill(os.getpid(), signal.SIGSTOP)
        self._resume()

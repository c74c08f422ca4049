"""Standard output that never blocks the event loop, and that may go away."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from typing import TextIO

#: How much text may wait for a slow reader before pictures of the live table are left out.
_CHARACTERS_WAITING_MAX = 256


class Output:
    """A text file on top of another one, written by a thread of its own.

    A reader that stops reading delays only this thread. A reader that has gone, or a full disk,
    makes everything after it vanish: `failure` says why. Satisfies what `rich.Console` needs.
    """

    def __init__(self, target: TextIO) -> None:
        self._target = target
        self._texts: deque[str | None] = deque()
        self._changed = threading.Condition()
        self._waiting = 0
        self._closing = False
        #: Why nothing more can be written; None while it can.
        self.failure: OSError | None = None
        self._thread = threading.Thread(target=self._work, name="output", daemon=True)
        self._thread.start()

    @property
    def encoding(self) -> str:
        """The encoding of the target."""
        return self._target.encoding or "utf-8"

    @property
    def is_behind(self) -> bool:
        """Whether a reader is slow enough that a picture of the live table should be left out."""
        return self._waiting > _CHARACTERS_WAITING_MAX

    def isatty(self) -> bool:
        """Return whether the target is a terminal."""
        return self._target.isatty()

    def fileno(self) -> int:
        """Return the file descriptor of the target."""
        return self._target.fileno()

    def write(self, text: str) -> int:
        """Queue a text."""
        with self._changed:
            self._texts.append(text)
            self._waiting += len(text)
            self._changed.notify()
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread flushes after each text."""

    def close(self, seconds: float | None = None) -> None:
        """Wait until everything is written; with `seconds`, no longer than that."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)

    @property
    def is_done(self) -> bool:
        """Whether everything was written, or nothing more can be."""
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._texts and not self._closing:
                    self._changed.wait()
                if not self._texts:
                    return
                text = "".join(each or "" for each in self._texts)
                self._texts.clear()
            self._write(text)
            with self._changed:
                self._waiting -= len(text)

    def _write(self, text: str) -> None:
        if self.failure is not None:
            return
        try:
            self._target.write(text)
            self._target.flush()
        except OSError as error:
            self.failure = error
            discard_stdout()


def discard_stdout() -> None:
    """Point standard output at nothing, so that what is still buffered cannot fail at exit."""
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())

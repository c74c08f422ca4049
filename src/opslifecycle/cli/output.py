"""Standard output that never blocks the event loop, and whose reader may close it."""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Iterable
from typing import TextIO

#: How much may wait for a slow reader before the live table skips updates.
_BYTES_WAITING_MAX = 256


class Output:
    """A text file on top of a standard stream, to which a thread of its own writes.

    A slow reader delays only this thread. After a failure, because the reader closed the pipe or
    the disk is full, all further text is discarded. It has the methods that `rich.Console` needs.
    """

    def __init__(self, target: TextIO) -> None:
        self._target = target
        self._pieces: deque[Iterable[bytes]] = deque()
        self._changed = threading.Condition()
        self._waiting = 0
        self._closing = False
        #: The failure after which nothing is written; None before.
        self.failure: OSError | None = None
        self._thread = threading.Thread(target=self._work, name="output", daemon=True)
        self._thread.start()

    @property
    def encoding(self) -> str:
        """The encoding of the target."""
        return self._target.encoding or "utf-8"

    @property
    def is_behind(self) -> bool:
        """Whether the reader is so slow that the live table should skip an update."""
        return self._waiting > _BYTES_WAITING_MAX

    def isatty(self) -> bool:
        """Return whether the target is a terminal."""
        return self._target.isatty()

    def fileno(self) -> int:
        """Return the file descriptor of the target."""
        return self._target.fileno()

    def write(self, text: str) -> int:
        """Queue a text."""
        data = text.encode(self.encoding, "replace")
        with self._changed:
            self._pieces.append((data,))
            self._waiting += len(data)
            self._changed.notify()
        return len(text)

    def write_pieces(self, pieces: Iterable[bytes]) -> None:
        """Queue bytes, which the thread asks for when it is their turn."""
        with self._changed:
            self._pieces.append(pieces)
            self._changed.notify()

    def flush(self) -> None:
        """Do nothing: the thread flushes after each text."""

    def close(self, seconds: float | None = None) -> None:
        """Wait until everything is written.

        Args:
            seconds: How long to wait at most; None for no limit.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)

    @property
    def is_done(self) -> bool:
        """Whether everything is written, or a failure has ended writing."""
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._pieces and not self._closing:
                    self._changed.wait()
                if not self._pieces:
                    return
                pieces, taken = [*self._pieces], self._waiting
                self._pieces.clear()
            self._write(itertools.chain.from_iterable(pieces))
            with self._changed:
                self._waiting -= taken

    def _write(self, pieces: Iterable[bytes]) -> None:
        if self.failure is not None:
            return
        try:
            for data in pieces:
                self._target.buffer.write(data)
            self._target.flush()
        except OSError as error:
            self.failure = error
            discard(self._target)


def discard(stream: TextIO) -> None:
    """Redirect a standard stream to the null device, so that buffered text cannot fail at exit."""
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), stream.fileno())

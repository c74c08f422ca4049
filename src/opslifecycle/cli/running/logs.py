"""Writing the logs of commands, and removing them."""

from __future__ import annotations

import contextlib
import os
from io import FileIO
from pathlib import Path

from opslifecycle.cli.batches.command_file import command_file
from opslifecycle.inspection.logs import STREAMS, folder_of, segments

DEFAULT_LOG_BYTES_MAX = 10 * 1024 * 1024


def run_log(store: Path, run: str) -> Path:
    """Return the file of what a detached run prints."""
    return folder_of(store) / f"{run.replace(' ', '.')}.txt"


class LogWriter:
    """Appends one output of one operation to its log.

    A command never ends because of its log. Bytes that cannot be written are counted and lost, and
    writing continues when it is possible. Files are readable by their owner only.
    """

    def __init__(self, folder: Path, operation: str, stream: str, bytes_max: int) -> None:
        self._folder = folder
        self._prefix = f"{operation}.{stream}."
        self._segment_bytes_max = max(1, bytes_max // 2)
        self._segments: list[Path] = []
        self._file: FileIO | None = None
        self._in_segment = 0
        self._offset = 0
        #: The first error, after which a part of the output is missing.
        self.failure: OSError | None = None

    def write(self, data: bytes) -> None:
        """Append bytes. A failure of the file system is noted, not raised."""
        rest = memoryview(data)
        while rest:
            room = self._segment_bytes_max - self._in_segment
            if self._file is None or room <= 0:
                self._begin_segment()
                room = self._segment_bytes_max
            part, rest = rest[:room], rest[room:]
            self._append(part)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _begin_segment(self) -> None:
        self.close()
        self._in_segment = 0
        path = self._folder / f"{self._prefix}{self._offset}"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.fdopen(os.open(path, flags, 0o600), "ab", buffering=0)
        except OSError as error:
            self.failure = self.failure or error
            return
        self._segments.append(path)
        for old in self._segments[:-2]:
            with contextlib.suppress(OSError):
                old.unlink()
        del self._segments[:-2]

    def _append(self, part: memoryview) -> None:
        try:
            if self._file is not None:
                written = self._file.write(part)
                if written != len(part):
                    raise OSError(0, "only a part was written")
        except OSError as error:
            self.failure = self.failure or error
            # The next write begins a segment at its offset, so that readers see the gap.
            self.close()
        self._offset += len(part)
        self._in_segment += len(part)


def remove(store: Path, run: str, operations: list[str]) -> None:
    """Remove what is stored of a run and of its operations, whose records were erased."""
    for file in (run_log(store, run), command_file(store, run)):
        with contextlib.suppress(OSError):
            file.unlink()
    for operation in operations:
        for stream in STREAMS:
            for segment in segments(store, operation, stream):
                with contextlib.suppress(OSError):
                    segment.path.unlink()

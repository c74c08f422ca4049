"""Logs of commands beside the store: at most two segments for each output, named by their offset.

`<store>.logs/<operation>.stdout.<offset>` holds the bytes of standard output from an offset on.
When a segment is full, the next one begins and the oldest is deleted, so that a log never exceeds
its limit. The offsets show readers the gaps: bytes that were deleted or could not be written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import attrs

STREAMS = ("stdout", "stderr")


def folder_of(store: Path) -> Path:
    """Return the folder that holds the logs of a store."""
    return store.with_name(f"{store.name}.logs")


@attrs.frozen
class Segment:
    """One file of a log."""

    path: Path
    offset: int


def segments(store: Path, operation: str, stream: str) -> list[Segment]:
    """Return the segments of a log in their order; none if nothing was printed."""
    prefix = f"{operation}.{stream}."
    found = [
        Segment(path, int(path.name.removeprefix(prefix)))
        for path in folder_of(store).glob(f"{prefix}*")
        if path.name.removeprefix(prefix).isdigit()
    ]
    return sorted(found, key=lambda each: each.offset)


class LogReader:
    """A reader of one output of one operation, which continues after the bytes that it has read."""

    def __init__(self, store: Path, operation: str, stream: str) -> None:
        self._where = (store, operation, stream)
        self._offset = 0

    def read(self) -> Iterator[bytes]:
        """Yield the new bytes, with a marked line for every gap."""
        for segment in segments(*self._where):
            try:
                with segment.path.open("rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    if segment.offset + size <= self._offset:
                        continue
                    if segment.offset > self._offset:
                        yield f"[… {segment.offset - self._offset} bytes are missing]\n".encode()
                        self._offset = segment.offset
                    file.seek(self._offset - segment.offset)
                    while data := file.read(65_536):
                        self._offset += len(data)
                        yield data
            except FileNotFoundError:
                # The writer has deleted the segment meanwhile, and the next one shows the gap.
                continue

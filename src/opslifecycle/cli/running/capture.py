"""The output of a command: all of it in a log, its end in the result, its lines as progress."""

from __future__ import annotations

import codecs
import re

from opslifecycle.cli.running.logs import LogWriter

#: The maximum length of an output in a result or an error, in bytes.
RESULT_BYTES_MAX = 16_384
ERROR_BYTES_MAX = 4_096
_LINE_CHARACTERS_MAX = 500
_LINE_ENDS = re.compile(r"[\r\n]+")


class Capture:
    """One output of a command, which is read to its end with bounded memory."""

    def __init__(self, log: LogWriter) -> None:
        self.log = log
        self._end = bytearray()
        self._read = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._line = ""
        #: The latest line that is not blank, for progress; it may be unfinished.
        self.latest = ""

    @property
    def total_bytes(self) -> int:
        """The number of bytes that were printed."""
        return self._read

    def feed(self, data: bytes) -> None:
        """Add bytes of the output."""
        self._read += len(data)
        self.log.write(data)
        self._end += data
        if len(self._end) > 2 * RESULT_BYTES_MAX:
            del self._end[:-RESULT_BYTES_MAX]
        self._note_line(data)

    def text(self, bytes_max: int = RESULT_BYTES_MAX) -> str:
        """Return the output without its last line end, or a mark and the end of it.

        The result depends on the bytes alone, and not on the pieces in which they were read.
        """
        if self._read <= bytes_max:
            return _decoded(bytes(self._end))
        end = bytes(self._end[-bytes_max:])
        _, line_end, whole_lines = end.partition(b"\n")
        kept = whole_lines if line_end and whole_lines else _from_character(end)
        dropped = self._read - len(kept)
        return f"[… {dropped} bytes before this: see the log]\n" + _decoded(kept)

    def _note_line(self, data: bytes) -> None:
        # The latest line is at the end, so the beginning of a large piece is not decoded.
        text = self._decoder.decode(data[-RESULT_BYTES_MAX:])
        *lines, rest = _LINE_ENDS.split(self._line + text)
        self._line = rest[:_LINE_CHARACTERS_MAX]
        for line in (rest, *reversed(lines)):
            if line.strip():
                self.latest = line[:_LINE_CHARACTERS_MAX]
                break


def _decoded(data: bytes) -> str:
    """Return the text of some bytes, without the line end that closes its last line."""
    return data.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")


def _from_character(data: bytes) -> bytes:
    """Remove an incomplete UTF-8 character at the beginning."""
    start = 0
    while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:]

"""Output of commands: results that depend on bytes alone, logs within their limit, safe text."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opslifecycle.cli.running import logs
from opslifecycle.cli.running.capture import RESULT_BYTES_MAX, Capture
from opslifecycle.cli.text import json_line, lines_of, one_line
from opslifecycle.inspection.logs import LogReader, folder_of, segments


class _NoLog(logs.LogWriter):
    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"), "x", "stdout", 10)

    def write(self, data: bytes) -> None:
        pass


def captured(*pieces: bytes) -> Capture:
    capture = Capture(_NoLog())
    for piece in pieces:
        capture.feed(piece)
    return capture


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        (b"", ""),
        (b"a\n\n  b  \n\nc\n", "a\n\n  b  \n\nc"),
        (b"x   \n\ty\r\n", "x   \n\ty"),
        (b"last line without an end", "last line without an end"),
        (b"\n\n", "\n"),
        (b"\xff\xc3\xa9", "\ufffdé"),
    ],
)
def test_a_short_output_is_kept_whole(printed: bytes, text: str) -> None:
    assert captured(printed).text() == text


@given(st.binary(max_size=3 * RESULT_BYTES_MAX), st.lists(st.integers(0, 60_000), max_size=8))
def test_the_pieces_in_which_it_is_read_change_nothing(printed: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(printed), *(cut for cut in cuts if cut < len(printed))})
    pieces = [printed[a:b] for a, b in pairwise(places)]
    assert captured(*pieces).text() == captured(printed).text()
    assert captured(*pieces).text(100) == captured(printed).text(100)


def test_a_line_without_an_end_keeps_memory_bounded() -> None:
    capture = Capture(_NoLog())
    for _ in range(3_000):
        capture.feed(b"x" * 65_536)
    assert capture.total_bytes == 3_000 * 65_536
    assert len(capture._end) <= 2 * RESULT_BYTES_MAX + 65_536
    assert len(capture.latest) <= 500
    assert capture.text().startswith("[… ")


def read(store: Path, reader: LogReader | None = None) -> bytes:
    return b"".join((reader or LogReader(store, "op", "stdout")).read())


def writer(store: Path, bytes_max: int) -> logs.LogWriter:
    return logs.LogWriter(folder_of(store), "op", "stdout", bytes_max)


def test_a_log_is_private_and_whole(tmp_path: Path) -> None:
    store = tmp_path / "a.db"
    log = writer(store, 1000)
    log.write(b"one\n")
    log.write(b"two\n")
    log.close()
    assert read(store) == b"one\ntwo\n"
    (segment,) = segments(store, "op", "stdout")
    assert segment.path.stat().st_mode & 0o777 == 0o600
    assert segment.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_full_log_drops_its_oldest_part_and_says_so(tmp_path: Path) -> None:
    store = tmp_path / "a.db"
    log = writer(store, 100)
    printed = b"".join(b"%04d\n" % n for n in range(100))
    for start in range(0, len(printed), 7):
        log.write(printed[start : start + 7])
    log.close()
    kept = sum(each.path.stat().st_size for each in segments(store, "op", "stdout"))
    assert kept <= 100
    mark, _, rest = read(store).partition(b"\n")
    assert mark.decode() == f"[… {len(printed) - kept} bytes are missing]"
    assert rest == printed[-kept:]


def test_a_reader_that_follows_sees_each_byte_once_and_every_gap(tmp_path: Path) -> None:
    store = tmp_path / "a.db"
    log = writer(store, 100)
    follower = LogReader(store, "op", "stdout")
    seen = b""
    for n in range(20):
        log.write(b"%09d\n" % n)
        if n % 3 == 0:
            seen += read(store, follower)
    assert seen == b"".join(b"%09d\n" % n for n in range(19))
    for n in range(30):
        log.write(b"%09d\n" % n)
    assert read(store, follower).startswith(b"[\xe2\x80\xa6 ")
    log.close()


def test_bytes_that_could_not_be_written_are_a_gap_and_end_nothing(tmp_path: Path) -> None:
    store = tmp_path / "a.db"
    blocker = folder_of(store)
    blocker.write_text("in the way")
    log = writer(store, 1000)
    log.write(b"lost\n")
    assert log.failure is not None
    blocker.unlink()
    log.write(b"kept\n")
    log.close()
    # The run says at its end that a part is missing.
    assert log.failure is not None
    assert read(store) == "[… 5 bytes are missing]\nkept\n".encode()


HOSTILE = (
    "\x1b[31mred\x1b[0m \x1b]52;c;cm0=\x07\x1b]0;T\x1b\\\x9b2J\x90q\x9c\x07"
    " \u202eabc\u2028x\ud800\n\ty"
)


def test_no_control_reaches_a_line() -> None:
    shown = one_line(HOSTILE)
    assert shown.isprintable()
    assert shown == "red \\x07 \\u202eabc x\\ud800 y"
    assert all(line.isprintable() for line in lines_of(HOSTILE))
    assert lines_of("a\n\n  b") == ["a", "", "  b"]


def test_an_unfinished_sequence_hides_nothing_behind_it() -> None:
    assert one_line("a \x1b[") == "a"
    assert one_line("a \x1b[3\x00b") == "a 3\\x00b"
    assert one_line("\x1b") == "\\x1b"


@given(st.text())
def test_any_text_becomes_printable_and_json_keeps_it(text: str) -> None:
    assert one_line(text).isprintable()
    line = json_line({"text": text})
    assert json.loads(line) == {"text": text}
    assert not any(0x7F <= ord(each) < 0xA0 or ord(each) < 0x20 for each in line)

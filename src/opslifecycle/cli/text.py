"""The output of commands, made safe to print: no control character reaches a terminal."""

from __future__ import annotations

import json
import re

from opslifecycle.values.plain import Json

#: Complete escape sequences: CSI (colours, cursor), then OSC, DCS, SOS, PM and APC up to their
#: terminator or the end of the text, then the two-character ones. A C1 byte may open them, too.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"
    r"|\x1b[ -/]*[0-~]"
)
#: Joiners and variation selectors: terminals and width tables disagree about what they combine.
_WIDTHLESS = dict.fromkeys([0x200B, 0x200C, 0x200D, 0xFE0E, 0xFE0F, 0x2060, 0xFEFF])


def one_line(text: str) -> str:
    r"""Return a text as a single printable line.

    Escape sequences are removed, runs of white space (line ends included) become one space, and
    every other control, format or surrogate character is shown as `\xNN` or `\uNNNN`.
    """
    joined = " ".join(_SEQUENCES.sub("", text).split())
    return _shown(joined.translate(_WIDTHLESS))


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, each printable; blank lines and leading spaces are kept."""
    cleaned = _SEQUENCES.sub("", text)
    return [
        _shown(line.expandtabs().rstrip().translate(_WIDTHLESS))
        for line in re.split(r"\r\n|\n|\r", cleaned)
    ]


def for_terminal(data: bytes) -> bytes:
    """Return the bytes of an output so that a terminal shows control characters."""
    return "\n".join(lines_of(data.decode("utf-8", "replace"))).encode()


def json_line(value: Json) -> str:
    """Return a value as one line of JSON in which every control character is escaped."""
    return _escaped(json.dumps(value, ensure_ascii=False))


def _shown(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _visible(each) for each in text)


def _escaped(text: str) -> str:
    # Such characters are inside the strings of the JSON text, where an escape is always legal.
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _visible(character: str) -> str:
    number = ord(character)
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"

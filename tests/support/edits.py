"""Small edits of a text, each of a place that occurs once."""

from __future__ import annotations

from collections.abc import Iterable

#: What is replaced, and by what.
Edit = tuple[str, str]


def replaced(text: str, edits: Iterable[Edit]) -> str:
    """Return a text with edits made one after the other."""
    for old, new in edits:
        assert text.count(old) == 1, f"{text.count(old)} places have {old!r}"
        text = text.replace(old, new)
    return text

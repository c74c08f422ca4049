"""What runs on this machine."""

from __future__ import annotations

import contextlib
from pathlib import Path


def marked(mark: str) -> list[int]:
    """Return the living processes that have a mark in their environment; Linux alone tells."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The environment of a zombie is empty.
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found

"""Stage 3, analyze: words that are reserved at their position."""

from __future__ import annotations

from collections.abc import Iterable

from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.base.reserved_words import RESERVED
from opslifecycle_codegen.source.words import Text


def refuse_reserved(where: str, names: Iterable[Text], diagnostics: Diagnostics) -> None:
    """Report the names that are reserved at their position."""
    words, reason = RESERVED[where]
    for name in names:
        if name in words:
            message = f"{str(name)!r} cannot be {where}: {reason}"
            diagnostics.add(name.mark, "reserved-name", message, "choose another")

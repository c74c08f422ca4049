"""Stage 3, analyze: words that are reserved at their position."""

from __future__ import annotations

from collections.abc import Iterable

from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.base.reserved_words import RESERVED
from opslifecycle_codegen.source.words import Text


def refuse_reserved(where: str, names: Iterable[Text], diagnostics: Diagnostics) -> bool:
    """Report the names that are reserved at their position; return whether there are some."""
    words, reason = RESERVED[where]
    refused = [name for name in names if name in words]
    for name in refused:
        message = f"{str(name)!r} cannot be {where}: {reason}"
        diagnostics.add(name.mark, "reserved-name", message, "choose another")
    return bool(refused)

"""Building what lasts, without a search for garbage among it."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Let the collector of garbage rest while a batch is read.

    Every object of a batch lasts, and the collector would go through all of them again and again:
    with 5,000 commands, for longer than reading takes. Also a decorator.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

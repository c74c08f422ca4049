"""How much of a long test is done: a share in `make test`, the whole in `make nightly`.

Whole tests that run in `make nightly` alone have the marker `nightly`.
"""

from __future__ import annotations

import os

WHOLE = os.environ.get("OPSLIFECYCLE_TESTS") == "whole"


def whole_or(whole: int, share: int) -> int:
    """Return how often to do something: `whole` times at night, `share` times otherwise."""
    return whole if WHOLE else share

"""Whether tests notice a mutant."""

from __future__ import annotations

import pytest


def has_failed(status: int) -> bool:
    """Return whether a run of pytest failed, by its exit status; it must have run tests."""
    called_wrongly = status in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert not called_wrongly, "pytest was given files that are not there, or have no tests"
    return status != pytest.ExitCode.OK

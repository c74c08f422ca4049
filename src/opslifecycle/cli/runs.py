"""Runs in arguments."""

from __future__ import annotations

from collections.abc import Sequence

import click


def run_named(names: Sequence[str], given: str | None) -> str:
    """Return the run that a part of its name means, or the latest one.

    Raises:
        click.UsageError: None has such a name, or several have.
    """
    matches = [name for name in names if given is None or given in name]
    if not matches or (given is not None and len(matches) > 1):
        raise click.UsageError(f"{given or 'the store'}: {len(matches)} runs are called like this")
    return matches[-1]

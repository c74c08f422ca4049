"""The baseline: committed figures of a verification, so that a review shows when they change."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from opslifecycle_codegen.compat.lock import InvalidLockError
from opslifecycle_codegen.modelcheck.search import Found

Baseline = dict[str, dict[str, int]]


def baseline_path(source: PurePosixPath) -> PurePosixPath:
    """Return the path of a machine's baseline."""
    return source.with_suffix(".baseline.json")


def load(path: Path) -> Baseline:
    """Return a committed baseline; an empty one if there is no file. Raises InvalidLockError."""
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {name: dict(figures) for name, figures in data.items()}
    except (ValueError, AttributeError, TypeError):
        raise InvalidLockError(
            f"{path.name} is no baseline; delete it, then verify with --update-baseline"
        ) from None


def printed(known: Baseline, found: list[Found], scenarios: list[str]) -> str:
    """Return the text of a baseline: the new figures, and the committed ones of other scenarios."""
    now = {each.scenario.name: each.figures() for each in found}
    figures = {
        name: now.get(name, known.get(name)) for name in scenarios if {**known, **now}.get(name)
    }
    return json.dumps(figures, indent=2) + "\n"


def differences(known: Baseline, found: list[Found]) -> list[str]:
    """Return a line for each figure that differs from the baseline."""
    lines = []
    for each in found:
        before, now = known.get(each.scenario.name, {}), each.figures()
        for name in {**before, **now}:
            if before.get(name) != now.get(name):
                was, value = (figures.get(name, "none") for figures in (before, now))
                lines.append(f"{each.scenario.name}: {name}: {was} in the baseline, {value} found")
    return lines

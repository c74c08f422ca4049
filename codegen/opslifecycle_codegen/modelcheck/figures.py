"""The figures of a proof: kept beside the machine, so that a change of them is seen in review."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from opslifecycle_codegen.compat.lock import InvalidLockError
from opslifecycle_codegen.modelcheck.search import Found

Figures = dict[str, dict[str, int]]


def figures_path(source: PurePosixPath) -> PurePosixPath:
    """Return where the figures of a machine are kept."""
    return source.with_suffix(".proof.json")


def load(path: Path) -> Figures:
    """Return the figures that were committed; none if there is no file. Raises InvalidLockError."""
    if not path.exists():
        return {}
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        return {name: dict(figures) for name, figures in data.items()}
    except (ValueError, AttributeError, TypeError):
        raise InvalidLockError(
            f"{path.name} holds no figures; delete it, and record them"
        ) from None


def printed(known: Figures, found: list[Found], slices: list[str]) -> str:
    """The file that holds what was found; of the slices that were not searched, what is known."""
    now = {each.scenario.name: each.figures() for each in found}
    figures = {
        name: now.get(name, known.get(name)) for name in slices if {**known, **now}.get(name)
    }
    return json.dumps(figures, indent=2) + "\n"


def differences(known: Figures, found: list[Found]) -> list[str]:
    """Return where what was found is not what was committed."""
    lines = []
    for each in found:
        before, now = known.get(each.scenario.name, {}), each.figures()
        for name in {**before, **now}:
            if before.get(name) != now.get(name):
                was, value = (figures.get(name, "none") for figures in (before, now))
                lines.append(f"{each.scenario.name}: {name}: {was} recorded, {value} found")
    return lines

"""Stage 6, write: files onto disk, each whole or not at all; or a comparison with it."""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from opslifecycle_codegen.emit.render import MARKER

_DIFF_LINES_MAX = 60


def stale(root: Path, files: Mapping[PurePosixPath, str]) -> dict[PurePosixPath, str]:
    """The files that differ from what is on disk, each with its difference."""
    differences = {}
    for path, text in files.items():
        found = _read(root / path)
        if found != text:
            differences[path] = _difference(str(path), found, text)
    return differences


def orphans(
    root: Path, folders: Iterable[PurePosixPath], files: Iterable[PurePosixPath]
) -> list[PurePosixPath]:
    """Files with our marker that no machine claims any longer."""
    claimed = set(files)
    found = set()
    for folder in folders:
        for path in sorted((root / folder).glob("*")):
            relative = PurePosixPath(path.relative_to(root).as_posix())
            if relative in claimed or path.suffix not in (".py", ".md"):
                continue
            text = _read(path)
            if text is not None and MARKER in text[:400]:
                found.add(relative)
    return sorted(found)


def write(root: Path, files: Mapping[PurePosixPath, str]) -> None:
    """Write every file. All are on disk beside their places before the first takes its place."""
    staged: list[tuple[str, Path]] = []
    try:
        for path, text in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            staged.append((name, target))
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            mode = target.stat().st_mode if target.exists() else 0o644
            os.chmod(name, mode & 0o777)
        for name, target in staged:
            os.replace(name, target)
    finally:
        for name, _ in staged:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def _read(path: Path) -> str | None:
    try:
        # Read as bytes, so that a changed line end is a difference too.
        return path.read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, IsADirectoryError):
        return None


def _difference(path: str, found: str | None, fresh: str) -> str:
    if found is None:
        return f"{path} is missing\n"
    lines = list(
        difflib.unified_diff(
            found.splitlines(keepends=True),
            fresh.splitlines(keepends=True),
            f"{path} (on disk)",
            f"{path} (fresh)",
        )
    )
    more = len(lines) - _DIFF_LINES_MAX
    shown = [line if line.endswith("\n") else f"{line}\n" for line in lines[:_DIFF_LINES_MAX]]
    return "".join(shown) + (f"… and {more} more lines\n" if more > 0 else "")

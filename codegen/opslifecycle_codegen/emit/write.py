"""Stage 6, write: files onto disk, each whole or not at all; or a comparison with it."""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from opslifecycle_codegen.base.config import InvalidConfigError
from opslifecycle_codegen.emit.render import MARKER

_DIFF_LINES_MAX = 60
#: What carries the marker, and how far from its beginning.
_MARKED, _MARKER_WITHIN = (".py", ".md"), 400
#: Folders that hold no files of a project's own.
_FOREIGN_FOLDERS = frozenset({"node_modules", "build", "dist", "__pycache__"})


def stale(root: Path, files: Mapping[PurePosixPath, str]) -> dict[PurePosixPath, str]:
    """The files that differ from what is on disk, each with its difference."""
    differences = {}
    for path, text in files.items():
        found = _read(root / path)
        if found != text:
            differences[path] = _difference(str(path), found, text)
    return differences


def orphans(root: Path, files: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """Files with our marker that no machine claims any longer, wherever in the project."""
    claimed = set(files)
    found = []
    for path in _own_files(root):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        if relative in claimed or path.suffix not in _MARKED:
            continue
        text = _read(path)
        if text is not None and MARKER in text[:_MARKER_WITHIN]:
            found.append(relative)
    return sorted(found)


def _own_files(root: Path) -> Iterator[Path]:
    """The files of a project, without hidden folders and without projects inside it."""
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _FOREIGN_FOLDERS
            and not (here / name / "pyproject.toml").exists()
        ]
        yield from (here / name for name in names)


def refuse_to_overwrite(root: Path, files: Iterable[PurePosixPath]) -> None:
    """Raise InvalidConfigError if a target is not ours: hand-written, a link, or outside."""
    inside = root.resolve()
    for path in files:
        target = root / path
        if target.is_symlink() or not target.parent.resolve().is_relative_to(inside):
            message = f"{path}: generated files do not go through links; replace the link"
            raise InvalidConfigError(message)
        if str(path) == "pyproject.toml":
            raise InvalidConfigError(f"{path}: this is the configuration, not an output")
        found = _read(target) if path.suffix in _MARKED else None
        if found is not None and MARKER not in found[:_MARKER_WITHIN]:
            message = (
                f"{path} was not generated, so it is not overwritten: move it away, or choose"
                " another folder in pyproject.toml"
            )
            raise InvalidConfigError(message)


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
    if found.replace("\r\n", "\n") == fresh:
        advice = "have git check them out as they are: *.py *.md text eol=lf in .gitattributes"
        return f"{path} differs in its line endings alone; {advice}\n"
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

"""Stage 6, write: write files atomically, or compare them with the files on disk."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import hashlib
import json
import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from opslifecycle_codegen.base.config import InvalidConfigError
from opslifecycle_codegen.emit.render import MARKER

_DIFF_LINES_MAX = 60
#: Endings of files with the marker, and its maximum offset.
_MARKED, _MARKER_WITHIN = (".py", ".md"), 400
#: The journal of a run that writes, and the ending of staged files.
_JOURNAL, _FRESH = ".opslifecycle-codegen.journal", ".opslifecycle-codegen-fresh"
#: Folders that contain no files of the project itself: anywhere, and at its top. A package may be
#: called `build`.
_FOREIGN_FOLDERS = frozenset({"node_modules", "__pycache__"})
_FOREIGN_AT_THE_TOP = frozenset({"build", "dist"})


def stale(root: Path, files: Mapping[PurePosixPath, str]) -> dict[PurePosixPath, str]:
    """Return the files that differ from those on disk, each with its difference."""
    differences = {}
    for path, text in files.items():
        found = _read(root / path)
        if found != text:
            differences[path] = _difference(str(path), found, text)
    return differences


def orphans(
    root: Path, files: Iterable[PurePosixPath], owned: Mapping[PurePosixPath, str]
) -> list[PurePosixPath]:
    """Return generated files that no machine produces any longer, anywhere in the project.

    `owned` has the digests of generated files without the marker, as of the last run.
    """
    claimed = set(files)
    found = set()
    for path in own_files(root):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        if relative in claimed or path.suffix not in _MARKED:
            continue
        text = _read(path)
        if text is not None and MARKER in text[:_MARKER_WITHIN]:
            found.add(relative)
    for relative, known in owned.items():
        path = root / relative
        inside = not path.is_symlink() and path.parent.resolve().is_relative_to(root.resolve())
        text = _read(path) if inside and relative not in claimed else None
        if text is not None and digest(text) == known:
            found.add(relative)
    return sorted(found)


def own_files(root: Path) -> Iterator[Path]:
    """Yield the files of a project, without hidden folders and without projects inside it."""
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        foreign = _FOREIGN_FOLDERS | (_FOREIGN_AT_THE_TOP if here == root else frozenset())
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in foreign
            and not (here / name / "pyproject.toml").exists()
        ]
        yield from (here / name for name in names)


def refuse_to_overwrite(
    root: Path, files: Mapping[PurePosixPath, str], owned: Mapping[PurePosixPath, str]
) -> None:
    """Raise InvalidConfigError if a target is hand-written, no file, or behind a link.

    Args:
        root: The folder of the project.
        files: The fresh text of each target.
        owned: The digests of generated files without the marker, as of the last run.
    """
    refuse_obstacles(root, files)
    for path, fresh in files.items():
        target = root / path
        if str(path) == "pyproject.toml":
            raise InvalidConfigError(f"{path}: this is the configuration, not an output")
        found = _read(target)
        if found is None or found == fresh or _is_ours(path, found, owned):
            continue
        changed = path in owned and MARKER not in fresh[:_MARKER_WITHIN]
        why = "was changed since it was generated" if changed else "was not generated"
        raise InvalidConfigError(
            f"{path} {why}, so it is not overwritten: move it away, or choose"
            " another folder in pyproject.toml"
        )


def refuse_obstacles(root: Path, files: Iterable[PurePosixPath]) -> None:
    """Raise InvalidConfigError if a target is behind a link, or in the way of a file or folder.

    Behind a link the same file has two paths, of which the machine claims one: the other would be
    removed as an orphan.
    """
    for path in files:
        for place in (*reversed(path.parents[:-1]), path):
            here, is_target = root / place, place == path
            if here.is_symlink():
                what = "generated files do not go through links; replace the link"
            elif is_target and here.is_dir():
                what = "a file is generated here, and this is a folder; move it away"
            elif not is_target and here.exists() and not here.is_dir():
                what = "files are generated into this folder, and it is none; move it away"
            else:
                continue
            raise InvalidConfigError(f"{place}: {what}")


def _is_ours(path: PurePosixPath, found: str, owned: Mapping[PurePosixPath, str]) -> bool:
    return MARKER in found[:_MARKER_WITHIN] or owned.get(path) == digest(found)


def digest(text: str) -> str:
    """Return the digest that identifies a file without the marker, independent of line endings."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode("utf-8", "replace")).hexdigest()


def write(
    root: Path, files: Mapping[PurePosixPath, str], gone: Iterable[PurePosixPath] = ()
) -> None:
    """Write every file, and remove those in `gone`.

    All texts are on disk beside their places before the first one is renamed. A run that ends
    before the renames leaves the old files. Signals wait until the renames are done. Only SIGKILL
    or a power cut can end a run between two renames; the journal then remains, `interrupted`
    reports it, and the next run writes what is missing (ADR 0023). Runs in one project wait for
    each other.
    """
    removed = list(gone)
    if not (files or removed or interrupted(root)):
        return
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root):
        _clear(root)
        staged = [(root / path, _beside(root / path), text) for path, text in files.items()]
        names = [fresh.relative_to(root).as_posix() for _, fresh, _ in staged]
        (root / _JOURNAL).write_text(json.dumps(names), encoding="utf-8")
        try:
            for target, fresh, text in staged:
                _stage(target, fresh, text)
        except BaseException:
            _clear(root)
            raise
        with _undisturbed():
            for path in removed:
                (root / path).unlink(missing_ok=True)
            for target, fresh, _ in staged:
                os.replace(fresh, target)
            (root / _JOURNAL).unlink()


def interrupted(root: Path) -> bool:
    """Return whether a run ended before it had renamed all its files."""
    return (root / _JOURNAL).exists()


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}{_FRESH}")


def _stage(target: Path, fresh: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Exclusive creation does not follow links.
    with fresh.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
    fresh.chmod((target.stat().st_mode if target.exists() else 0o644) & 0o777)


def _clear(root: Path) -> None:
    """Remove the staged files of an interrupted run, and its journal."""
    journal = root / _JOURNAL
    try:
        names = json.loads(journal.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError:
        # The run ended while it wrote the journal, before it staged a file.
        names = []
    inside = root.resolve()
    for name in names if isinstance(names, list) else []:
        fresh = root / str(name)
        if fresh.name.endswith(_FRESH) and fresh.parent.resolve().is_relative_to(inside):
            fresh.unlink(missing_ok=True)
    journal.unlink()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Deliver signals that can be blocked after the block, so that they cannot end it half-way."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let one run at a time write into a project; a killed run releases the lock."""
    folder = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _read(path: Path) -> str | None:
    try:
        # Read as bytes, so that a changed line ending is a difference, too.
        return path.read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, IsADirectoryError):
        return None


def _difference(path: str, found: str | None, fresh: str) -> str:
    if found is None:
        return f"{path} is missing\n"
    if found.replace("\r\n", "\n") == fresh:
        advice = f"say `*{PurePosixPath(path).suffix} text eol=lf` in .gitattributes"
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

"""The command line: `opslifecycle-codegen generate` and `opslifecycle-codegen check`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import frozen

from opslifecycle_codegen import compare, lock, write
from opslifecycle_codegen.analyze import analyze
from opslifecycle_codegen.compare import Change
from opslifecycle_codegen.config import InvalidConfigError, MachineConfig, load_config
from opslifecycle_codegen.diagnostics import Diagnostics, Finding, InvalidMachineError, Mark
from opslifecycle_codegen.parser import parse
from opslifecycle_codegen.program import Program
from opslifecycle_codegen.reader import read
from opslifecycle_codegen.render import Renderer

_MEND = "opslifecycle-codegen generate"
OK, DRIFT, MISTAKE = 0, 1, 2


@frozen
class Compiled:
    """One machine, compiled: its files, and what changed since its lock."""

    config: MachineConfig
    files: dict[PurePosixPath, str]
    changes: list[Change]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status: 0 done, 1 drift, 2 a mistake."""
    parser = argparse.ArgumentParser(
        prog="opslifecycle-codegen",
        description="Compile lifecycles declared in YAML, as pyproject.toml says.",
    )
    parser.add_argument(
        "--project", type=Path, default=Path(), help="the folder of pyproject.toml (default: here)"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("generate", help="write every generated file")
    commands.add_parser("check", help="compare every generated file with its source; write nothing")
    options = parser.parse_args(arguments)
    try:
        compiled = _compile_all(options.project)
        if options.command == "generate":
            return _generate(options.project, compiled)
        return _check(options.project, compiled)
    except InvalidMachineError as error:
        count = len(error.findings)
        print(error, file=sys.stderr)
        print(f"{count} mistake{'s' if count > 1 else ''}; nothing was written", file=sys.stderr)
    except (InvalidConfigError, lock.InvalidLockError) as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename or options.project}: {error.strerror}", file=sys.stderr)
    return MISTAKE


def _compile_all(project: Path) -> list[Compiled]:
    compiled, findings = [], []
    for config in load_config(project / "pyproject.toml"):
        try:
            compiled.append(_compile(project, config))
        except InvalidMachineError as error:
            findings += error.findings
    if findings:
        raise InvalidMachineError(findings)
    claims: dict[PurePosixPath, MachineConfig] = {}
    for each in compiled:
        for path in each.files:
            if path in claims:
                both = f"{claims[path].source} and {each.config.source}"
                raise InvalidConfigError(f"{both} would both write {path}")
            claims[path] = each.config
    return compiled


def _compile(project: Path, config: MachineConfig) -> Compiled:
    path = str(config.source)
    try:
        source = (project / config.source).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        finding = Finding(Mark(path, 1, 1), "there is no such file", "no-source")
        raise InvalidMachineError([finding]) from None
    tree = read(source, path)
    diagnostics = Diagnostics()
    program = analyze(parse(tree, diagnostics), diagnostics)
    renderer = Renderer(program, config, tree)
    files = renderer.files()
    lock_path = project / config.lock
    changes: list[Change] = []
    if lock_path.exists():
        old = lock.load(lock_path.read_text(encoding="utf-8"), str(config.lock))
        changes = compare.changes(old, renderer.lock)
        for change, hint in _unexplained(program, old, renderer.lock):
            diagnostics.add(program.machine.mark, "breaking-change", change.text, hint)
    diagnostics.stop_if_any()
    return Compiled(config, files, changes)


def _unexplained(
    program: Program, old: dict[str, Any], new: dict[str, Any]
) -> list[tuple[Change, str]]:
    """The breaking changes that no migration answers for, each with what to do."""
    version = program.machine.version
    steps = program.migrations.steps
    if version <= old["version"] or not any(step.version > old["version"] for step in steps):
        hint = (
            f"set version: {old['version'] + 1} and say under `migrations` "
            "what becomes of what users have stored"
        )
        return [(change, hint) for change in compare.changes(old, new) if change.breaking]
    hint = f"say so in the migration to version {version}: renames, removes, adds or refuses"
    left = compare.changes(program.migrations.applied(old, new), new)
    # What breaks source alone is accepted with the migration's reason.
    return [(change, hint) for change in left if change.kind == compare.PERSISTED]


def _generate(project: Path, compiled: list[Compiled]) -> int:
    files = {path: text for each in compiled for path, text in each.files.items()}
    stale = write.stale(project, files)
    write.write(project, {path: files[path] for path in stale})
    gone = _orphans(project, compiled, files)
    for path in gone:
        (project / path).unlink()
    for each in compiled:
        for change in each.changes:
            print(f"{each.config.source}: {change}")
    for path in stale:
        print(f"wrote {path}")
    for path in gone:
        print(f"removed {path}")
    print(f"{len(files)} files of {len(compiled)} machine(s) up to date")
    return OK


def _check(project: Path, compiled: list[Compiled]) -> int:
    files = {path: text for each in compiled for path, text in each.files.items()}
    stale = write.stale(project, files)
    gone = _orphans(project, compiled, files)
    for each in compiled:
        for change in each.changes:
            print(f"{each.config.source}: {change}")
    for difference in stale.values():
        print(difference, end="")
    for path in gone:
        print(f"{path} is generated, but no machine claims it")
    if stale or gone:
        wrong = len(stale) + len(gone)
        print(f"{wrong} of {len(files)} generated files are out of date; run: {_MEND}")
        return DRIFT
    print(f"{len(files)} generated files of {len(compiled)} machine(s) are up to date")
    return OK


def _orphans(
    project: Path, compiled: list[Compiled], files: dict[PurePosixPath, str]
) -> list[PurePosixPath]:
    folders = {folder for each in compiled for folder in each.config.outputs()}
    return write.orphans(project, sorted(folders), files)


if __name__ == "__main__":
    sys.exit(main())

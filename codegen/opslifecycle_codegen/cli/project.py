"""Compile the machines of a project, the first step of every command. Writes nothing."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from attrs import frozen

from opslifecycle_codegen.analysis.analyze import analyze
from opslifecycle_codegen.base.config import InvalidConfigError, MachineConfig, load_config
from opslifecycle_codegen.base.diagnostics import (
    Diagnostics,
    Finding,
    InvalidMachineError,
    Location,
)
from opslifecycle_codegen.compat import compare, lock
from opslifecycle_codegen.compat.compare import Change
from opslifecycle_codegen.compat.lock import Lock
from opslifecycle_codegen.compat.migrations import applied
from opslifecycle_codegen.emit import user_templates, write
from opslifecycle_codegen.emit.render import Renderer
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.source.parser import parse
from opslifecycle_codegen.source.reader import read


@frozen
class Compiled:
    """A compiled machine: its program, its output files, and the changes since its lock."""

    config: MachineConfig
    program: Program
    files: dict[PurePosixPath, str]
    changes: list[Change]
    #: Digests of generated files that have no marker, by path, as of the last run.
    owned: dict[PurePosixPath, str]


def program_of(source: bytes, path: str) -> Program:
    """Return the program of a machine file; raises InvalidMachineError with all its errors."""
    diagnostics = Diagnostics()
    return analyze(parse(read(source, path), diagnostics), diagnostics)


def compile_all(project: Path) -> list[Compiled]:
    """Compile every machine of a project; raises InvalidMachineError with all errors in them."""
    compiled, findings = [], []
    for config in load_config(project / "pyproject.toml"):
        try:
            compiled.append(_compile(project, config))
        except InvalidMachineError as error:
            findings += error.findings
    if findings:
        raise InvalidMachineError(findings)
    owners: dict[PurePosixPath, MachineConfig] = {}
    for each in compiled:
        for path in each.files:
            if path in owners:
                both = f"{owners[path].source} and {each.config.source}"
                raise InvalidConfigError(f"{both} would both write {path}")
            owners[path] = each.config
    return compiled


def _compile(project: Path, config: MachineConfig) -> Compiled:
    path = str(config.source)
    try:
        source = (project / config.source).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        finding = Finding(Location(path, 1, 1), "there is no such file", "no-source")
        raise InvalidMachineError([finding]) from None
    tree = read(source, path)
    diagnostics = Diagnostics()
    program = analyze(parse(tree, diagnostics), diagnostics)
    renderer = Renderer(program, config, tree)
    files = renderer.files()
    if config.templates is not None and config.output is not None:
        sources = _templates(project, config.templates)
        own = user_templates.rendered(sources, config.output, program, renderer.digest)
        twice = sorted(own.keys() & files.keys())
        if twice:
            message = f"{config.templates} has a template that would replace {twice[0]}"
            raise InvalidConfigError(f"{message}; give it another name")
        files |= own
        printed = {str(path): write.digest(text) for path, text in own.items()}
        files[config.lock] = lock.dump({**renderer.lock, "outputs": printed})
    lock_path = project / config.lock
    changes: list[Change] = []
    owned: dict[PurePosixPath, str] = {}
    if lock_path.exists():
        text = lock_path.read_text(encoding="utf-8")
        old = lock.load(text, str(config.lock))
        owned = {config.lock: write.digest(text), **lock.outputs(old, str(config.lock))}
        changes = compare.changes(old, renderer.lock)
        published = not old.get(lock.DRAFT, False)
        if published and program.machine.status == lock.DRAFT:
            message = f"{config.lock} was published: what it describes may be stored somewhere"
            hint = "remove `status: draft`, and declare migrations for changes of stored data"
            diagnostics.add(program.machine.status.mark, "published", message, hint)
        for change, hint in () if not published else _unexplained(program, old, renderer.lock):
            diagnostics.add(program.machine.mark, "breaking-change", change.text, hint)
    else:
        _refuse_moved_lock(project, config, str(program.machine.machine))
    diagnostics.stop_if_any()
    return Compiled(config, program, files, changes, owned)


def _refuse_moved_lock(project: Path, config: MachineConfig, machine: str) -> None:
    """Raise InvalidConfigError if a machine has no lock, and its lock is in another folder."""
    for path in write.own_files(project):
        if not path.name.endswith(lock.SUFFIX):
            continue
        try:
            found = lock.load(path.read_text(encoding="utf-8"), str(path))
        except (lock.InvalidLockError, UnicodeDecodeError):
            continue
        if found.get("machine") == machine:
            elsewhere = path.relative_to(project).as_posix()
            message = f"{elsewhere} is the lock of {machine}, which the configuration has at"
            hint = "move it there, so that changes are still compared with what is stored"
            raise InvalidConfigError(f"{message} {config.lock}: {hint}")


def _templates(project: Path, folder: PurePosixPath) -> dict[PurePosixPath, str]:
    """Return the templates in a folder, in the order of their names; raises InvalidMachineError."""
    found = sorted((project / folder).glob(f"*{user_templates.SUFFIX}"))
    if not found:
        message = f"there is no template *{user_templates.SUFFIX} in this folder"
        raise InvalidMachineError([Finding(Location(str(folder), 1, 1), message, "template-error")])
    return {folder / path.name: path.read_text(encoding="utf-8") for path in found}


def _unexplained(program: Program, old: Lock, new: Lock) -> list[tuple[Change, str]]:
    """Return the breaking changes that no migration covers, each with the fix."""
    version = program.machine.version
    steps = program.migrations.steps
    if version <= old["version"] or not any(step.version > old["version"] for step in steps):
        hint = (
            f"set version: {old['version'] + 1} and say under `migrations` "
            "what becomes of stored data; if there is none to read again, delete the lock "
            "file and the generated package"
        )
        return [(change, hint) for change in compare.changes(old, new) if change.breaking]
    hint = f"say so in the migration to version {version}: renames, removes, adds or refuses"
    left = compare.changes(applied(program.migrations, old, new), new)
    # A migration's reason accepts changes that break source code alone.
    return [
        (change, hint)
        for change in left
        if change.kind == compare.PERSISTED
        and not any(change.rule in s.accepts for s in steps if s.version > old["version"])
    ]

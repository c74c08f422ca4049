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
    nearest,
)
from opslifecycle_codegen.cli.locking import SEVERAL, Reset, compare_with_lock
from opslifecycle_codegen.compat import lock
from opslifecycle_codegen.compat.compare import Change
from opslifecycle_codegen.emit import user_templates, write
from opslifecycle_codegen.emit.render import Renderer
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck.sampling import sampled
from opslifecycle_codegen.source.meaning import digest
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
    #: The resets of its lock, oldest first.
    resets: list[lock.Reset]


def program_of(source: bytes, path: str) -> Program:
    """Return the program of a machine file; raises InvalidMachineError with all its errors."""
    diagnostics = Diagnostics()
    return analyze(parse(read(source, path), diagnostics), diagnostics)


def compile_all(project: Path, reset: Reset | None = None) -> list[Compiled]:
    """Compile every machine of a project; raises InvalidMachineError with all errors in them."""
    configs = load_config(project / "pyproject.toml")
    if reset is not None and reset.machine is None and len(configs) > 1:
        raise InvalidConfigError(SEVERAL)
    compiled, findings = [], []
    for config in configs:
        try:
            compiled.append(_compile(project, config, reset))
        except InvalidMachineError as error:
            findings += error.findings
    if findings:
        raise InvalidMachineError(findings)
    if reset is not None and not any(reset.names(each.program) for each in compiled):
        known = [str(each.program.machine.machine) for each in compiled]
        hint = nearest(str(reset.machine), known)
        raise InvalidConfigError(f"there is no machine {reset.machine!r}; {hint}")
    owners: dict[PurePosixPath, MachineConfig] = {}
    for each in compiled:
        for path in each.files:
            if path in owners:
                both = f"{owners[path].source} and {each.config.source}"
                raise InvalidConfigError(f"{both} would both write {path}")
            owners[path] = each.config
    return compiled


def _compile(project: Path, config: MachineConfig, reset: Reset | None) -> Compiled:
    path = str(config.source)
    file = project / config.source
    if not file.is_file():
        # What is no regular file, such as a pipe, may never end.
        message = "this is no file" if file.exists() else "there is no such file"
        raise InvalidMachineError([Finding(Location(path, 1, 1), message, "no-source")])
    source = file.read_bytes()
    diagnostics = Diagnostics()
    machine = parse(read(source, path), diagnostics)
    program = analyze(machine, diagnostics)
    renderer = Renderer(program, config, digest(machine), sampled(program))
    found = compare_with_lock(project, config, program, renderer.lock, diagnostics, reset)
    diagnostics.stop_if_any()
    files = renderer.files(found.resets)
    extra: dict[str, object] = {}
    if found.resets:
        extra[lock.RESETS] = found.resets
    if config.templates is not None and config.output is not None:
        sources = _templates(project, config.templates)
        own = user_templates.rendered(sources, config.output, program, renderer.digest)
        twice = sorted(own.keys() & files.keys())
        if twice:
            message = f"{config.templates} has a template that would replace {twice[0]}"
            raise InvalidConfigError(f"{message}; give it another name")
        files |= own
        extra["outputs"] = {str(path): write.digest(text) for path, text in own.items()}
    files[config.lock] = lock.dump({**renderer.lock, **extra})
    return Compiled(config, program, files, found.changes, found.owned, found.resets)


def _templates(project: Path, folder: PurePosixPath) -> dict[PurePosixPath, str]:
    """Return the templates in a folder, in the order of their names; raises InvalidMachineError."""
    found = sorted((project / folder).glob(f"*{user_templates.SUFFIX}"))
    if not found:
        message = f"there is no template *{user_templates.SUFFIX} in this folder"
        raise InvalidMachineError([Finding(Location(str(folder), 1, 1), message, "template-error")])
    return {folder / path.name: path.read_text(encoding="utf-8") for path in found}

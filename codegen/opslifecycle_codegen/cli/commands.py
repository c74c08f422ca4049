"""The commands of the command line, each a function of its options."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace as Options
from pathlib import Path, PurePosixPath

from opslifecycle_codegen.base.config import InvalidConfigError, load_config
from opslifecycle_codegen.base.diagnostics import InvalidMachineError, nearest
from opslifecycle_codegen.cli.locking import SEVERAL, Reset, lock_lines
from opslifecycle_codegen.cli.project import Compiled, compile_all
from opslifecycle_codegen.cli.report import report_findings
from opslifecycle_codegen.compat.lock import InvalidLockError
from opslifecycle_codegen.emit import write

_MEND = "opslifecycle-codegen generate"
_LOOK_SECONDS = 0.3
OK, DRIFT, MISTAKE, BREAK, UNFINISHED = 0, 1, 2, 3, 4
#: The exit status of a shell's programs that SIGPIPE ended.
READER_GONE = 141


def run(options: Options) -> int:
    """Run the command that was chosen, report its errors, and return the exit status."""
    try:
        status = FUNCTIONS[options.command](options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would report the rest of the output as lost when it ends.
        with Path(os.devnull).open("w", encoding="utf-8") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        return READER_GONE
    except InvalidMachineError as error:
        report_findings(error.findings, options.project, options.format)
        if options.format == "text":
            count = len(error.findings)
            print(
                f"{count} mistake{'s' if count > 1 else ''}; nothing was written", file=sys.stderr
            )
    except (InvalidConfigError, InvalidLockError) as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename or options.project}: {error.strerror}", file=sys.stderr)
    else:
        return status
    return MISTAKE


def generate(options: Options) -> int:
    """Write every file that is out of date, and remove generated files of no machine."""
    return _generate(options.project)


def _generate(project: Path, reset: Reset | None = None) -> int:
    compiled = compile_all(project, reset)
    files = _files(compiled)
    owned = {path: digest for each in compiled for path, digest in each.owned.items()}
    write.refuse_to_overwrite(project, files, owned)
    stale = write.stale(project, files)
    gone = write.orphans(project, files, owned)
    write.write(project, {path: files[path] for path in stale}, gone)
    _report_changes(compiled)
    for path in stale:
        print(f"wrote {path}")
    for path in gone:
        print(f"removed {path}")
    print(f"{len(files)} files of {len(compiled)} machine(s) up to date")
    return OK


def check(options: Options) -> int:
    """Compare every file with the output of its machine; writes nothing."""
    compiled = compile_all(options.project)
    files = _files(compiled)
    write.refuse_obstacles(options.project, files)
    stale = write.stale(options.project, files)
    owned = {path: digest for each in compiled for path, digest in each.owned.items()}
    gone = write.orphans(options.project, files, owned)
    cut = write.interrupted(options.project)
    _report_changes(compiled)
    for difference in stale.values():
        print(difference, end="")
    for path in gone:
        print(f"{path} is generated, but no machine claims it")
    if cut:
        print(f"a run that wrote files was interrupted; run: {_MEND}")
    if stale or gone:
        wrong = len(stale) + len(gone)
        print(f"{wrong} of {len(files)} generated files are out of date; run: {_MEND}")
        return DRIFT
    if cut:
        return DRIFT
    print(f"{len(files)} generated files of {len(compiled)} machine(s) are up to date")
    return OK


def lock(options: Options) -> int:
    """Print what each lock is of, or begin one anew and generate."""
    if not options.reset:
        for each in _chosen(options):
            print("\n".join(lock_lines(each.config.lock, each.program, each.resets)))
        return OK
    reason = " ".join((options.reason or "").split())
    if not reason:
        example = "lock --reset --reason 'every store was a trial'"
        raise InvalidConfigError(f"a reset needs the reason why no store is read again: {example}")
    return _generate(options.project, Reset(reason, options.machine))


def watch(options: Options) -> int:
    """Generate each time a machine or the configuration changes, until interrupted."""
    seen: dict[Path, int] = {}
    try:
        while True:
            now = _times(options.project)
            if now != seen:
                seen = now
                _generate_once(options)
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        return OK


def _generate_once(options: Options) -> None:
    """Generate, and report mistakes without raising."""
    try:
        _generate(options.project)
    except InvalidMachineError as error:
        report_findings(error.findings, options.project, options.format)
    except InvalidConfigError as error:
        print(f"error: {error}")


def _times(project: Path) -> dict[Path, int]:
    pyproject = project / "pyproject.toml"
    paths = [pyproject]
    try:
        paths += [project / each.source for each in load_config(pyproject)]
    except InvalidConfigError:
        pass
    return {path: path.stat().st_mtime_ns for path in paths if path.exists()}


def explain(options: Options) -> int:
    """Print the description of a machine or of one status."""
    from opslifecycle_codegen.cli.explain import explained, explained_status

    for each in _chosen(options):
        if options.status is None:
            print(explained(each.program))
            continue
        program = each.program
        statuses = [
            s for group in ("live", "terminal") for s in program.symbols.status_groups[group]
        ]
        if options.status not in statuses:
            hint = nearest(options.status, statuses)
            raise InvalidConfigError(f"there is no status {options.status!r}; {hint}")
        print(explained_status(program, options.status))
    return OK


def diagram(options: Options) -> int:
    """Print a machine's diagram as Mermaid text, or draw it with Graphviz."""
    from opslifecycle_codegen.emit.diagram import draw, mermaid

    chosen = _chosen(options)
    if options.svg is None:
        for each in chosen:
            print("\n".join(mermaid(each.program)))
        return OK
    if len(chosen) > 1:
        raise InvalidConfigError(SEVERAL)
    draw(chosen[0].program, options.svg)
    print(f"wrote {options.svg}")
    return OK


def verify(options: Options) -> int:
    """Search all states of a machine's scenarios for a violated property."""
    from opslifecycle_codegen.cli import verify as verifying

    wrong, unfinished = verifying.verify(_chosen(options), options)
    return DRIFT if wrong else UNFINISHED if unfinished else OK


def export(options: Options) -> int:
    """Print a scenario of a machine for another model checker."""
    from opslifecycle_codegen.cli import verify as verifying

    chosen = _chosen(options)
    if len(chosen) > 1:
        raise InvalidConfigError(SEVERAL)
    print(verifying.exported(chosen[0], options.scenario, options.to), end="")
    return OK


def diff(options: Options) -> int:
    """Print the changes between two versions of a machine, and whom each breaks."""
    from opslifecycle_codegen.cli.versions import machine_at, report
    from opslifecycle_codegen.compat.versions import compared

    old, new = (machine_at(options.project, place) for place in (options.old, options.new))
    verdict = compared(old, new)
    report(verdict, options.format)
    return BREAK if verdict.broken else OK


def schema(options: Options) -> int:
    """Print the JSON Schema of machine files, for editors."""
    import json

    from opslifecycle_codegen.emit.schema import schema as schema_of

    print(json.dumps(schema_of(), indent=2))
    return OK


def format_machines(options: Options) -> int:
    """Format machine files; their content stays the same."""
    from opslifecycle_codegen.source.format import format_yaml

    late: list[PurePosixPath] = []
    for config in load_config(options.project / "pyproject.toml"):
        path = options.project / config.source
        before = path.read_bytes()
        after = format_yaml(before, str(config.source))
        if after == before:
            continue
        late.append(config.source)
        if not options.check:
            write.write(options.project, {config.source: after.decode("utf-8")})
    for source in late:
        print(f"{'would format' if options.check else 'formatted'} {source}")
    return DRIFT if late and options.check else OK


def init(options: Options) -> int:
    """Write a new project: a small machine with comments, its configuration and a first test."""
    from opslifecycle_codegen.cli.scaffold import begin

    for path in begin(options.project, options.name):
        print(f"wrote {path}")
    return _generate(options.project)


def _files(compiled: list[Compiled]) -> dict[PurePosixPath, str]:
    return {path: text for each in compiled for path, text in each.files.items()}


def _report_changes(compiled: list[Compiled]) -> None:
    for each in compiled:
        for change in each.changes:
            print(f"{each.config.source}: {change}")


def _chosen(options: Options) -> list[Compiled]:
    """Return the named machine, or all machines."""
    compiled = compile_all(options.project)
    if options.machine is None:
        return compiled
    chosen = [each for each in compiled if each.program.machine.machine == options.machine]
    if not chosen:
        known = [str(each.program.machine.machine) for each in compiled]
        raise InvalidConfigError(
            f"there is no machine {options.machine!r}; {nearest(options.machine, known)}"
        )
    return chosen


#: By the name of the command.
FUNCTIONS = {
    "init": init,
    "generate": generate,
    "check": check,
    "lock": lock,
    "watch": watch,
    "explain": explain,
    "diagram": diagram,
    "verify": verify,
    "export": export,
    "diff": diff,
    "schema": schema,
    "fmt": format_machines,
}

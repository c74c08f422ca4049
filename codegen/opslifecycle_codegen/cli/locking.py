"""Compare a machine with its lock, and begin a lock anew where no stored data is read again."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from attrs import Factory, frozen

from opslifecycle_codegen.base.config import InvalidConfigError, MachineConfig
from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.compat import compare, lock, renames
from opslifecycle_codegen.compat.compare import Change
from opslifecycle_codegen.compat.limits import FLATTENED
from opslifecycle_codegen.compat.lock import Lock
from opslifecycle_codegen.compat.migrations import applied, renamed
from opslifecycle_codegen.emit import write
from opslifecycle_codegen.ir.program import Program

SEVERAL = "several machines: say which one with --machine"


@frozen
class Reset:
    """A request to begin the lock of a machine anew: the machine, if one is named, and why."""

    reason: str
    machine: str | None = None

    def names(self, program: Program) -> bool:
        """Return whether the request is for the lock of a program."""
        return self.machine in (None, program.machine.machine)


@frozen
class LockComparison:
    """What a lock says about a machine that has one: its changes, and what the lock goes on with.

    Attributes:
        changes: The changes since the lock.
        owned: Digests of generated files that have no marker, by path, as of the last run.
        resets: The resets of the lock, with a requested one.
    """

    changes: list[Change] = Factory(list)
    owned: dict[PurePosixPath, str] = Factory(dict)
    resets: list[lock.Reset] = Factory(list)


def compare_with_lock(
    project: Path,
    config: MachineConfig,
    program: Program,
    fresh: Lock,
    diagnostics: Diagnostics,
    reset: Reset | None,
) -> LockComparison:
    """Compare a machine with its lock, and report the changes that break stored data.

    Args:
        project: The folder of the project.
        config: The configuration of the machine.
        program: The machine.
        fresh: Its lock as of now.
        diagnostics: Where breaking changes are reported.
        reset: A request to begin the lock anew; None for none.

    Raises:
        InvalidLockError: The lock cannot be read.
        InvalidConfigError: The machine's lock is in another folder, or cannot be reset.
    """
    path = project / config.lock
    asked = reset is not None and reset.names(program)
    if not path.exists():
        if asked:
            raise InvalidConfigError(f"there is no {config.lock} to reset; run generate")
        _refuse_moved_lock(project, config, str(program.machine.machine))
        return LockComparison()
    text = path.read_text(encoding="utf-8")
    old = lock.load(text, str(config.lock))
    owned = {config.lock: write.digest(text), **lock.outputs(old, str(config.lock))}
    resets = lock.resets(old, str(config.lock))
    changes = _changes(program, old, fresh)
    if reset is not None and asked:
        _refuse_reset(config, program, old, changes)
        added: lock.Reset = {"from": old["version"], "to": fresh["version"], "reason": reset.reason}
        return LockComparison(changes, owned, [*resets, added])
    if not old.get(lock.DRAFT, False):
        _report_breaking(config, program, old, fresh, diagnostics)
    return LockComparison(changes, owned, resets)


def lock_lines(path: PurePosixPath, program: Program, resets: list[lock.Reset]) -> list[str]:
    """Return the description of a lock that is up to date."""
    machine = program.machine
    state = "a draft, whose lock protects nothing" if machine.status == lock.DRAFT else "published"
    begun = [f"  reset from version {r['from']} to {r['to']}: {r['reason']}" for r in resets]
    return [f"{path}: {machine.machine} version {machine.version}, {state}", *begun]


def _changes(program: Program, old: Lock, fresh: Lock) -> list[Change]:
    """Return the changes since a lock, with declared renames as such."""
    names = renames.renames_since(old["version"], program.migrations)
    before = renamed(program.migrations, old, fresh)
    return [*renames.of_lock(old, names), *compare.changes(before, fresh)]


def _report_breaking(
    config: MachineConfig, program: Program, old: Lock, fresh: Lock, diagnostics: Diagnostics
) -> None:
    """Report what a published lock forbids."""
    if program.machine.status == lock.DRAFT:
        message = f"{config.lock} was published: what it describes may be stored somewhere"
        hint = "remove `status: draft`, and declare migrations for changes of stored data"
        diagnostics.add(program.machine.status.mark, "published", message, hint)
    for change, hint in _unexplained(program, old, fresh):
        diagnostics.add(program.machine.mark, "breaking-change", change.text, hint)


def _unexplained(program: Program, old: Lock, new: Lock) -> list[tuple[Change, str]]:
    """Return the breaking changes that no migration covers, each with the fix."""
    version = program.machine.version
    steps = program.migrations.steps
    if version <= old["version"] or not any(step.version > old["version"] for step in steps):
        first = "" if version > old["version"] else f"set version: {old['version'] + 1} and "
        hint = (
            f"{first}say under `migrations` what becomes of stored data; "
            "if none has to be read again, also run: "
            "opslifecycle-codegen lock --reset --reason '…'"
        )
        return [(c, or_refuses(c, hint)) for c in compare.changes(old, new) if c.breaking]
    hint = f"say so in the migration to version {version}: renames, removes, adds or refuses"
    left = compare.changes(applied(program.migrations, old, new), new)
    # A migration's reason accepts changes that break source code alone.
    return [
        (change, or_refuses(change, hint))
        for change in left
        if change.kind == compare.PERSISTED
        and not any(change.rule in s.accepts for s in steps if s.version > old["version"])
    ]


def or_refuses(change: Change, hint: str) -> str:
    """Return the fix of a change: of one that no migration covers, the two that are left."""
    if change.rule in compare.ACCEPTED:
        return f"{hint}, or accept it with a reason: `accepts: {{{change.rule}: …}}`"
    of_no_other = change.rule in ("tag-changed", "terminal-gained", "terminal-lost")
    of_no_other = of_no_other or change.rule == "milestone-lost"
    of_no_other = of_no_other or "fields.terminal_outcome was " in change.text
    if not of_no_other and FLATTENED not in change.text:
        return hint
    return (
        "take it back, or set a higher version with a migration that says `refuses: true`: no "
        "other migration covers it, and stores of older versions can then not be opened"
    )


def _refuse_reset(
    config: MachineConfig, program: Program, old: Lock, changes: list[Change]
) -> None:
    """Raise InvalidConfigError if stores of the older form could be opened after a reset."""
    machine, before = program.machine, old["version"]
    if old.get(lock.DRAFT, False):
        raise InvalidConfigError(f"{config.lock} is of a draft and protects nothing; run generate")
    if machine.status != lock.DRAFT and not any(change.breaking for change in changes):
        raise InvalidConfigError(f"{config.lock} forbids none of the changes; run generate")
    if machine.version <= before:
        raise InvalidConfigError(
            f"{config.source}: a reset needs a new version, so that a store of version {before} is"
            f" refused and not misread; set version: {before + 1}"
        )
    if program.migrations.steps:
        raise InvalidConfigError(
            f"{config.source}: after a reset no older store is read, but the machine declares"
            " migrations; remove `migrations`"
        )


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

"""The faults that befall a run of a batch; after each the run is over and compared."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

from tests.support.chaos.batch import BatchRun
from tests.support.chaos.cli import cli
from tests.support.chaos.places import (
    fill,
    is_small,
    locked,
    may_be_another_user,
    open_to_all,
    read_as_another_user,
)
from tests.support.chaos.verdict import require

Fault = Callable[[BatchRun], None]
#: The exit status of a run whose store cannot be used from the start, or has failed for good.
_UNUSABLE, _NOT_RECORDED = 2, 3


def kill(run: BatchRun) -> None:
    """End the runner at any moment."""
    run.kill()
    run.end(disturbed=True)


def interrupt(run: BatchRun) -> None:
    """Ask the runner to end, as Ctrl-C, a terminal that goes away or a service manager does."""
    run.disturb()
    run.signal(run.chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))
    run.end(disturbed=True)


def stop(run: BatchRun) -> None:
    """Suspend the runner for a while, and compare what readers show meanwhile."""
    if run.stop():
        run.verify(owner_lives=True)
        run.hear(_seconds(run, run.limits.stop_max))
        if run.chance.random() < 0.3:
            kill(run)
            return
        run.signal(signal.SIGCONT)
    run.end(disturbed=False)


def lock(run: BatchRun) -> None:
    """Hold the write lock of the store for a while."""
    if run.store.exists():
        with locked(run.store, run.limits.deadline):
            run.hear(_seconds(run, run.limits.lock_max))
            if run.chance.random() < 0.2:
                run.kill()
    run.end(disturbed=run.is_killed, may_refuse=True)


def full(run: BatchRun) -> None:
    """Fill the disk under the runner, and free it after a while."""
    filling = fill(run.folder)
    try:
        run.hear(_seconds(run, run.limits.full_max))
        if run.chance.random() < 0.2:
            run.kill()
    finally:
        filling.unlink()
    run.end(disturbed=run.is_killed, may_refuse=True)


def delete(run: BatchRun) -> None:
    """Delete the store under the runner, which must end, and put nothing in its place."""
    if not run.store.exists():
        run.end(disturbed=False)
        return
    run.disturb()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{run.store}{suffix}").unlink(missing_ok=True)
    was_over = run.process.poll() is not None
    run.await_end()
    ends = (0, 1, _UNUSABLE, _NOT_RECORDED)
    status = run.process.returncode
    require(was_over or status in ends, "wrong", f"the run has ended with {status}")
    require(not run.store.exists(), "wrong", "a store was made in the place of a deleted one")
    while run.readers:
        run.readers[-1].verify_end(run.limits.deadline)
        run.readers.pop()
    run.model.forget()


def closed_output(run: BatchRun) -> None:
    """Go away as the reader of the output; the run goes on."""
    run.close_output()
    run.end(disturbed=False)


def other_user(run: BatchRun) -> None:
    """Have another user read the store."""
    if run.chance.random() < 0.5:
        open_to_all(run.folder)
    done = read_as_another_user(run.store)
    require("Traceback" not in done.stderr, "traceback", done.stderr)
    told = done.returncode == 0 or done.stderr.startswith("error: ")
    require(told, "wrong", f"another user was told {done.stderr}")
    run.end(disturbed=False)


def cancel(run: BatchRun) -> None:
    """Ask for the end of one command, from another process."""
    rows = run.rows()
    live = [row for row in rows if row["display_name"] in run.current and not row["terminal"]]
    if live:
        row = run.chance.choice(live)
        run.model.disturbed.add(row["display_name"])
        cli("cancel", row["id"], store=run.store, deadline=run.limits.deadline)
    run.end(disturbed=True)


def calm(run: BatchRun) -> None:
    """Compare what a reader shows while the batch runs, and await its end."""
    run.verify_running()
    run.end(disturbed=False)
    collect(run)


def collect(run: BatchRun) -> None:
    """Collect what has ended, and compare what is printed with what was shown."""
    run.verify(owner_lives=False)
    if not run.store.exists():
        return
    done = cli("collect", store=run.store, deadline=run.limits.deadline)
    require(done.returncode == 0, "wrong", f"collect has failed: {done.stderr}")
    run.model.verify_collected(json.loads(line) for line in done.stdout.splitlines())
    require(not run.rows(), "duplicated", "what was collected is shown again")
    run.counts["collects"] += 1


FAULTS: dict[str, tuple[int, Fault]] = {
    "run: kill": (5, kill),
    "run: interrupt": (3, interrupt),
    "run: stop": (3, stop),
    "run: lock": (3, lock),
    "run: full": (3, full),
    "run: delete": (1, delete),
    "run: closed output": (2, closed_output),
    "run: cancel": (2, cancel),
    "run: other user": (1, other_user),
    "run: none": (2, calm),
}


def possible(run: BatchRun) -> dict[str, int]:
    """Return the faults that this machine allows, with their weights."""
    weights = {name: weight for name, (weight, _) in FAULTS.items()}
    if not is_small(run.folder):
        del weights["run: full"]
    if not may_be_another_user():
        del weights["run: other user"]
    return weights


def _seconds(run: BatchRun, seconds_max: float) -> float:
    # Mostly short, now and then as long as may be.
    return float(seconds_max * run.chance.random() ** 3)

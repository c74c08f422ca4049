"""Commands that look into a store from other processes, and ask its owners for something."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click
from opslifecycle import (
    OperationKind,
    OperationStatus,
    Registry,
    SqliteStore,
)
from opslifecycle import unstructure as to_json
from opslifecycle.cli.records import (
    INTERRUPTED,
    Found,
    age,
    milliseconds,
    operations,
    reader,
    resolve,
    shortened,
)
from opslifecycle.cli.stores import store_option, told_errors
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.stores.sqlite.admin import forget
from opslifecycle.stores.sqlite.inbox import Inbox
from opslifecycle.stores.sqlite.reader import StoredRegistry
from opslifecycle.values.conversion import data_of
from rich.console import Console
from rich.table import Table
from rich.text import Text

from opslifecycle.operations import INVARIANTS, OperationAuthority
from opslifecycle.operations.storage import record_of, restore
from opslifecycle.operations.views import entry_of

_LOOK_SECONDS = 0.2
_TIMED_OUT = 124
_STATUSES = [status.value for status in OperationStatus if status is not OperationStatus.ABSENT]


class _Age(click.ParamType[int]):
    name = "age"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        found = value if isinstance(value, int) else milliseconds(str(value))
        if found is None:
            self.fail(f"{value!r}: expected a duration such as 30s, 10m, 2h or 1d", param, ctx)
        return found


@click.command()
@store_option
@click.option("--status", type=click.Choice([*_STATUSES, INTERRUPTED]), multiple=True)
@click.option("--kind", type=click.Choice([kind.value for kind in OperationKind]))
@click.option("--younger-than", type=_Age(), help="Registered since: 30s, 10m, 2h, 1d.")
@click.option("--older-than", type=_Age(), help="Registered before: 30s, 10m, 2h, 1d.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def ls(
    store: Path,
    status: tuple[str, ...],
    kind: str | None,
    younger_than: int | None,
    older_than: int | None,
    as_json: bool,
) -> None:
    """List the operations in a store, the oldest first."""
    with told_errors():
        found = operations(reader(store).all())
        short = shortened(each.id for each in found)
        chosen = [
            each
            for each in found
            if (not status or each.status in status)
            and (kind is None or each.snapshot.kind.value == kind)
            and (younger_than is None or each.age_ms() <= younger_than)
            and (older_than is None or each.age_ms() >= older_than)
        ]
        if as_json:
            for each in chosen:
                _print_json(each)
            return
        _print_table(chosen, short)


def _print_json(found: Found) -> None:
    print(json.dumps(found.shown(), ensure_ascii=False))


def _print_table(found: list[Found], short: dict[str, str]) -> None:
    grid = Table(box=None, padding=(0, 2, 0, 0))
    widths = {"id": max(map(len, short.values()), default=2), "status": 12, "age": 4, "lines": 6}
    for column, width in widths.items():
        grid.add_column(column, no_wrap=True, width=width)
    for column in ("command", "reason"):
        grid.add_column(column, no_wrap=True, overflow="ellipsis")
    for each in found:
        values = (
            short[each.id], each.status, age(each.age_ms()), str(each.snapshot.progress_count),
            each.name, (each.reason.splitlines() or [""])[0],
        )  # fmt: skip
        grid.add_row(*(Text(value) for value in values))
    Console(highlight=False).print(grid)


@click.command()
@store_option
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def show(store: Path, id: str, as_json: bool) -> None:
    """Show everything about one operation; ID may be shortened."""
    with told_errors():
        found = resolve(operations(reader(store).all()), id)
        if as_json:
            _print_json(found)
            return
        shown = found.shown()
        shown["holder"] = found.holder or "nobody: its process is gone or has ended"
        for key, value in shown.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            print(f"{key}: {text}")


@click.command()
@store_option
@click.option("--run", "name", help="Which run; its name may be shortened. [default: the latest]")
@click.option(
    "--after", type=click.IntRange(0), default=0, help="Only entries after this sequence."
)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
def tail(store: Path, name: str | None, after: int, follow: bool) -> None:
    """Print a run's completion feed, one JSON object a line."""
    with told_errors():
        source = reader(store)
        chosen = _run_named(source.names(), name)
        while True:
            registry = source.registry(chosen)
            dropped_through = _dropped_through(registry)
            if after < dropped_through:
                print(f"gap: entries {after + 1} to {dropped_through} are gone", file=sys.stderr)
                after = dropped_through
            for sequence, (id, body) in registry.stored.rows.items():
                if sequence > after:
                    after = sequence
                    entry = to_json(entry_of(record_of(id, body)))
                    print(json.dumps(entry, ensure_ascii=False), flush=True)
            if not follow or registry.holder is None:
                return
            time.sleep(_LOOK_SECONDS)


def _run_named(names: list[str], given: str | None) -> str:
    matches = [name for name in names if given is None or given in name]
    if not matches or (given is not None and len(matches) > 1):
        raise click.UsageError(f"{given or 'the store'}: {len(matches)} runs are called like this")
    return matches[-1]


@click.command()
@store_option
@click.argument("ids", nargs=-1, required=True)
@click.option("--timeout", type=click.FloatRange(0), help="Seconds; the exit status is then 124.")
@click.pass_context
def wait(ctx: click.Context, store: Path, ids: tuple[str, ...], timeout: float | None) -> None:
    """Wait until operations have ended: 0 if all completed, 1 if one did not."""
    with told_errors():
        source = reader(store)
        found = operations(source.all())
        wanted = {each.id: each.registry for each in (resolve(found, id) for id in ids)}
        deadline = None if timeout is None else SYSTEM_CLOCK.monotonic_ms() + timeout * 1000
        while True:
            held = operations(source.registry(name) for name in set(wanted.values()))
            chosen = [each for each in held if each.id in wanted]
            if all(each.ended or each.status == INTERRUPTED for each in chosen):
                break
            if deadline is not None and SYSTEM_CLOCK.monotonic_ms() >= deadline:
                ctx.exit(_TIMED_OUT)
            time.sleep(_LOOK_SECONDS)
        for each in chosen:
            print(f"{each.status:<12}{each.name}")
        completed = OperationStatus.COMPLETED.value
        ctx.exit(0 if all(each.status == completed for each in chosen) else 1)


@click.command()
@store_option
@click.argument("ids", nargs=-1, required=True)
@click.pass_context
def cancel(ctx: click.Context, store: Path, ids: tuple[str, ...]) -> None:
    """Ask the owners of operations to cancel them; asking again is fine."""
    with told_errors():
        found = operations(reader(store).all())
        chosen = [resolve(found, id) for id in ids]
        gone = [each for each in chosen if each.status == INTERRUPTED]
        for each in chosen:
            if each.ended:
                print(f"{each.name}: {each.status} already")
            elif each not in gone:
                Inbox(store).ask(each.registry, each.id, "cancelled on request")
                print(f"{each.name}: asked {each.holder}")
        for each in gone:
            print(f"error: {each.name}: its process is gone, nothing runs", file=sys.stderr)
        ctx.exit(1 if gone else 0)


@click.command()
@store_option
@click.option("--forget", "forgets", is_flag=True, help="Forget the runs, too, with their feeds.")
def collect(store: Path, forgets: bool) -> None:
    """Hand over what has ended in runs that nobody owns any longer, and erase it."""
    with told_errors():
        for name in reader(store).names():
            if reader(store).registry(name).holder is not None:
                continue
            # What was asked of a run that ended first is of no use to anybody.
            Inbox(store).take(name)
            with Registry(store=SqliteStore(store, registry=name)) as registry:
                for id, outcome in registry.collect_completed():
                    print(json.dumps({"id": str(id), **to_json(outcome)}, ensure_ascii=False))
            if forgets:
                forget(store, name)


@click.command()
@store_option
@click.pass_context
def doctor(ctx: click.Context, store: Path) -> None:
    """Check a store against its checksums and every invariant of the machine."""
    with told_errors():
        source, broken = reader(store), 0
        names = source.names()
        for name in names:
            registry = source.registry(name)
            wrong = _broken_invariants(registry)
            broken += bool(wrong)
            held = _count(len(registry.stored.records), "operation", "operations")
            verdict = f"broken: {', '.join(wrong)}" if wrong else f"sound, {held}"
            print(f"{name}: {verdict}")
        counted = _count(len(names), "registry", "registries")
        print(f"{counted}, {len(INVARIANTS)} invariants each, {broken} broken")
        if not names:
            print("there was nothing to check", file=sys.stderr)
        ctx.exit(1 if broken or not names else 0)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _broken_invariants(registry: StoredRegistry) -> list[str]:
    authority = OperationAuthority(max_completed=1, max_concurrent=None)
    rows = [entry_of(each) for each in restore(authority, registry.stored, SYSTEM_CLOCK)]
    return [name for name, holds in INVARIANTS.items() if not holds(authority, rows, [])]


def _dropped_through(registry: StoredRegistry) -> int:
    """Up to where a registry's feed entries are gone."""
    state = registry.stored.state
    return int(data_of(state)["dropped_through"]) if state is not None else 0

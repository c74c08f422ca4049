"""Comparing everything that a reader shows of a registry with what must be true of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.support.chaos.ledger import Allowed, Ledger
from tests.support.chaos.pipe import Line
from tests.support.chaos.rules import ABSENT, INTERRUPTED_TEXT, State, outcome_state, shown_state
from tests.support.chaos.verdict import require

_INTERRUPTED = State("terminated", INTERRUPTED_TEXT)


def verify_told(ledger: Ledger, line: Line) -> None:
    """Compare what a program reads in its own registry, while nothing is under way."""
    require(not line["broken"], "wrong", f"broken invariants: {line['broken']}")
    allowed = lambda id: {ledger.records[id].state}  # noqa: E731
    _verify_records(ledger, line["records"], allowed)
    if "feed" in line:
        _verify_feed(ledger, line, allowed)
        for consumer, cursor in line["cursors"].items():
            known = ledger.cursors.get(consumer, 0)
            require(cursor == known, "wrong", f"the cursor {consumer} is {cursor}, not {known}")


def verify_opened(ledger: Ledger, line: Line) -> None:
    """Compare what a new process has found, and take over what of it was in doubt."""
    require(not line["broken"], "wrong", f"broken invariants: {line['broken']}")
    records = _verify_records(ledger, line["records"], ledger.reopened)
    ended: dict[str, State] = {}
    if "feed" in line:
        ended = _verify_feed(ledger, line, ledger.reopened)
        _verify_cursors(ledger, line["cursors"])
    _verify_all_or_none(ledger, records, line["records"])
    _verify_progress(ledger, line["records"])
    for id, record in ledger.records.items():
        # Without a feed nothing is left to see of what was collected.
        is_left = id in ended or "feed" not in line
        collected = [each for each in ledger.reopened(id) if each.collected and is_left]
        record.state = records.get(id) or next(iter(collected), ABSENT)
        record.reports_before += len(record.reports)
        record.reports.clear()
        record.rank = 0
    for each in line["records"]:
        record = ledger.records[each["id"]]
        record.ready = each.get("peer_ready", False)
        record.reports_before = each.get("progress_count", 0)
    ledger.ends = 0
    for id in ended:
        ledger.ends += 1
        ledger.records[id].rank = ledger.ends
    ledger.flying.clear()
    ledger.cursors = dict(line.get("cursors", {}))


def verify_rows(ledger: Ledger, rows: Iterable[Mapping[str, Any]], *, owner_lives: bool) -> None:
    """Compare what a reader in another process prints, line by line."""

    def allowed(id: str) -> set[State]:
        if owner_lives:
            # An owner that is suspended for longer than its lease does not respond.
            shown = ledger.shown(id)
            is_live = any(each.status in ledger.rules.live for each in shown)
            return shown | ({State("unresponsive")} if is_live else set())
        # A reader shows what the next opening will find.
        found = ledger.reopened(id)
        return found | {State("interrupted")} if _INTERRUPTED in found else found

    _verify_records(ledger, rows, allowed)


def _verify_records(
    ledger: Ledger, rows: Iterable[Mapping[str, Any]], allowed: Allowed
) -> dict[str, State]:
    found: dict[str, State] = {}
    for row in rows:
        id = row.get("id") or row["ask"]["id"]
        require(id in ledger.records, "duplicated", f"nothing was asked of {id}: {row}")
        require(id not in found, "duplicated", f"{id} is shown twice")
        found[id] = shown_state(row)
    for id in ledger.records:
        states = allowed(id)
        held = {each for each in states if each.held}
        if id in found:
            require(held, "duplicated", f"{id} is shown as {found[id]}, and was erased")
            text = f"{id} is shown as {found[id]}, not one of {held}"
            live = (*ledger.rules.live, "interrupted", "unresponsive")
            behind = found[id].status in live or found[id] == _INTERRUPTED
            require(found[id] in held, "lost" if behind else "wrong", text)
        else:
            is_gone = len(held) < len(states) or ledger.may_be_evicted(id)
            require(is_gone, "lost", f"{id} is missing, and was one of {held}")
    return found


def _verify_feed(ledger: Ledger, line: Line, allowed: Allowed) -> dict[str, State]:
    feed, found = line["feed"], {}
    position = feed["dropped_through"]
    for entry in feed["entries"]:
        id, sequence = entry["operation_id"], entry["seq"]
        require(id in ledger.records, "duplicated", f"nothing was asked of {id}: {entry}")
        require(sequence > position, "duplicated", f"entries out of order at {entry}")
        require(id not in found, "duplicated", f"{id} is in the feed twice")
        record, position = ledger.records[id], sequence
        known = record.sequence in (None, sequence)
        require(known, "wrong", f"{id} had the number {record.sequence}, and now {sequence}")
        found[id] = outcome_state(entry["terminal_outcome"])
        states = {each._replace(collected=False) for each in allowed(id)}
        text = f"{id} is in the feed as {found[id]}, not one of {states}"
        require(found[id] in states, "wrong", text)
        record.sequence = sequence
    require(position == feed["watermark"], "wrong", f"{feed['watermark']=}, the last: {position}")
    _verify_retention(ledger, feed, found, allowed)
    return found


def _verify_retention(
    ledger: Ledger, feed: Mapping[str, Any], found: Mapping[str, State], allowed: Allowed
) -> None:
    maximum = ledger.rules.max_completed
    require(len(found) <= maximum, "wrong", f"{len(found)} entries are retained")
    full = len(found) == maximum or feed["dropped_through"] == 0
    require(full, "lost", f"entries were dropped, and {len(found)} are retained")
    for id, record in ledger.records.items():
        if id in found or ledger.may_be_evicted(id):
            continue
        states = allowed(id)
        is_live = any(each.status in ledger.rules.live for each in states)
        dropped = record.sequence is not None and record.sequence <= feed["dropped_through"]
        text = f"{id} is not in the feed, and was one of {states}"
        require(is_live or ABSENT in states or dropped, "lost", text)


def _verify_cursors(ledger: Ledger, cursors: Mapping[str, int]) -> None:
    for consumer, cursor in cursors.items():
        known = ledger.cursors.get(consumer, 0)
        flying = [a.line["cursor"] for a in ledger.flying.values() if a.line["op"] == "advance"]
        require(cursor >= known, "lost", f"the cursor {consumer} fell from {known} to {cursor}")
        possible = cursor == known or cursor in flying
        require(possible, "wrong", f"the cursor {consumer} is {cursor}, not {known} or {flying}")


def _verify_all_or_none(
    ledger: Ledger, records: Mapping[str, State], rows: Iterable[Mapping[str, Any]]
) -> None:
    """A command that concerns many records has happened to all of them, or to none."""
    for attempt in ledger.flying.values():
        members = [id for id in attempt.expected if not ledger.may_be_evicted(id)]
        members = [id for id in members if ledger.rules.is_stored(ledger.records[id].kind)]
        if attempt.line["op"] == "collect":
            happened = {id not in records for id in members}
        elif attempt.line["op"] == "terminate":
            end = State("terminated", attempt.line["text"])
            happened = {records.get(id) == end for id in members}
        else:
            continue
        require(len(happened) <= 1, "wrong", f"{attempt.line} has happened to some of {members}")


def _verify_progress(ledger: Ledger, rows: Iterable[Mapping[str, Any]]) -> None:
    flying = [a.line["id"] for a in ledger.flying.values() if a.line["op"] == "progress"]
    for row in rows:
        if "progress_count" not in row:
            continue
        record, count = ledger.records[row["id"]], row["progress_count"]
        stored = [each for each in record.reports if each < ledger.stored_before]
        least = record.reports_before + len(stored)
        most = record.reports_before + len(record.reports) + flying.count(row["id"])
        text = f"{row['id']} has {count} reports, not {least} to {most}"
        require(least <= count <= most, "lost" if count < least else "wrong", text)

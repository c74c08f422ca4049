"""A repository whose server is killed while pull requests wait: its successor does what is late.

python repository.py [FILE]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

from opslifecycle import ManualClock, SqliteStore

from pull_request import (
    Activity,
    CheckResult,
    ChecksNotPassedError,
    OwnReviewError,
    PullRequestId,
    PullRequestOutboxMessage,
    PullRequestRegistry,
    PullRequestStatus,
)

DAY_MS = 86_400_000
#: The first day of the first run: 15 January 2027.
START_MS = 1_800_000_000_000


def tell(message: PullRequestOutboxMessage) -> None:
    """Apply an effect: a real server would send an e-mail here."""


def review(path: Path, wall_ms: int) -> None:
    """Merge one pull request, leave another in review, and wait to be killed."""
    clock = ManualClock(wall_ms)
    server = PullRequestRegistry(store=SqliteStore(path), on_effect=tell, clock=clock)
    merged, waiting = PullRequestId.new(), PullRequestId.new()
    for id, title in ((merged, "Fix a typo"), (waiting, "Rewrite everything")):
        server.begin(id, "ada", title)
        server.ready(id)
        try:
            server.request_review(id, "ada")
        except OwnReviewError as error:
            print(str(error).replace(str(id), title))
        server.request_review(id, "grace")
    server.approve(merged, "grace")
    try:
        server.merge(merged)
    except ChecksNotPassedError as error:
        print(str(error).replace(str(merged), "Fix a typo"))
    server.report_checks(merged, CheckResult.PASSED)
    server.merge(merged)
    print(f"waiting {waiting}", flush=True)
    sys.stdin.read()


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "repository.db")
    started_ms = next_day_ms(path)
    server = subprocess.Popen(
        [sys.executable, __file__, str(path), "review", str(started_ms)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    for line in server.stdout:
        if line.startswith("waiting "):
            waiting = PullRequestId(line.split()[1])
            break
        print(line, end="")
    server.kill()
    server.communicate()

    # Five days later, another server opens the same file, and the reminder is late.
    clock = ManualClock(started_ms + 5 * DAY_MS)
    store = SqliteStore(path)
    with PullRequestRegistry(store=store, on_effect=tell, clock=clock) as successor:
        watch = successor.watch(waiting)
        clock.advance(days=2)
        successor.decline(waiting)
        assert watch.result(30) is PullRequestStatus.CLOSED
        clock.advance(days=90)
        for entry in activity(successor):
            if entry.pull_request_id == waiting and entry.at_ms > started_ms:
                day = (entry.at_ms - started_ms) // DAY_MS
                print(f"day {day}: {entry.action.value}")


def next_day_ms(path: Path) -> int:
    """Return a time on the day after everything that the file knows."""
    with PullRequestRegistry(
        store=SqliteStore(path), clock=ManualClock(START_MS)
    ) as server:
        return max((each.at_ms for each in activity(server)), default=START_MS) + DAY_MS


def activity(server: PullRequestRegistry) -> tuple[Activity, ...]:
    """Return everything that has happened in the repository."""
    return server.activity().list_since(0).entries


if __name__ == "__main__":
    if sys.argv[2:3] == ["review"]:
        review(Path(sys.argv[1]), int(sys.argv[3]))
    else:
        main()

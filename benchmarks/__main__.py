"""Holds the contests, and writes what they come to.

    python -m benchmarks [--rounds N] [--only WORD] [--page] [--json FILE] [--against FILE]

With `--page` docs/performance.md and its pictures are written; that needs every contest and the
peers, which `make bench` installs into an environment of their own. `--against` compares with a
file that `--json` has written, of another revision on the same machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import durable, memory, peers_contest, starting
from benchmarks.measuring import Measured, figure_text, held
from benchmarks.page import data_of, write_page

ROOT = Path(__file__).parents[1]
RATIOS = [*memory.RATIOS, *peers_contest.RATIOS, *durable.RATIOS, *starting.RATIOS]


def _told(measured: Measured) -> None:
    contest = measured.contest
    for name in contest.contestants:
        value = figure_text(measured.median(name), in_bytes=contest.in_bytes)
        print(f"{contest.name:<28}{name:<30}{value:>16}", flush=True)
    for ratio in RATIOS:
        if ratio.contest == contest.name:
            print(f"    {ratio.name}: {measured.ratio(ratio):.2f} ({ratio.wish})", flush=True)


def _compared(found: dict[str, dict[str, float]], before: dict[str, dict[str, float]]) -> None:
    """How long each contestant takes now, in parts of what it took then."""
    for contest, medians in found.items():
        for name, median in medians.items():
            then = before.get(contest, {}).get(name)
            if then:
                print(f"{contest}, {name}: {median / then:.2f} of before")


def main() -> int:
    """Hold every contest, print what it comes to, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="contests with this word in their name")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--peers", type=Path, help="the interpreter in which peers are installed")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--against", type=Path)
    options = parser.parse_args()
    if options.page and (options.only or options.peers is None):
        parser.error("a page needs every contest: no --only, and --peers")
    contests = [*memory.contests, *durable.contests, *starting.contests]
    if options.peers is not None:
        contests += peers_contest.contests(options.peers)
    else:
        print("peers SKIPPED: no --peers (make bench installs them)")
    measured = []
    for name, make in contests:
        if options.only in name:
            measured.append(held(make(), options.rounds))
            _told(measured[-1])
    if not measured:
        print(f"there is no contest with {options.only!r} in its name", file=sys.stderr)
        return 2
    if options.json is not None or options.against is not None:
        found = {
            each.contest.name: {name: each.median(name) for name in each.contest.contestants}
            for each in measured
        }
        if options.against is not None:
            _compared(found, json.loads(options.against.read_text(encoding="utf-8")))
        if options.json is not None:
            options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if options.page:
        data = data_of(measured, RATIOS, options.rounds)
        write_page(ROOT / "docs", data, RATIOS, options.peers)
    return 0


if __name__ == "__main__":
    sys.exit(main())

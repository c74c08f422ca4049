"""Holds the contests, and writes what they come to.

    python -m benchmarks [--rounds N] [--only WORD] [--json FILE] [--against REVISION | --page]

With `--page` docs/explanation/performance.md and its pictures are written; that needs every contest
and the peers, which `make bench` installs into an environment of their own. `--against` has every
contestant take turns with itself at another revision of git, in the same run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (
    archived,
    clusters,
    durable,
    memory,
    peers_contest,
    server,
    starting,
    supervised,
    timers,
    transactions,
)
from benchmarks.measuring import Measured, Named, Ratio, figure_text, held
from benchmarks.page import data_of, without_words, write_page
from benchmarks.revisions import answer, beside, revision

ROOT = Path(__file__).parents[1]
OURS: list[Named] = [
    *memory.contests,
    *durable.contests,
    *archived.contests,
    *transactions.contests,
    *starting.contests,
    *supervised.contests,
    *timers.contests,
]
RATIOS = [
    *memory.RATIOS, *peers_contest.RATIOS, *durable.RATIOS, *starting.RATIOS, *server.RATIOS,
    *clusters.RATIOS,
    *supervised.RATIOS, *transactions.RATIOS, *archived.RATIOS,
    *timers.RATIOS,
]  # fmt: skip


def _told(measured: Measured, ratios: Sequence[Ratio]) -> Measured:
    contest = measured.contest
    for name in contest.contestants:
        value = figure_text(measured.median(name), in_bytes=contest.in_bytes)
        print(f"{contest.name:<28}{name:<30}{value:>16}", flush=True)
    for ratio in ratios:
        if ratio.contest == contest.name:
            print(f"    {ratio.name}: {measured.ratio(ratio):.2f} ({ratio.wish})", flush=True)
    return measured


def _held_against(name: str, contests: Sequence[Named], rounds: int) -> list[Measured]:
    """Hold contests with another revision beside this one."""
    measured = []
    with revision(name) as ask:
        for _, make in contests:
            contest, ratios = beside(make(), ask)
            measured.append(_told(held(contest, rounds), ratios))
    return measured


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="contests with this word in their name")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--peers", type=Path, help="the interpreter in which peers are installed")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--against", metavar="REVISION")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.page and (options.only or options.against or options.peers is None):
        parser.error("a page needs every contest of this revision alone: no --only, and --peers")
    if options.page and (wordless := without_words(RATIOS)):
        parser.error(f"words.yaml does not say why these may not be met: {', '.join(wordless)}")
    if options.against and options.peers:
        parser.error("peers are the same at every revision: --against, or --peers")
    return options


def main() -> int:
    """Hold every contest, print what it comes to, and write what was asked for."""
    options = _options()
    if options.answer:
        answer(OURS)
        return 0
    contests = list(OURS)
    if server.missing() is None:
        contests += [*server.contests, *clusters.contests]
    else:
        print(f"server SKIPPED: {server.missing()}")
    if options.peers is not None:
        contests += peers_contest.contests(options.peers)
    elif not options.against:
        print("peers SKIPPED: no --peers (make bench installs them)")
    contests = [(name, make) for name, make in contests if options.only in name]
    if not contests:
        print(f"there is no contest with {options.only!r} in its name", file=sys.stderr)
        return 2
    if options.against:
        measured = _held_against(options.against, contests, options.rounds)
    else:
        measured = [_told(held(make(), options.rounds), RATIOS) for _, make in contests]
    if options.json is not None:
        found = {
            each.contest.name: {name: each.median(name) for name in each.contest.contestants}
            for each in measured
        }
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if options.page:
        data = data_of(measured, RATIOS, options.rounds)
        write_page(ROOT / "docs/explanation", data, RATIOS, options.peers)
    return 0


if __name__ == "__main__":
    sys.exit(main())

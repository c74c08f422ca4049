"""The page on speed: what was found, what was wished, and why where the two differ."""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from benchmarks.measuring import Measured, Ratio

_WORDS = Path(__file__).with_name("words.yaml")


def write_page(
    docs: Path, measured: Sequence[Measured], ratios: Sequence[Ratio], rounds: int, peers: Path
) -> None:
    """Write docs/performance.md, its data and its pictures."""
    folder = docs / "performance"
    folder.mkdir(exist_ok=True)
    data = {
        each.contest.name: {name: each.median(name) for name in each.contest.contestants}
        for each in measured
    }
    path = folder / "measured.json"
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    script = Path(__file__).with_name("plots.py")
    subprocess.run([str(peers), str(script), str(path)], check=True)
    text = "\n".join(_lines(measured, ratios, rounds))
    (docs / "performance.md").write_text(text, encoding="utf-8")
    print(f"wrote {docs / 'performance.md'}")


def _lines(measured: Sequence[Measured], ratios: Sequence[Ratio], rounds: int) -> Iterator[str]:
    words = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))
    by_name = {each.contest.name: each for each in measured}
    yield "<!-- Written by `make bench` from what it measured. -->"
    yield ""
    yield "# Speed"
    yield ""
    yield (
        f"Medians of {rounds} rounds in which all contestants of a contest take turns; ratios are "
        "medians of ratios within one round. Read the ratios: machines differ, and one machine "
        "differs from minute to minute."
    )
    yield ""
    yield f"Measured on {_machine()}."
    yield ""
    yield "| | found | wished | |"
    yield "|---|---|---|---|"
    unmet = []
    for ratio in ratios:
        found = by_name[ratio.contest].ratio(ratio)
        met = ratio.is_met(found)
        if not met:
            unmet.append(ratio)
        yield f"| {ratio.name} | {found:.2f} | {ratio.wish} | {'' if met else 'not met'} |"
    if unmet:
        yield from ("", "## Why not", "")
    for ratio in unmet:
        yield f"**{ratio.name}.** {words['why_not'][ratio.contest].strip()}"
        yield ""
    yield from ("", "## How it grows", "")
    yield "![What one step costs, by how much there is](performance/growth.svg)"
    yield ""
    yield "![Durable lifecycles per second, by how many are in flight](performance/in_flight.svg)"
    yield from ("", "## Everything", "")
    for each in measured:
        yield f"### {each.contest.name}, for each {each.contest.unit}"
        yield ""
        yield "| | median |"
        yield "|---|---|"
        for name in each.contest.contestants:
            yield f"| {name} | {each.contest.unit_text(each.median(name))} |"
        yield ""
    yield from ("## Peers", "", words["peers"])


def _machine() -> str:
    """The machine, in words."""
    model = platform.machine()
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        model = found[1] if found else model
    except OSError:
        pass
    python = f"{platform.python_implementation()} {platform.python_version()}"
    cores = os.cpu_count()
    return f"{model}, {cores} cores, {platform.system()}, {python}, SQLite {sqlite3.sqlite_version}"

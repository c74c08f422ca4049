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
from typing import Any

import yaml

from benchmarks.measuring import Measured, Ratio, figure_text

Data = dict[str, Any]

_WORDS = Path(__file__).with_name("words.yaml")


def data_of(measured: Sequence[Measured], ratios: Sequence[Ratio], rounds: int) -> Data:
    """What the page and its pictures are made from."""
    by_name = {each.contest.name: each for each in measured}
    contests = {
        name: {
            "unit": each.contest.unit,
            "in_bytes": each.contest.in_bytes,
            "medians": {one: each.median(one) for one in each.contest.contestants},
        }
        for name, each in by_name.items()
    }
    found = {each.name: by_name[each.contest].ratio(each) for each in ratios}
    return {"machine": _machine(), "rounds": rounds, "contests": contests, "ratios": found}


def without_words(ratios: Sequence[Ratio]) -> list[str]:
    """The ratios of which nobody has written why they may not be as wished."""
    known = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))["why_not"]
    return [each.name for each in ratios if each.contest not in known]


def write_page(docs: Path, data: Data, ratios: Sequence[Ratio], peers: Path) -> None:
    """Write docs/explanation/performance.md, its data and its pictures."""
    folder = docs / "performance"
    folder.mkdir(exist_ok=True)
    path = folder / "measured.json"
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    (docs / "performance.md").write_text("\n".join(_lines(data, ratios)), encoding="utf-8")
    script = Path(__file__).with_name("plots.py")
    subprocess.run([str(peers), str(script), str(path)], check=True)
    print(f"wrote {docs / 'performance.md'}")


def _lines(data: Data, ratios: Sequence[Ratio]) -> Iterator[str]:
    words = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))
    yield "<!-- Written by `make bench` from what it measured. -->"
    yield from ("", "# Speed", "")
    yield (
        f"Medians of {data['rounds']} rounds in which all contestants of a contest take turns; "
        "ratios are medians of ratios within one round. Read the ratios: machines differ, and one "
        "machine differs from minute to minute."
    )
    yield from ("", f"Measured on {data['machine']}.", "")
    yield "| | found | wished | |"
    yield "|---|---|---|---|"
    unmet = []
    for ratio in ratios:
        found = data["ratios"][ratio.name]
        if not ratio.is_met(found):
            unmet.append(ratio)
        told = "" if ratio.is_met(found) else "not met"
        yield f"| {ratio.name} | {found:.2f} | {ratio.wish} | {told} |"
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
    for name, contest in data["contests"].items():
        yield f"### {name}, for each {contest['unit']}"
        yield from ("", "| | median |", "|---|---|")
        for one, median in contest["medians"].items():
            yield f"| {one} | {figure_text(median, in_bytes=contest['in_bytes'])} |"
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

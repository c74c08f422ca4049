"""The pictures of the page, from its data: python plots.py measured.json. Needs matplotlib."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

#: Contests whose contestants differ by a number in their name: what to plot, and its label.
GROWTH = [
    ("held", "holding", "a transition, by operations held"),
    ("barrier", "barriers of", "an end, by size of its barrier"),
    ("watchers", "", "an end told to a watch, by watches of the operation"),
    ("feed length", "", "an end, by retained rows"),
    ("timers", "set", "an order with two timers, by timers that wait"),
    ("timers", "fire", "a timer that fires, by timers that wait"),
]

COLORS = {"raw SQLite": "tab:gray", "raw SQLite, awaited": "tab:green", "registry": "tab:blue"}


def _number(name: str) -> int:
    found = re.search(r"\d[\d,]*", name)
    assert found is not None
    return int(found[0].replace(",", ""))


def _figure(title: str, x: str, y: str) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "opslifecycle"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.2))
    axes.set(title=title, xlabel=x, ylabel=y, xscale="log")
    axes.grid(alpha=0.3)
    return figure, axes


def growth(data: dict[str, dict[str, float]], path: Path) -> None:
    """The cost of one step against how much there is."""
    figure, axes = _figure("What one step costs", "how many", "µs")
    for contest, prefix, label in GROWTH:
        points = sorted(
            (_number(name), value * 1e6)
            for name, value in data[contest].items()
            if name.startswith(prefix)
        )
        axes.plot(*zip(*points, strict=True), marker="o", label=label)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncol=2)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


def in_flight(data: dict[str, dict[str, float]], path: Path) -> None:
    """Durable lifecycles per second against how many are in flight."""
    figure, axes = _figure("Durable lifecycles", "in flight", "per second")
    axes.set_yscale("log")
    for durability, style in (("process", "--"), ("power", "-")):
        for contestant, color in COLORS.items():
            points = sorted(
                (_number(contest), 1 / values[contestant])
                for contest, values in data.items()
                if contest.startswith(f"{durability},")
            )
            label = f"{contestant}, {durability}"
            axes.plot(*zip(*points, strict=True), style, marker="o", color=color, label=label)
    axes.legend()
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


if __name__ == "__main__":
    measured = Path(sys.argv[1])
    contests = json.loads(measured.read_text(encoding="utf-8"))["contests"]
    found = {name: each["medians"] for name, each in contests.items()}
    growth(found, measured.with_name("growth.svg"))
    in_flight(found, measured.with_name("in_flight.svg"))

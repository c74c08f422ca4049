"""Ten minutes of real faults on running programs: `make chaos`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.support.chaos.episodes import Findings, batch_episode, campaign, library_episode
from tests.support.chaos.target import Limits

_EPISODE_SECONDS = 40.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--seconds", type=float, default=600.0)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    findings, limits = Findings(options.seed), Limits()
    keep = Path(tempfile.mkdtemp(prefix="chaos-"))

    def library(seed: int, seconds: float) -> None:
        library_episode(findings, seed, seconds, limits, keep=keep)
        print(f"{findings.faults.total()} faults, {len(findings.kinds)} violations", flush=True)

    def batch(seed: int, seconds: float) -> None:
        batch_episode(findings, seed, seconds, limits, keep=keep)
        print(f"{findings.faults.total()} faults, {len(findings.kinds)} violations", flush=True)

    campaign(findings, options.seconds, _EPISODE_SECONDS, library, batch)
    print("\n".join(findings.lines()))
    if not findings.kinds:
        keep.rmdir()
    return 1 if findings.kinds else 0


if __name__ == "__main__":
    sys.exit(main())

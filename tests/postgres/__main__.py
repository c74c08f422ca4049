"""Random faults on several hosts for some minutes: `make chaos-postgres`.

    python -m tests.postgres [--seconds 600] [--seed N] [--hosts 3] [--registries 100]

Exits with 1 if an acknowledged end was lost, repeated or skipped, or if a registry had two owners.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable

import attrs

from tests.postgres.databases import new_database
from tests.postgres.hosts import Host, Hosts, hosts
from tests.postgres.proxy import Flow
from tests.postgres.server import running_server

LEASE_SECONDS = 2.0
#: Longer than a lease, so that a host that is cut off is followed.
_LONG, _SHORT = (2.5, 4.0), (0.05, 0.5)


@attrs.define
class Chaos:
    """Hosts, and one fault after the other."""

    hosts: Hosts
    chance: random.Random
    running: list[Host]
    faults: Counter[str] = attrs.Factory(Counter)

    def one(self) -> None:
        """Cause one fault, and end it."""
        kinds: dict[str, Callable[[Host], None]] = {
            "kill -9": self._kill,
            "suspended": self._suspend,
            "connections reset": lambda host: host.proxy.cut(),
            "answers eaten": lambda host: self._disturb(host, Flow.PASS, Flow.EAT),
            "requests eaten": lambda host: self._disturb(host, Flow.EAT, Flow.PASS),
            "nothing to the server": lambda host: self._disturb(host, Flow.HOLD, Flow.PASS),
            "nothing from the server": lambda host: self._disturb(host, Flow.PASS, Flow.HOLD),
            "a silent network": lambda host: self._disturb(host, Flow.HOLD, Flow.HOLD),
            "backends terminated": lambda host: self.hosts.terminate_backends(),
            "fast restart": lambda host: self.hosts.server.restart(signal.SIGINT),
            "immediate restart": lambda host: self.hosts.server.restart(signal.SIGQUIT),
        }
        kind = self.chance.choice(sorted(kinds))
        self.faults[kind] += 1
        kinds[kind](self.chance.choice(self.running))
        self._pause(_SHORT)

    def _pause(self, bounds: tuple[float, float]) -> None:
        time.sleep(self.chance.uniform(*bounds))

    def _kill(self, host: Host) -> None:
        self.hosts.end(host)
        self.running.remove(host)
        self.running.append(self.hosts.start())

    def _suspend(self, host: Host) -> None:
        host.signal(signal.SIGSTOP)
        self._pause(self.chance.choice((_LONG, _SHORT)))
        host.signal(signal.SIGCONT)

    def _disturb(self, host: Host, to_server: Flow, to_client: Flow) -> None:
        host.proxy.to_server, host.proxy.to_client = to_server, to_client
        self._pause(self.chance.choice((_LONG, _SHORT)))
        host.proxy.pass_all()
        if Flow.EAT in (to_server, to_client):
            # A stream with a part missing is no stream any more.
            host.proxy.cut()


def main() -> int:
    """Run until the time is over, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--registries", type=int, default=100)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    names = [f"r{number}" for number in range(given.registries)]
    with (
        running_server() as server,
        hosts(new_database(server.dsn, server), names, LEASE_SECONDS) as all_of_them,
    ):
        started = [all_of_them.start() for _ in range(given.hosts)]
        chaos = Chaos(all_of_them, random.Random(given.seed), started)
        until = time.monotonic() + given.seconds
        while time.monotonic() < until:
            chaos.one()
        found = all_of_them.wrong()
        for kind, count in sorted(chaos.faults.items()):
            print(f"{count:5} {kind}")
        for kind, count in sorted(all_of_them.counts().items()):
            print(f"{count:8} {kind}")
    for each in found:
        print(f"WRONG: {each}")
    print(f"{sum(chaos.faults.values())} faults, {len(found)} contradictions")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""Random faults on several hosts for some minutes: `make chaos-postgres`.

    python -m tests.support.postgres [--seconds 600] [--seed N] [--hosts 3] [--registries 100]
                             [--program owner_program|cluster_program]

Half of the time each host owns what it can get; in the other half each calls every registry through
a cluster. Exits with 1 if an acknowledged end was lost, repeated or skipped, if a registry had two
owners, or if a host's reads went back.
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

from tests.support.postgres.databases import new_database
from tests.support.postgres.hosts import Host, Hosts, hosts
from tests.support.postgres.proxy import Flow
from tests.support.postgres.server import running_server

LEASE_SECONDS = 2.0
PROGRAMS = ["owner_program", "cluster_program"]
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
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--registries", type=int, default=100)
    parser.add_argument("--program", choices=PROGRAMS, help="what hosts run, all of the time")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    programs = PROGRAMS if given.program is None else [given.program]
    names = [f"r{number}" for number in range(given.registries)]
    seconds = given.seconds / len(programs)
    chance = random.Random(given.seed)
    found = [campaign(each, names, given.hosts, seconds, chance) for each in programs]
    return 1 if any(found) else 0


def campaign(
    program: str, names: list[str], count: int, seconds: float, chance: random.Random
) -> list[str]:
    """Cause faults until the time is over; print and return what was found."""
    with (
        running_server() as server,
        hosts(new_database(server.dsn, server), names, LEASE_SECONDS, program) as all_of_them,
    ):
        started = [all_of_them.start() for _ in range(count)]
        chaos = Chaos(all_of_them, chance, started)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            chaos.one()
        found = all_of_them.wrong()
        print(f"{program}:")
        for kind, times in sorted(chaos.faults.items()):
            print(f"{times:5} {kind}")
        for kind, times in sorted(all_of_them.counts().items()):
            print(f"{times:8} {kind}")
    for each in found:
        print(f"WRONG: {each}")
    print(f"{sum(chaos.faults.values())} faults, {len(found)} contradictions", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())

"""A program that kills the processes of a supervisor whose own process was killed.

It reads process groups from its standard input, one a line: `+1234` for one that starts, `-1234`
for one that has ended. When the input ends, or its parent process ends, it kills the remaining
groups. It imports only the standard library, so that it starts quickly.
"""

from __future__ import annotations

import os
import select
import signal
import sys

_POLL_SECONDS = 0.5


def main() -> None:
    """Guard process groups until the supervisor's process ends."""
    parent = int(sys.argv[1])
    groups: set[int] = set()
    received = b""
    while True:
        if not select.select([0], [], [], _POLL_SECONDS)[0]:
            # A forked child of the supervisor's process may hold the pipe open.
            if os.getppid() != parent:
                break
            continue
        data = os.read(0, 65536)
        if not data:
            break
        *lines, received = (received + data).split(b"\n")
        for line in lines:
            group = int(line[1:])
            if line.startswith(b"+"):
                groups.add(group)
            else:
                groups.discard(group)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            continue


if __name__ == "__main__":
    main()

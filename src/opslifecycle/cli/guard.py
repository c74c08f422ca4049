"""Ends the process groups of a run that was killed: a program of its own, run by `Guard`.

It reads which groups there are from a pipe that only the run holds open. When the pipe ends, the
run has ended too, and what is still listed is ended: politely, then by force. It uses the standard
library alone, so that it starts quickly.
"""

import os
import signal
import sys
import time

GRACE_SECONDS = 0.5


def main() -> None:
    """Read `+GROUP` and `-GROUP` lines to the end, then end what is left."""
    groups: set[int] = set()
    for line in sys.stdin:
        change, group = line[0], int(line[1:])
        if change == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for number, pause in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, 0.0)):
        for group in sorted(groups):
            try:
                os.killpg(group, number)
            except (ProcessLookupError, PermissionError):
                groups.discard(group)
        if groups:
            time.sleep(pause)


if __name__ == "__main__":
    main()

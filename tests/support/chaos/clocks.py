"""A wall clock that jumps under a running program: its calls of the C library are intercepted."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path

from tests.support.chaos.places import Skips

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static volatile long long *shift;
static long long seconds(void) {
    if (!shift) {
        int file = open(getenv("CHAOS_CLOCK"), O_RDONLY);
        shift = mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
    }
    return *shift;
}
int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*usual)(clockid_t, struct timespec *);
    if (!usual) usual = dlsym(RTLD_NEXT, "clock_gettime");
    int result = usual(id, at);
    if (!result && id == CLOCK_REALTIME) at->tv_sec += seconds();
    return result;
}
int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return result;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


class WallClock:
    """The wall clock of the programs that are started with its environment."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._file.write_bytes(struct.pack("q", 0))
        with self._file.open("r+b") as file:
            self._shift = mmap.mmap(file.fileno(), 8)
        self._library = folder / "clock.so"

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._file)}

    def set(self, seconds: int) -> None:
        """Have the clock be wrong by so many seconds from now on."""
        self._shift[:] = struct.pack("q", seconds)

    def build(self) -> bool:
        """Compile what intercepts the calls; False where that is not possible."""
        compiler = shutil.which("cc")
        if compiler is None or os.uname().sysname != "Linux":
            return False
        command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(self._library), "-ldl"]
        done = subprocess.run(command, input=_SOURCE.encode(), capture_output=True, check=False)
        return done.returncode == 0


def wall_clock(folder: Path, skips: Skips) -> WallClock | None:
    """Return a clock that can be set, or None, with the reason noted."""
    clock = WallClock(folder)
    if clock.build():
        return clock
    skips.add("clock", "there is no C compiler, or this is not Linux")
    return None

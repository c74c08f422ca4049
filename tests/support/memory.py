"""Temporary files in memory, where the system has room for them.

Most tests make stores, and a store waits for the disk at every commit. Whether it asks for that is
tested by what it asks for (`files.py`, `crash_images.py`). The tests of a night write to a disk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tests.support.scale import WHOLE

_MEMORY = Path("/dev/shm")
#: Twelve times what a run writes.
_FREE_BYTES_MIN = 2 << 30


def put_temporary_files_into_memory() -> None:
    """Have this process and its children make temporary files there; TMPDIR says otherwise."""
    if "TMPDIR" in os.environ or WHOLE or not _is_fit():
        return
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None


def _is_fit() -> bool:
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK | os.X_OK)):
        return False
    can_execute = not os.statvfs(_MEMORY).f_flag & getattr(os, "ST_NOEXEC", 0)
    return can_execute and shutil.disk_usage(_MEMORY).free >= _FREE_BYTES_MIN

"""The standard streams of a process that may have been started without them."""

from __future__ import annotations

import io
import os
import sys

#: How the null device is opened in the place of each closed stream. Reading the first and writing
#: to the second fail, as on a full disk. What is written to the third is lost.
_INSTEAD = (("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY))


def open_streams() -> None:
    """Open what stands for each closed standard stream.

    Otherwise the next file that is opened, such as the store, would have its descriptor.
    """
    for descriptor, (name, flags) in enumerate(_INSTEAD):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free descriptor is this one.
            os.set_inheritable(os.open(os.devnull, flags), True)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    for stream in (sys.stdout, sys.stderr):
        # Characters that the encoding of a terminal or a pipe lacks are shown as `?`.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

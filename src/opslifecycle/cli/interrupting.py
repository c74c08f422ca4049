"""Ctrl-C before a command has begun: there is nothing to undo, so the process ends in silence."""

from __future__ import annotations

import signal


def end_by_interrupts() -> None:
    """Let SIGINT end the process, unless it is ignored or handled already."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_interrupts() -> None:
    """Let SIGINT raise KeyboardInterrupt again, after `end_by_interrupts`."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)

"""Signals before a command has begun. Ctrl-C has nothing to undo: the process ends in silence."""

from __future__ import annotations

import signal


def receive_signals() -> None:
    """Undo what the parent may have left behind.

    A blocked SIGTERM could end no run, and a blocked or ignored SIGCHLD would hide the ends of its
    commands. Ignored signals that end a process stay ignored (`nohup`).
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def end_by_interrupts() -> None:
    """Let SIGINT end the process, unless it is ignored or handled already."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_interrupts() -> None:
    """Let SIGINT raise KeyboardInterrupt again, after `end_by_interrupts`."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)

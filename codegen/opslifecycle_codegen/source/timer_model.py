"""The grammar of timers: when each is due, and what it does."""

from __future__ import annotations

from attrs import Factory, frozen

from opslifecycle_codegen.source.words import Declared, Expr, Name


@frozen(kw_only=True)
class Timer(Declared):
    """An action that follows by itself: a time after a status began, or at a time (`at`)."""

    do: Name
    at: Expr | None = None
    days: int = 0
    hours: int = 0
    minutes: int = 0
    seconds: int = 0
    milliseconds: int = 0
    with_: dict[Name, Expr] = Factory(dict)


class Timers(tuple[Timer, ...]):
    """One timer or a list of timers."""

    __slots__ = ()

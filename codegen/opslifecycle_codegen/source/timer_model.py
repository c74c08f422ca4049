"""The grammar of what is about time: timers, and histories."""

from __future__ import annotations

from attrs import Factory, frozen

from opslifecycle_codegen.source.words import Declared, Expr, Name, OneOrMore, Text


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


class Timers(OneOrMore[Timer]):
    """One timer or a list of timers."""

    __slots__ = ()
    item = Timer


@frozen(kw_only=True)
class History(Declared):
    """The last transitions of each record, with the listed parameters of their actions."""

    summary: Text
    method: Name
    last: int
    params: list[Name] = Factory(list)
